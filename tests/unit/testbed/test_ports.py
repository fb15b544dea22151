"""Ports that two test beds never share."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from testbed import ports
from testbed.ports import NoPortError, lease_port


def test_a_leased_port_is_not_leased_again_until_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = lease_port(tmp_path).port
    monkeypatch.setattr(ports, "_RANGE", range(port, port + 1))
    monkeypatch.setattr("random.sample", lambda population, k: list(population))
    lease = lease_port(tmp_path / "other")
    assert lease.port == port
    with pytest.raises(NoPortError, match="no free port"):
        lease_port(tmp_path / "other")
    lease.release()
    assert lease_port(tmp_path / "other").port == port


def test_a_port_that_somebody_listens_on_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        monkeypatch.setattr(ports, "_RANGE", range(taken, taken + 1))
        monkeypatch.setattr("random.sample", lambda population, k: list(population))
        with pytest.raises(NoPortError):
            lease_port(tmp_path)


def test_ports_are_not_those_of_outgoing_connections(tmp_path: Path) -> None:
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert lease_port(tmp_path).port < max(first, 32768)
