"""`python -m vsphere_operator.cli` is `vsphere-operator`."""

from vsphere_operator.cli.main import main

main()
