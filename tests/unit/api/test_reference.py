"""The reference says what the CRDs say."""

from pathlib import Path

import pytest

from vsphere_operator.api.crds import KINDS
from vsphere_operator.api.reference import main, render_reference

from .manifests import ROOT

PAGES = ROOT / "docs" / "api"


@pytest.mark.parametrize("name", sorted(render_reference()))
def test_the_committed_page_is_current(name: str) -> None:
    stale = "run python -m vsphere_operator.api.reference docs/api"
    assert (PAGES / name).read_text(encoding="utf-8") == render_reference()[name], stale


def test_every_kind_has_a_page_that_the_overview_links() -> None:
    overview = (PAGES / "README.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"[{kind.__name__}]({kind.definition.singular}.md)" in overview


def test_a_page_tells_types_meanings_needs_and_rules() -> None:
    page = render_reference()["cluster.md"]
    assert "| `datacenter` | string | The datacenter's name in a Seed. **required** |" in page
    assert "| `driftPolicy` | one of `Repair`, `Report` |" in page
    assert "| `spec.cloud.vsphere` | datastore and datastoreCluster exclude each other;" in page
    assert "| `metadata.name` | the name may have at most 63 characters" in page
    assert page.count("write the path without . and ..") == 1


def test_the_pages_are_written_where_one_asks(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    main(directory)
    assert {path.name for path in directory.iterdir()} == set(render_reference())
