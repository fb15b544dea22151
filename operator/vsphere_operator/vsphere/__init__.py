"""Everything that talks to vCenter, and nothing that knows Kubernetes.

Reads come from an in-memory copy that one watcher a vCenter keeps (`inventory`); changes go through small
groups of operations (`vms`, `folders`, `tags`, `files`) that return tasks to follow (`tasks`) and raise one
error (`faults`).
"""
