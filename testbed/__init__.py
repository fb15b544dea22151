"""A vCenter double and two Kubernetes APIs on one machine, for the demo, the tests and the benchmarks."""

from testbed.bed import Options
from testbed.harness import Info, Kubeconfigs, TestBed, TestBedError, VCenter

__all__ = ["Info", "Kubeconfigs", "Options", "TestBed", "TestBedError", "VCenter"]
