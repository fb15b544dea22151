import base64
import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.bootstrap.errors import DataTooLargeError
from vsphere_operator.bootstrap.guestinfo import (
    IGNITION_DATA,
    IGNITION_ENCODING,
    VALUE_LIMIT,
    ignition_values,
)

NOISE = random.Random(1).randbytes(80_000)  # noqa: S311


def decoded(values: dict[str, str]) -> bytes:
    raw = base64.b64decode(values[IGNITION_DATA], validate=True)
    return gzip.decompress(raw) if values[IGNITION_ENCODING] == "gzip+base64" else raw


@given(st.binary(min_size=1, max_size=2000))
def test_any_config_is_decoded_as_its_encoding_says(config: bytes) -> None:
    values = dict(ignition_values(config))
    assert sorted(values) == ["guestinfo.ignition.config.data", "guestinfo.ignition.config.data.encoding"]
    assert decoded(values) == config


@pytest.mark.parametrize(("config", "encoding"), [(b"{}", "base64"), (b"{}" * 1000, "gzip+base64")])
def test_the_shorter_encoding_is_taken(config: bytes, encoding: str) -> None:
    assert ignition_values(config)[IGNITION_ENCODING] == encoding


def test_a_large_config_that_packs_well_still_fits() -> None:
    values = dict(ignition_values(b"a" * 1_000_000))
    assert len(values[IGNITION_DATA]) < VALUE_LIMIT
    assert decoded(values) == b"a" * 1_000_000


def test_what_fits_is_counted_encoded() -> None:
    # Noise does not pack: base64 makes 4 bytes of 3.
    fits = VALUE_LIMIT // 4 * 3
    assert len(ignition_values(NOISE[:fits])[IGNITION_DATA]) <= VALUE_LIMIT
    with pytest.raises(DataTooLargeError, match=r"49141 bytes, \d+ when encoded.*move files out of it"):
        ignition_values(NOISE[: fits + 1])


def test_the_same_config_gives_the_same_value_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = ignition_values(b"{}" * 1000)
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    assert ignition_values(b"{}" * 1000) == now
