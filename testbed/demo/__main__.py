"""`python -m testbed.demo`: see `--help`."""

import sys

from testbed.demo.cli import main

sys.exit(main())
