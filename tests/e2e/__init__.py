"""The operator as its users have it: the real process, a real Kubernetes API and the vCenter double.

Nothing here uses the operator's code: Kubernetes is asked with the official client, vCenter with pyVmomi and the
Automation SDK, and the double's control API tells what a client cannot see.
"""
