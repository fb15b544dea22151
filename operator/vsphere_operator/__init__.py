"""A Kubernetes operator that makes, keeps and unmakes the vSphere side of user clusters."""

__version__ = "0.1.0"
