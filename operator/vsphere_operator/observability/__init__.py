"""What the operator shows of itself: logs, metrics, health."""
