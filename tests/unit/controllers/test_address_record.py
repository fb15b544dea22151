"""What a VM carries about its addresses."""

from __future__ import annotations

import pytest

from vsphere_operator.api.machine import StaticAddress
from vsphere_operator.controllers.machine import address_record

FOUR = StaticAddress(
    address="10.1.0.2", cidr="10.1.0.0/24", gateway="10.1.0.1", dns_servers=["10.1.0.3", "2001:db8::53"]
)
SIX = StaticAddress(address="2001:db8::2", cidr="2001:db8::/64")


def test_what_was_written_is_read() -> None:
    written = address_record.write([FOUR, SIX])
    assert written == {
        "userclusters.io.static-addresses": (
            "10.1.0.2 10.1.0.0/24 10.1.0.1 10.1.0.3,2001:db8::53; 2001:db8::2 2001:db8::/64 - -"
        )
    }
    assert address_record.read(written) == (FOUR, SIX)


def test_without_addresses_nothing_is_written() -> None:
    assert address_record.write([]) == {}
    assert address_record.read({}) == ()


@pytest.mark.parametrize(
    "text", ["", "x", "10.1.0.2 10.2.0.0/24 - -", "a b c d", "10.1.0.2 10.1.0.0/24 -", "1 2 3 4 5"]
)
def test_what_cannot_be_understood_says_nothing(text: str) -> None:
    assert address_record.read({address_record.KEY: text}) == ()
