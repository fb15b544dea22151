"""Label selectors select as Kubernetes' do."""

from typing import Any

import pytest

from vsphere_operator.api.references import LabelSelector


def selector(**parts: Any) -> LabelSelector:
    return LabelSelector.model_validate(parts)


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


LABELS = {"pool": "workers", "zone": "a"}


@pytest.mark.parametrize(
    ("chosen", "matches"),
    [
        (selector(), True),
        (selector(matchLabels={"pool": "workers"}), True),
        (selector(matchLabels={"pool": "workers", "zone": "b"}), False),
        (selector(matchLabels={"other": ""}), False),
        (selector(matchExpressions=[expression("zone", "In", "a", "b")]), True),
        (selector(matchExpressions=[expression("zone", "In", "b")]), False),
        (selector(matchExpressions=[expression("other", "In", "b")]), False),
        (selector(matchExpressions=[expression("zone", "NotIn", "b")]), True),
        (selector(matchExpressions=[expression("zone", "NotIn", "a")]), False),
        (selector(matchExpressions=[expression("other", "NotIn", "a")]), True),
        (selector(matchExpressions=[expression("zone", "Exists")]), True),
        (selector(matchExpressions=[expression("other", "Exists")]), False),
        (selector(matchExpressions=[expression("zone", "DoesNotExist")]), False),
        (selector(matchExpressions=[expression("other", "DoesNotExist")]), True),
        (selector(matchLabels={"pool": "workers"}, matchExpressions=[expression("zone", "In", "b")]), False),
    ],
)
def test_all_parts_of_a_selector_must_match(chosen: LabelSelector, matches: bool) -> None:
    assert chosen.matches(LABELS) is matches


def test_a_selector_is_written_as_the_scale_subresource_reads_it() -> None:
    chosen = selector(
        matchLabels={"b": "2", "a": "1"},
        matchExpressions=[
            expression("zone", "In", "y", "x"),
            expression("zone", "NotIn", "z"),
            expression("here", "Exists"),
            expression("gone", "DoesNotExist"),
        ],
    )
    assert chosen.to_query() == "a=1,b=2,zone in (x,y),zone notin (z),here,!gone"
