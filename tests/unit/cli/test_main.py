from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vsphere_operator import __version__
from vsphere_operator.cli import main as module


def ran(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vsphere_operator.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env)


def test_help_needs_no_heavy_import() -> None:
    check = (
        "import sys; from vsphere_operator.cli import main as m; m._parser().format_help();"
        "print([x for x in ('kopf', 'kubernetes', 'aiohttp', 'pyVmomi', 'pydantic') if x in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_version_is_printed() -> None:
    with pytest.raises(SystemExit) as caught:
        module.main(["version"])
    assert caught.value.code == 0
    assert ran("version").stdout == f"vsphere-operator {__version__}\n"


def test_a_bad_kubeconfig_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = ran("run", "--kubeconfig", str(tmp_path / "nowhere"), "--health-port", "0")
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "nowhere is not a file" in result.stderr


def test_outside_of_a_pod_without_a_kubeconfig_the_flag_is_named() -> None:
    result = ran("run", "--health-port", "0", env={"PATH": ""})
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "--kubeconfig" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--workers", "0"],
        ["run", "--health-port", "70000"],
        ["run", "--log-level", "loud"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        module.main(arguments)
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


UNREACHABLE = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: sesame-open}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def test_an_api_server_that_is_away_is_one_line_and_waited_for_until_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(UNREACHABLE)
    command = [sys.executable, "-m", "vsphere_operator.cli", "run", "--kubeconfig", str(path)]
    with subprocess.Popen([*command, "--health-port", "0"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        time.sleep(1.5)  # it tries again meanwhile
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        rest = process.stderr.read()
    assert "cannot reach https://127.0.0.1:1" in first
    assert rest == ""
    assert "sesame" not in first


def test_a_health_port_that_is_taken_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(UNREACHABLE)
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = ran("run", "--kubeconfig", str(path), "--health-port", port)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert port in result.stderr
