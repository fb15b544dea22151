"""The committed CRDs are those of the models, and the command that makes them can be trusted."""

from pathlib import Path

import pytest
import yaml

from vsphere_operator.api.crds import KINDS, render_crds
from vsphere_operator.cli.crds import run

from .manifests import ROOT

CRDS = ROOT / "crds"


def test_the_committed_crds_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(CRDS, check=True)
    assert code == 0, capsys.readouterr().err


def test_a_stale_a_missing_and_a_left_over_file_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, check=False) == 0
    (tmp_path / "userclusters.io_seeds.yaml").write_text("stale", encoding="utf-8")
    (tmp_path / "userclusters.io_machines.yaml").unlink()
    (tmp_path / "userclusters.io_ghosts.yaml").write_text("", encoding="utf-8")

    assert run(tmp_path, check=True) == 1

    complaints = capsys.readouterr().err
    assert "userclusters.io_seeds.yaml is stale: run" in complaints
    assert "userclusters.io_machines.yaml is stale: run" in complaints
    assert "userclusters.io_ghosts.yaml belongs to no kind: remove it" in complaints
    assert len(complaints.splitlines()) == 3


def test_written_files_are_current_at_once(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "crds"
    assert run(directory, check=False) == 0
    assert run(directory, check=True) == 0


def test_without_a_directory_the_crds_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, check=False) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [document["spec"]["names"]["kind"] for document in printed] == [kind.__name__ for kind in KINDS]


def test_a_check_needs_a_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, check=True) == 2
    assert "--check needs --output" in capsys.readouterr().err


def test_rendering_is_the_same_each_time() -> None:
    assert render_crds() == render_crds()


@pytest.mark.parametrize("name", sorted(render_crds()))
def test_no_reference_or_anchor_is_left_in_the_text(name: str) -> None:
    text = render_crds()[name]
    assert "$ref" not in text
    assert "$defs" not in text
    assert "&id" not in text
    assert yaml.safe_load(text)["metadata"]["name"] == name.removeprefix("userclusters.io_").replace(
        ".yaml", ".userclusters.io"
    )
