"""Durations are read as Go and Kubernetes write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.api.durations import PATTERN, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("250ms", 0.25),
        ("1m1s", 61),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "5 m", "-5m", "5d", "m", "1h-5m", "1.h", "5m\n", "10us", "\u0661m"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 90s, 5m or 1h30m"):
        parse_duration(text)


@given(hours=st.integers(0, 999), minutes=st.integers(0, 999), seconds=st.integers(0, 999))
def test_hours_minutes_and_seconds_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(st.from_regex(PATTERN, fullmatch=True))
def test_whatever_the_crd_lets_in_can_be_read(text: str) -> None:
    assert re.fullmatch(PATTERN, text)
    assert parse_duration(text) >= 0
