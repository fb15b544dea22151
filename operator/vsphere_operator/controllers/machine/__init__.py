"""A Machine is one VM: from nothing to running, and back to nothing."""
