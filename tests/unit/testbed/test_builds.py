"""Keys of builds, who may build, and which binary wins."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from testbed import builds
from testbed.builds import Build, BuildError, binary_paths, ensure_binaries, lock, source_hash

PROGRAM = Build(name="program", packages=(".",), binaries=("program",))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    directory = tmp_path / "sources"
    (directory / "program").mkdir(parents=True)
    (directory / "program" / "go.mod").write_text("module program\n")
    (directory / "program" / "main.go").write_text("package main\n")
    return directory


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv(builds.CACHE_VARIABLE, str(directory))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return directory


@pytest.mark.parametrize("file", ["go.mod", "main.go", "go.sum", "added.go"])
def test_a_changed_source_changes_the_key(sources: Path, file: str) -> None:
    before = source_hash(PROGRAM, sources)
    (sources / "program" / file).write_text("something else\n")
    assert source_hash(PROGRAM, sources) != before


@pytest.mark.parametrize("file", ["main_test.go", "README.md", "program"])
def test_what_does_not_go_into_the_binary_is_not_in_the_key(sources: Path, file: str) -> None:
    before = source_hash(PROGRAM, sources)
    (sources / "program" / file).write_text("something else\n")
    assert source_hash(PROGRAM, sources) == before


def test_changed_flags_change_the_key(sources: Path) -> None:
    other = Build(name="program", packages=(".",), binaries=("program",), ldflags="-X version=2")
    assert source_hash(PROGRAM, sources) != source_hash(other, sources)


def test_the_key_does_not_depend_on_where_the_checkout_is(sources: Path) -> None:
    moved = sources.rename(sources.parent / "moved")
    before = source_hash(PROGRAM, moved)
    assert source_hash(PROGRAM, moved.rename(moved.parent / "again")) == before


def test_the_cache_is_outside_the_checkout_and_can_be_moved(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert builds.cache_root() == cache
    monkeypatch.delenv(builds.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert builds.cache_root() == Path("/somewhere/vsphere-operator/testbed")


def _executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_binary_of_the_users_own_wins(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = _executable(tmp_path / "assets" / "etcd")
    named = _executable(tmp_path / "mine" / "kube-apiserver")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(asset.parent))
    monkeypatch.setenv("TESTBED_KUBE_APISERVER", str(named))
    paths = binary_paths()
    assert paths["etcd"] == asset
    assert paths["kube-apiserver"] == named
    assert paths["vcenter"].is_relative_to(cache)


def test_a_named_binary_that_does_not_exist_is_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_ETCD", "/nowhere/etcd")
    with pytest.raises(BuildError, match="TESTBED_ETCD names /nowhere/etcd"):
        binary_paths()


def test_what_is_built_already_is_not_built_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builds, "BUILDS", (builds.PKI,))
    built = _executable(builds.build_directory(builds.PKI) / "pki")
    told: list[str] = []
    assert ensure_binaries(told.append) == {"pki": built}
    assert told == []


def test_a_failing_build_says_why_and_leaves_nothing(
    cache: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sources / "program" / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    monkeypatch.setattr(builds, "SOURCES", sources)
    monkeypatch.setattr(builds, "BUILDS", (PROGRAM,))
    monkeypatch.setattr(builds, "build_directory", lambda build: cache / "program-key")
    monkeypatch.setattr(builds, "go_program", lambda cache, progress: _failing_go(cache))
    with pytest.raises(BuildError, match=r"building program failed:\nmain\.go:3: undefined"):
        ensure_binaries(lambda text: None)
    assert not (cache / "program-key").exists()
    assert [path.name for path in cache.iterdir() if path.is_dir() and "program" in path.name] == []


def _failing_go(cache: Path) -> Path:
    go = _executable(cache / "go")
    go.write_text("#!/bin/sh\necho 'program' >&2\necho 'main.go:3: undefined' >&2\nexit 1\n")
    return go


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path, order = tmp_path / "build.lock", []
    waiting = threading.Event()

    def second() -> None:
        with lock(path, waiting.set):
            order.append("second")

    with lock(path, lambda: pytest.fail("nobody else has it")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "build.lock"
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom testbed.builds import lock\n"
        "with lock(Path(sys.argv[1]), lambda: None):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], cwd=builds.SOURCES.parent, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with lock(path, lambda: pytest.fail("its holder is dead")):
        pass
