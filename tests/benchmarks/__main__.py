"""`python -m tests.benchmarks`: run scenarios one after the other, print, and write JSON and the page."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks import page
from tests.benchmarks.circumstances import Circumstances
from tests.benchmarks.report import Outcome, Scenario, Settings
from tests.benchmarks.scenarios import SCENARIOS

RESULTS = Path(__file__).parents[2] / "build" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 1 when a scenario could not be measured. A missed target is a result, no failure."""
    names = [scenario.name for scenario in SCENARIOS]
    options = _parser(names).parse_args(arguments)
    if options.list:
        print("\n".join(f"{scenario.name:10} {scenario.title}" for scenario in SCENARIOS))
        return 0
    wanted = options.only or names
    failed = [
        s.name for s in SCENARIOS if s.name in wanted and not _measure(s, Settings(options.long), names)
    ]
    if failed:
        print(f"could not be measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…", description="Measure the operator on the test bed."
    )
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="NAME", help=f"only these: {', '.join(names)}"
    )
    parser.add_argument("--long", action="store_true", help="the long form, which takes more than an hour")
    parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
    return parser


def _measure(scenario: Scenario, settings: Settings, order: Sequence[str]) -> bool:
    print(f"==> {scenario.name}: {scenario.title}", flush=True)
    circumstances, began = Circumstances.now(long=settings.long), time.monotonic()
    try:
        outcome = scenario.run(settings)
    except Exception:  # the other scenarios are worth measuring all the same
        traceback.print_exc()
        return False
    _show(scenario, outcome, time.monotonic() - began)
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {"scenario": scenario.name, "circumstances": asdict(circumstances), "outcome": asdict(outcome)}
    (RESULTS / f"{scenario.name}.json").write_text(json.dumps(document, indent=2, default=str) + "\n")
    page.write(scenario, outcome, circumstances, order)
    return True


def _show(scenario: Scenario, outcome: Outcome, seconds: float) -> None:
    table = Table(
        "what", "measured", "target", "", title=f"{scenario.title} ({seconds:.0f} s)", title_justify="left"
    )
    for row in outcome.rows:
        table.add_row(row.what, row.measured, row.target, row.verdict)
    console = Console(highlight=False, markup=False)
    console.print(table)
    for note in outcome.notes:
        console.print(f"- {note}")


if __name__ == "__main__":
    sys.exit(main())
