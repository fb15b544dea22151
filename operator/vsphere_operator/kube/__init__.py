"""Everything that talks to a Kubernetes API; the only place that imports its client."""
