"""`vsphere-operator crds`: write the CustomResourceDefinitions, or say whether written ones are current."""

import sys
from pathlib import Path

from vsphere_operator.api.crds import render_crds


def run(output: Path | None, check: bool) -> int:
    """Write the CRDs into a directory, or print them without one; the exit code.

    With `check` nothing is written: 1 when a file in the directory is missing, stale, or of no kind any more.
    """
    files = render_crds()
    if output is None:
        if check:
            print("crds: --check needs --output, the directory to compare with", file=sys.stderr)
            return 2
        print("---\n".join(files.values()), end="")
        return 0
    if check:
        return _check(output, files)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8")
    return 0


def _check(directory: Path, files: dict[str, str]) -> int:
    stale = [name for name, text in files.items() if _read(directory / name) != text]
    left_over = sorted(path.name for path in directory.glob("*.yaml") if path.name not in files)
    for name in stale:
        print(
            f"{directory / name} is stale: run `vsphere-operator crds --output {directory}`", file=sys.stderr
        )
    for name in left_over:
        print(f"{directory / name} belongs to no kind: remove it", file=sys.stderr)
    return 1 if stale or left_over else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
