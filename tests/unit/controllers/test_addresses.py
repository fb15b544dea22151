"""Which of a guest's addresses are the machine's."""

from __future__ import annotations

import pytest

from vsphere_operator.controllers.machine.addresses import routable, typed


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["10.0.0.1"], ["10.0.0.1"]),
        (["fe80::1", "2001:db8::1"], ["2001:db8::1"]),
        (["169.254.0.1", "127.0.0.1", "::1", "::", "224.0.0.1", "ff02::1"], []),
        (["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.2", "10.0.0.1"]),
        (["no address", "", "fe80::1%eth0"], []),
        (["2001:DB8:0::1"], ["2001:db8::1"]),
        ([], []),
    ],
)
def test_addresses_that_others_can_reach_are_kept(given: list[str], kept: list[str]) -> None:
    assert routable(given) == kept


def test_the_host_name_comes_with_the_first_address() -> None:
    assert [(a.type.value, a.address) for a in typed("w", ["10.0.0.1"])] == [
        ("InternalIP", "10.0.0.1"),
        ("Hostname", "w"),
    ]
    assert typed("w", ["fe80::1"]) == []
