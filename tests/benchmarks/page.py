"""docs/benchmarks.md: a section for each scenario, written anew whenever that scenario has run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.benchmarks.circumstances import Circumstances
from tests.benchmarks.report import Detail, Outcome, Row, Scenario

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

_MARK = "<!-- measured: {} -->"
_SECTION = re.compile(r"<!-- measured: (\S+) -->\n(.*?)(?=<!-- measured: |\Z)", re.DOTALL)

_HEAD = """\
# Benchmarks

`make bench` measures all of this on one machine and writes this page; `make bench ARGS="--only sessions"` renews one
section, `make bench ARGS=--long` takes the long form. Nothing here was written by hand, and what falls short of its
target stands here like the rest.

Everything runs on the test bed: a real kube-apiserver, and a vCenter double that is no vCenter
([what it can show](../testbed/FIDELITY.md)). Its answers come within a millisecond or two, so times say what the
operator adds, not what a vCenter takes. **Counts of calls are exact. Times are not:** operator, API server, double and
measurement share the machine; they are medians of several runs, to be compared within one run only.

The targets are this project's own. *Best known elsewhere* names the smallest numbers known to us of others: measured
with their code on the same simulator library (OpenShift's machine-api-operator, KKP's machine-controller, Gardener's
machine-controller-manager), or read in their code or their issues where marked with \\*.
"""


def write(scenario: Scenario, outcome: Outcome, circumstances: Circumstances, order: Sequence[str]) -> None:
    """Replace the scenario's section and leave the others as they are; `order` is that of all scenarios."""
    text = PAGE.read_text() if PAGE.exists() else ""
    sections = {match[1]: match[2].strip() for match in _SECTION.finditer(text)}
    sections[scenario.name] = section(scenario, outcome, circumstances)
    known = [name for name in order if name in sections]
    parts = [f"{_MARK.format(name)}\n{sections[name]}\n" for name in known]
    PAGE.write_text("\n".join([_HEAD, *parts]))


def section(scenario: Scenario, outcome: Outcome, circumstances: Circumstances) -> str:
    """One scenario as Markdown."""
    told = (
        f"Measured {circumstances.date} at {circumstances.commit}, {circumstances.form} form, on "
        f"{circumstances.machine}, load before {circumstances.load}; {circumstances.versions}."
    )
    return "\n\n".join(
        [
            f"## {scenario.title}",
            scenario.about,
            _table(_COLUMNS, [_cells(row) for row in outcome.rows]),
            *(_detail(detail) for detail in outcome.details),
            *(["\n".join(f"- {note}" for note in outcome.notes)] if outcome.notes else []),
            f"<sub>{told}</sub>",
        ]
    )


_COLUMNS = ("what", "measured", "target", "", "best known elsewhere")


def _cells(row: Row) -> tuple[str, ...]:
    verdict = f"**{row.verdict}**" if row.met is False else row.verdict
    return row.what, row.measured, row.target, verdict, row.elsewhere


def _detail(detail: Detail) -> str:
    return f"{detail.title}:\n\n{_table(detail.columns, detail.rows)}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
