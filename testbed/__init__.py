"""A vCenter double and two Kubernetes APIs on one machine, for the demo, the tests and the benchmarks."""
