"""`python -m testbed.demo`: see `--help`."""

import sys

from testbed.demo.signals import INTERRUPTED, StopRequested, raise_on_signals

raise_on_signals()  # before the clients of vCenter are imported: that takes a second
try:
    from testbed.demo.cli import main

    status = main()
except StopRequested:
    status = INTERRUPTED if "--once" in sys.argv else 0
sys.exit(status)
