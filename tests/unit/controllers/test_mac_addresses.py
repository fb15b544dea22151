"""MACs for NICs that boot data name before the clone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.controllers.machine import mac_addresses


@given(st.text(min_size=1))
def test_a_mac_is_of_the_range_that_people_may_assign(machine_id: str) -> None:
    mac = mac_addresses.choose(machine_id, lambda _: False)
    assert mac[:8] == "00:50:56"
    assert 0 <= int(mac[9:11], 16) <= 0x3F
    assert mac == mac.lower()
    assert [len(part) for part in mac.split(":")] == [2] * 6


def test_a_machine_always_begins_with_the_same_mac_and_goes_on_from_it() -> None:
    first = mac_addresses.choose("id-1", lambda _: False)
    assert first == mac_addresses.choose("id-1", lambda _: False)
    second = mac_addresses.choose("id-1", {first}.__contains__)
    assert int(second.replace(":", ""), 16) - int(first.replace(":", ""), 16) == 1


def test_after_the_last_mac_comes_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mac_addresses, "_COUNT", 8)
    assert mac_addresses.choose("x", lambda mac: mac != "00:50:56:00:00:00") == "00:50:56:00:00:00"
