"""The samples that ship with the project, as plain objects."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "deploy" / "samples"
BASE = ROOT / "deploy" / "base"


def documents(directory: Path) -> list[dict[str, Any]]:
    """All objects of a directory, in the order of the files' names."""
    files = sorted(path for path in directory.glob("*.yaml") if path.name != "kustomization.yaml")
    return [document for path in files for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
