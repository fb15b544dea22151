"""A Cluster's folder: where it belongs and what is done next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from vsphere_operator.api.cluster import Cluster, FolderStatus
from vsphere_operator.api.operations import Origin
from vsphere_operator.api.seed import Seed
from vsphere_operator.controllers.cluster import folder
from vsphere_operator.controllers.cluster.folder import Place, Seen
from vsphere_operator.controllers.datacenters import Offer
from vsphere_operator.vsphere.morefs import MoRef

ID = "11111111-2222-3333-4444-555555555555"


def _offer(**vsphere: Any) -> Offer:
    seed = Seed.model_validate(samples.a_seed(**vsphere))
    return Offer("europe", "frankfurt", seed.spec.datacenters["frankfurt"].vsphere)


@pytest.mark.parametrize(
    ("seed", "cluster", "path", "external"),
    [
        ({}, {}, "/DC0/vm/kubernetes/team-shop-shop", False),
        ({"rootPath": None}, {}, "/DC0/vm/team-shop-shop", False),
        ({}, {"basePath": "/DC0/vm/other"}, "/DC0/vm/other/team-shop-shop", False),
        ({}, {"basePath": "below/it"}, "/DC0/vm/kubernetes/below/it/team-shop-shop", False),
        ({}, {"folder": "/DC0/vm/theirs"}, "/DC0/vm/theirs", True),
    ],
)
def test_the_folder_belongs_where_the_settings_say(
    seed: dict[str, Any], cluster: dict[str, Any], path: str, external: bool
) -> None:
    found = folder.place(_offer(**seed), Cluster.model_validate(samples.a_cluster(**cluster)), ID)
    assert (found.path, found.external) == (path, external)
    assert found.working_name == (found.name if external else f"{found.name}~11111111")


def test_names_have_eighty_characters_at_most_and_stay_apart() -> None:
    assert folder.folder_name("a" * 40, "b" * 39) == "a" * 40 + "-" + "b" * 39
    one, two = folder.folder_name("n" * 63, "x" * 63), folder.folder_name("n" * 63, "x" * 62 + "y")
    assert len(one) == len(two) == 80
    assert one != two
    assert one == folder.folder_name("n" * 63, "x" * 63)
    place = folder.place(_offer(), Cluster.model_validate(samples.a_cluster("x" * 63, "n" * 63)), ID)
    assert len(place.working_name) == 80
    assert place.working_name.endswith("~11111111")


WHERE = Place("/root", "shop", "shop~1", external=False)
THEIRS = Place("/root", "theirs", "theirs", external=True)
OURS = FolderStatus(path="/root/shop", mo_ref="Folder:1", vcenter="vc", origin=Origin.CREATED)
WORKING = OURS.model_copy(update={"path": "/root/shop~1"})
ADOPTED = OURS.model_copy(update={"origin": Origin.ADOPTED})
EXTERNAL = FolderStatus(path="/root/theirs", mo_ref="Folder:1", vcenter="vc", origin=Origin.EXTERNAL)
ONE, PARENT = MoRef("Folder:1"), MoRef("Folder:root")
NEW = Seen(None, "vc", parent=PARENT)
THERE = Seen(OURS, "vc", recorded=ONE, recorded_name="shop", recorded_path="/root/shop", parent=PARENT)
HALF = replace(THERE, status=WORKING, recorded_name="shop~1", recorded_path="/root/shop~1")

STEPS: list[tuple[str, Seen, Place, folder.Step]] = [
    ("make it", NEW, WHERE, folder.Create(PARENT, "shop~1")),
    ("made before a crash", replace(NEW, working=ONE), WHERE, folder.Record(WORKING)),
    ("there before", replace(NEW, at_path=ONE), WHERE, folder.Record(ADOPTED)),
    ("name it", HALF, WHERE, folder.Rename(ONE, "shop")),
    ("as it should be", THERE, WHERE, folder.Ready(OURS, "Created")),
    ("adopted", replace(THERE, status=ADOPTED), WHERE, folder.Ready(ADOPTED, "Adopted")),
    ("not shown", replace(THERE, recorded=None), WHERE, folder.Confirm(ONE)),
    ("external", Seen(None, "vc", at_path=ONE), THEIRS, folder.Record(EXTERNAL)),
    ("external, known", Seen(EXTERNAL, "vc", at_path=ONE), THEIRS, folder.Ready(EXTERNAL, "External")),
    ("renamed in vCenter", replace(THERE, recorded_name="x", recorded_path="/root/x"), WHERE,
     folder.Record(OURS.model_copy(update={"path": "/root/x"}))),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "where", "step"), [r[1:] for r in STEPS], ids=[r[0] for r in STEPS])
def test_the_next_step(seen: Seen, where: Place, step: folder.Step) -> None:
    assert folder.plan(seen, where) == step


BLOCKS: list[tuple[str, Seen, Place]] = [
    ("FolderTaken", replace(NEW, at_path=ONE, taken_by="team/other"), WHERE),
    ("ParentFolderNotFound", replace(NEW, parent=None, first_missing="/root"), WHERE),
    ("FolderTaken", replace(HALF, at_path=MoRef("Folder:2")), WHERE),
    ("OtherVCenter", replace(THERE, vcenter="another"), WHERE),
    ("FolderNotFound", Seen(None, "vc"), THEIRS),
    ("FolderCreatedBefore", Seen(OURS, "vc", at_path=MoRef("Folder:2")), THEIRS),
]


@pytest.mark.parametrize(("reason", "seen", "where"), BLOCKS)
def test_what_stands_in_the_way_is_told(reason: str, seen: Seen, where: Place) -> None:
    step = folder.plan(seen, where)
    assert isinstance(step, folder.Block)
    assert step.problem.reason == reason


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (replace(HALF, rename_refused=True), "RenameNotPermitted"),
        (
            replace(
                THERE,
                status=OURS.model_copy(update={"path": "/root/x"}),
                recorded_name="x",
                recorded_path="/root/x",
            ),
            "Moved",
        ),
    ],
)
def test_a_folder_of_another_name_is_used_where_it_is(seen: Seen, reason: str) -> None:
    step = folder.plan(seen, WHERE)
    assert isinstance(step, folder.Ready)
    assert step.reason == reason
    assert step.message
