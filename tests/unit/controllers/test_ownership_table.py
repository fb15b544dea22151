"""Whose folder, tags and categories are: for each case the whole life of a Cluster, with a death around every call.

After each stage exactly what is wanted is there, once, and what others have is as it was; in the end nothing of ours
is left that nobody else uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from vsphere_operator.vsphere.inventory.entities import Folder
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.ownership import TagMark
from vsphere_operator.vsphere.tags import Category, Tag

READS = ("vcenter: read", "vcenter: list", "vcenter: prove")
FIRST = [{"name": "env"}, {"name": "shop", "category": "owner"}]
THEN = [{"name": "env"}, {"name": "new", "category": "added"}]
PLACE = "/DC0/vm/kubernetes"


def nothing(_: Site) -> None:
    """Only the category `k8c`, which a person has made."""


def adopted_folder(site: Site) -> None:
    folder = site.world.add_folder("team-shop-shop")
    site.world.tags["theirs"] = Tag("theirs", "theirs", "a person's", "cat-k8c")
    site.world.attached.add(("theirs", folder))


def adopted_tags(site: Site) -> None:
    site.world.categories["cat-owner"] = Category("cat-owner", "owner", "a person's", "MULTIPLE")
    site.world.tags["theirs-env"] = Tag("theirs-env", "env", "a person's", "cat-k8c")
    site.world.tags["theirs-shop"] = Tag("theirs-shop", "shop", "a person's", "cat-owner")
    precious = site.world.add_vm("precious", site.world.folder("vm"))
    site.world.attached |= {("theirs-env", precious.moref), ("theirs-shop", precious.moref)}


def external_folder(site: Site) -> None:
    site.world.add_folder("given")


def marked_by_another_installation(site: Site) -> None:
    """Of our making by its looks, and not by this installation."""
    mark = TagMark("another", "somebody-elses").as_description()
    site.world.categories["cat-owner"] = Category("cat-owner", "owner", mark, "MULTIPLE")
    site.world.tags["theirs-shop"] = Tag("theirs-shop", "shop", mark, "cat-owner")


@dataclass(frozen=True)
class Case:
    """``given`` is there before. ``folder`` is the tagged one; ``origins`` is what the ledger says, by name."""

    given: Callable[[Site], None]
    spec: dict[str, Any] = field(default_factory=dict)
    folder: str | None = "team-shop-shop"
    origin: str = "Created"
    adopted: frozenset[str] = frozenset()


CASES = {
    "ours": Case(nothing),
    "ours, on VMs too": Case(nothing, {"tagVMs": True}),
    "the folder adopted": Case(adopted_folder, origin="Adopted"),
    "tags and a category adopted": Case(adopted_tags, adopted=frozenset({"env", "shop"})),
    "tags adopted, on VMs too": Case(adopted_tags, {"tagVMs": True}, adopted=frozenset({"env", "shop"})),
    "a folder of a person's": Case(
        external_folder, {"folder": f"{PLACE}/given", "tagVMs": True}, folder=None, origin="External"
    ),
    "another installation's": Case(marked_by_another_installation, adopted=frozenset({"shop"})),
}


def things(site: Site) -> dict[str, Any]:
    """Everything in vCenter that has an owner, but for the worker."""
    world = site.world
    return {
        "folders": {m: e for m, e in world.entities.items() if isinstance(e, Folder)},
        "tags": dict(world.tags),
        "categories": dict(world.categories),
        "vms": {m: v.details for m, v in world.vms.items() if v.details.name != "worker-1"},
        "attached": set(world.attached),
    }


def theirs_is_as_it_was(site: Site, before: dict[str, Any]) -> None:
    now = things(site)
    for kind in ("folders", "tags", "categories", "vms"):
        assert {k: now[kind].get(k) for k in before[kind]} == before[kind], kind
    assert before["attached"] <= now["attached"]


def is_as_wanted(site: Site, case: Case, tags: list[dict[str, str]], before: dict[str, Any]) -> None:
    """Everything that is wanted, once, on what shall carry it; and nothing else."""
    world, status = site.world, site.object("Cluster", "shop")["status"]
    assert site.is_ready("Cluster", "shop"), status
    assert status["folder"]["origin"] == case.origin
    wanted = Counter((t.get("category", "k8c"), t["name"]) for t in tags)
    used = {(world.categories[t.category_id].name, t.name) for t in world.tags.values()} - {
        (world.categories[t.category_id].name, t.name) for t in before["tags"].values()
    }
    assert Counter(c.name for c in world.categories.values()).most_common(1)[0][1] == 1
    assert len({(t.category_id, t.name) for t in world.tags.values()}) == len(world.tags)
    assert used <= set(wanted), "nothing of ours stays that is wanted no more"
    origins = {t["name"]: t["origin"] for t in status["tags"]}
    assert origins == {n: "Adopted" if n in case.adopted else "Created" for _, n in wanted}
    ids = {t["id"] for t in status["tags"]}
    assert {t for t, o in world.attached - before["attached"] if o == MoRef(status["folder"]["moRef"])} == (
        ids if case.folder else set()
    )
    on_vm = {t for t, o in world.attached if o == site.vm_of("worker-1").moref}
    assert on_vm == (ids if case.spec.get("tagVMs") else set())
    names = [e.name for e in world.entities.values() if isinstance(e, Folder)]
    assert names.count("team-shop-shop") == (1 if case.folder else 0)
    assert not [n for n in names if n and "~" in n]


def create(site: Site, case: Case) -> None:
    site.api.put(samples.a_cluster(tags=FIRST, **case.spec))
    site.api.put(samples.a_machine())


def change(site: Site, case: Case) -> None:
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"tags": THEN}}})


def delete(site: Site, case: Case) -> None:
    site.delete("Cluster", "shop")


STAGES = [create, change, delete]


async def _live(site: Site, case: Case, dies_in: Callable[..., None] | None, at: int) -> list[str]:
    """A whole life, with a death after the call number `at` of one stage; the calls of that stage."""
    case.given(site)
    before, calls = things(site), []
    for stage in STAGES:
        since = len(site.outgoing.names)
        stage(site, case)
        if stage is dies_in and at:
            assert await site.run_and_die(at, "after")
        await site.run()
        if stage is dies_in:
            calls = site.outgoing.names[since:]
        await site.run(patience=700)
        theirs_is_as_it_was(site, before)
        if stage is not delete:
            is_as_wanted(site, case, FIRST if stage is create else THEN, before)
    assert not site.exists("Cluster", "shop"), site.object("Cluster", "shop")
    assert things(site) == before
    assert {v.details.name for v in site.world.workers()} <= {"precious"}
    assert not site.world.violations
    return calls


@pytest.mark.parametrize("stage", STAGES, ids=lambda s: str(s.__name__))
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_ownership_holds_wherever_the_process_dies(
    clock: Clock, case: Case, stage: Callable[..., None]
) -> None:
    """A death before a call is one after the call before it, and a death after a read is one before it."""
    calls = await _live(Site(clock), case, stage, 0)
    changes = [at for at, name in enumerate(calls, 1) if not name.startswith(READS)]
    assert len(changes) > 3, "there is nothing to interrupt"
    for at in changes:
        site = Site(clock)
        try:
            await _live(site, case, stage, at)
        except AssertionError as error:
            raise AssertionError(
                f"after call {at} of {stage.__name__}: {site.outgoing.names[-30:]}"
            ) from error
