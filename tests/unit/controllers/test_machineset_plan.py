"""Which Machines a set makes and which it lets go."""

from __future__ import annotations

import pytest

from vsphere_operator.controllers.machineset.machines import machine_name
from vsphere_operator.controllers.machineset.plan import MachineView, plan


def _one(name: str, created: str = "2026-01-01T00:00:00Z", **state: bool) -> MachineView:
    return MachineView(name, f"uid-{name}", created, **state)


OLD = _one("old", "2026-01-01T00:00:00Z", ready=True)
MID = _one("mid", "2026-01-02T00:00:00Z", ready=True)
NEW = _one("new", "2026-01-03T00:00:00Z", ready=True)
UNREADY = _one("unready", "2025-01-01T00:00:00Z")
MARKED = _one("marked", "2026-01-02T00:00:00Z", ready=True, marked=True)
FAILED = _one("failed", failed=True)
LEAVING = _one("leaving", deleting=True, ready=True)

ROWS: list[tuple[int, list[MachineView], str | None, int, list[str]]] = [
    (3, [], None, 3, []),
    (2, [OLD, NEW], None, 0, []),
    (0, [OLD, NEW], "Newest", 0, ["new", "old"]),
    (1, [OLD, MID, NEW], "Newest", 0, ["new", "mid"]),
    (1, [OLD, MID, NEW], "Oldest", 0, ["old", "mid"]),
    (2, [OLD, NEW, UNREADY], "Oldest", 0, ["unready"]),
    (2, [OLD, UNREADY, MARKED], "Newest", 0, ["marked"]),
    (1, [FAILED], None, 1, ["failed"]),
    (1, [FAILED, OLD], None, 0, ["failed"]),
    (0, [FAILED], None, 0, ["failed"]),
    (1, [LEAVING], None, 1, []),
    (1, [LEAVING, OLD], None, 0, []),
]


@pytest.mark.parametrize(("replicas", "machines", "policy", "create", "delete"), ROWS)
def test_the_difference_is_made_good(
    replicas: int, machines: list[MachineView], policy: str | None, create: int, delete: list[str]
) -> None:
    found = plan(replicas=replicas, machines=machines, delete_policy=policy)
    assert found.create == create
    assert [m.name for m in found.delete] == delete
    assert found == plan(replicas=replicas, machines=machines[::-1], delete_policy=policy)


def test_age_says_nothing_unless_a_policy_says_so() -> None:
    """The default is Random, as the API says: by UID, so that the same look gives the same answer."""
    machines = [
        MachineView(n, u, f"2026-01-0{d}T00:00:00Z")
        for n, u, d in (("a", "3", 1), ("b", "1", 2), ("c", "2", 3))
    ]
    for policy in (None, "Random"):
        assert [m.name for m in plan(replicas=1, machines=machines, delete_policy=policy).delete] == [
            "b",
            "c",
        ]


@pytest.mark.parametrize("name", ["workers-abcdef12", "x" * 57, "y" * 80, "a" * 56 + "-b"])
def test_names_are_fresh_host_names(name: str) -> None:
    made = {machine_name(name) for _ in range(50)}
    assert len(made) > 45
    assert all(len(m) <= 63 and m[-6] == "-" and "--" not in m for m in made)
