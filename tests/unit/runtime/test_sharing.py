"""What objects have in common is kept once, and never mixed up."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.runtime.sharing import Sharing

SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-1, 1) | st.sampled_from(["a", "b", "1", ""])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def _exact(value: Any) -> str:
    """Tells 1, 1.0 and true apart, which are equal in Python."""
    return json.dumps(value)


@given(st.lists(VALUES, max_size=30), st.integers(1, 6))
def test_whatever_came_before_a_value_comes_back_as_it_was(values: list[Any], kept: int) -> None:
    sharing = Sharing(kept)
    results = []
    for value in values:
        results.append(sharing.shared(copy.deepcopy(value)))
    assert [_exact(r) for r in results] == [_exact(v) for v in values]


def test_equal_parts_become_one() -> None:
    sharing = Sharing()
    one = sharing.shared({"spec": {"cpus": 2, "tags": ["a", "b"]}, "name": "w-1"})
    two = sharing.shared({"spec": {"cpus": 2, "tags": ["a", "b"]}, "name": "w-2"})
    assert one["spec"] is two["spec"]
    assert one["name"] == "w-1"
    assert two["name"] == "w-2"


def test_what_is_not_met_again_is_forgotten() -> None:
    sharing = Sharing(kept=10)
    first = sharing.shared({"a": ["x"]})
    for number in range(100):
        sharing.shared({"b": str(number)})
    assert sharing.shared({"a": ["x"]}) is not first
    assert sharing.remembered <= 20


def test_what_is_met_often_stays_known() -> None:
    sharing = Sharing(kept=10)
    first = sharing.shared({"a": ["x"]})
    for number in range(100):
        sharing.shared({"b": str(number)})
        assert sharing.shared({"a": ["x"]}) is first
