"""The commands `python -m testbed build` and `python -m testbed up`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from testbed.builds import BuildError, binary_paths, ensure_binaries
from testbed.toolchain import ToolchainError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build what is missing, and nothing else")
    build.add_argument("--print-paths", action="store_true", help="print the binaries' paths as JSON")
    options = parser.parse_args(arguments)
    try:
        ensure_binaries()
    except (BuildError, ToolchainError) as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    if options.print_paths:
        print(json.dumps({name: str(path) for name, path in binary_paths().items()}))
    return 0
