"""What a plan says would be done is what is done, and saying it changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.process import INSTALLATION
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.user_cluster import FakeUserClusters
from tests.unit.controllers.fakes.vcenter import NO_PERMISSION
from vsphere_operator.controllers import clusters
from vsphere_operator.controllers.cluster import deletion_preview, upkeep_preview
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.losses import Losses
from vsphere_operator.controllers.planned import Action, Planned, stopping

TAGGED: dict[str, Any] = {"tags": [{"name": "env"}, {"name": "shop", "category": "owner"}]}
READS = ("read", "prove", "list", "kube: read")


async def _preview(site: Site, *, delete: bool) -> list[Planned]:
    """With everything compared before and after."""
    process = site.process
    before = copy.deepcopy(
        (
            site.api.objects,
            site.world.entities,
            site.world.tags,
            site.world.attached,
            site.user_cluster.objects,
        )
    )
    calls = len(site.outgoing.names)
    cluster = process.objects.get("Cluster", NAMESPACE, "shop")
    assert cluster is not None
    work = Work(cluster, process.objects, INSTALLATION, Losses(process.objects, site.clock.monotonic))
    found = await clusters.access(process.objects, process.vcenters, work.cluster)
    unreachable = found if isinstance(found, Problem) else None
    work.access = None if isinstance(found, Problem) else found
    if delete:
        preview = deletion_preview.Preview(work, FakeUserClusters(site.user_cluster), unreachable)
        steps = await deletion_preview.steps(preview)
    else:
        steps = await upkeep_preview.steps(work, unreachable)
    now = (
        site.api.objects,
        site.world.entities,
        site.world.tags,
        site.world.attached,
        site.user_cluster.objects,
    )
    assert now == before
    made = [n.removeprefix("vcenter: ") for n in site.outgoing.names[calls:]]
    assert [n for n in made if not n.startswith(READS)] == []
    return steps


async def deletion(site: Site) -> list[Planned]:
    return await _preview(site, delete=True)


async def upkeep(site: Site) -> list[Planned]:
    return await _preview(site, delete=False)


def told(steps: list[Planned], action: Action) -> list[str]:
    return [s.thing for s in steps if s.action is action]


def why(steps: list[Planned], thing: str) -> str:
    return next(s.why for s in steps if thing in s.thing)


async def test_a_deletion_is_told_in_the_order_in_which_it_then_goes(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.api.put(samples.a_deployment(replicas=2))
    await site.run()
    steps = await deletion(site)
    assert stopping(steps) == []
    deletes = told(steps, Action.DELETE)
    kinds = [d.split(" ")[0] for d in deletes]
    assert kinds == ["MachineDeployment", "MachineSet", "Machine", "Machine", "folder", "tag", "tag", "tag"]
    assert deletes[4:] == [
        "folder /DC0/vm/kubernetes/team-shop-shop",
        'tag "env"',
        'tag "shop"',
        'tag category "owner"',
    ]
    assert "k8c" in " ".join(told(steps, Action.KEEP))
    assert "powered off, destroyed" in why(steps, "Machine workers-").replace(" and ", ", ")
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]
    assert not site.world.tags
    assert list(site.world.categories) == ["cat-k8c"]


async def test_what_stops_a_deletion_is_told_before_it_begins(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.world.add_vm("theirs", site.world.folder("team-shop-shop"))
    other = site.world.add_vm("other", site.world.folder("vm"))
    (env,) = (t.id for t in site.world.tags.values() if t.name == "env")
    site.world.attached.add((env, other.moref))
    site.world.publish()
    steps = await deletion(site)
    assert told(steps, Action.STOP) == ["folder /DC0/vm/kubernetes/team-shop-shop", 'tag "env"']
    assert '"theirs"' in why(steps, "folder")
    assert '"other"' in why(steps, 'tag "env"')
    site.delete("Cluster", "shop")
    await site.run()
    assert site.reason("Cluster", "shop") == "FolderNotEmpty"


async def test_a_vm_that_is_not_proven_ours_stops_the_plan_as_it_stops_the_deletion(site: Site) -> None:
    await site.with_machine()
    site.vm_of("worker-1").change(extra_config={})
    site.world.publish()
    steps = await deletion(site)
    assert told(steps, Action.STOP)[0] == "Machine worker-1"
    site.delete("Cluster", "shop")
    await site.run(patience=20)
    assert site.condition("Cluster", "shop", "Deleting")["reason"] == "WorkersCannotGo"


async def test_tags_that_cannot_be_proven_unused_are_told_as_left_behind_and_then_are(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.world.out_of_sight = "the user may not read all of vCenter"
    steps = await deletion(site)
    assert stopping(steps) == []
    assert told(steps, Action.LEAVE)[:2] == ['tag "env"', 'tag "shop"']
    assert "may not read all" in why(steps, 'tag "env"')
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert len(site.world.tags) == 2


async def test_what_was_there_before_is_kept_and_what_is_shared_is_left_to_the_last(site: Site) -> None:
    site.world.add_folder("team-shop-shop")
    site.world.publish()
    await site.with_cluster(**TAGGED)
    site.api.put(samples.a_cluster("twin", **TAGGED))
    await site.run()
    steps = await deletion(site)
    assert stopping(steps) == []
    assert told(steps, Action.DETACH) == ['tag "env"', 'tag "shop"']
    assert any(t.startswith("folder ") for t in told(steps, Action.KEEP))
    site.delete("Cluster", "shop")
    await site.run()
    assert "team-shop-shop" in site.world.folders()
    assert len(site.world.tags) == 2


@pytest.mark.parametrize("words", ["machines,folder,tags", "all"])
async def test_what_a_person_lets_go_of_is_told_as_left_behind(site: Site, words: str) -> None:
    await site.with_machine()
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": TAGGED}})
    await site.run()
    site.api.edit("Cluster", NAMESPACE, "shop", metadata={"annotations": {"userclusters.io/orphan": words}})
    site.api.delete("Secret", "vsphere-operator", "infra")
    steps = await deletion(site)
    assert stopping(steps) == []
    assert "stays" in why(steps, "Machine worker-1")
    left = told(steps, Action.LEAVE)
    assert left[0] == "folder /DC0/vm/kubernetes/team-shop-shop"
    assert 'tag "env"' in left


async def test_without_vcenter_the_plan_tells_what_it_knows_and_what_is_missing(site: Site) -> None:
    await site.with_machine()
    site.api.delete("Secret", "vsphere-operator", "infra")
    steps = await deletion(site)
    assert told(steps, Action.STOP) == ["Machine worker-1", "folder /DC0/vm/kubernetes/team-shop-shop"]
    assert "vsphere-operator/infra" in why(steps, "folder")
    assert told(await upkeep(site), Action.STOP) == ["Cluster"]


async def test_the_user_clusters_things_are_listed_when_they_are_to_go(site: Site) -> None:
    await site.with_cluster()
    site.api.secret(NAMESPACE, "shop-kubeconfig", value="good")
    deletion_ = {"volumes": "Delete", "loadBalancers": "Delete"}
    spec = {"kubeconfigSecretRef": {"name": "shop-kubeconfig"}, "deletion": deletion_}
    site.api.edit("Cluster", NAMESPACE, "shop", spec=spec)
    csi = {"driver": "csi.vsphere.vmware.com"}
    site.user_cluster.put(
        "PersistentVolume",
        "pv",
        spec={"csi": csi, "persistentVolumeReclaimPolicy": "Delete"},
        status={"phase": "Bound"},
    )
    site.user_cluster.put("PersistentVolumeClaim", "data", "web", spec={"volumeName": "pv"})
    site.user_cluster.put("Service", "front", "web", spec={"type": "LoadBalancer"})
    steps = await deletion(site)
    assert told(steps, Action.DELETE)[:3] == [
        "Service web/front",
        "PersistentVolumeClaim web/data",
        "PersistentVolume pv (Bound)",
    ]


async def test_nothing_is_to_do_for_a_cluster_that_is_as_it_should_be(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    assert await upkeep(site) == []


async def test_a_new_cluster_shows_what_will_be_made_and_then_has_it(site: Site) -> None:
    site.api.put(samples.a_cluster(**TAGGED))
    steps = await upkeep(site)
    assert told(steps, Action.CREATE) == [
        "folder /DC0/vm/kubernetes/team-shop-shop",
        'tag "env" in category "k8c"',
        'tag category "owner"',
        'tag "shop" in category "owner"',
    ]


async def test_a_tag_out_of_the_list_is_told_to_go(site: Site) -> None:
    await site.with_cluster(**TAGGED)
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"tags": [{"name": "env"}]}}})
    steps = await upkeep(site)
    assert told(steps, Action.DELETE) == ['tag "shop"']


async def test_a_missing_parent_stops_and_is_named(site: Site) -> None:
    site.api.put(samples.a_seed(rootPath="/DC0/vm/nowhere"))
    site.api.put(samples.a_cluster())
    await site.run()
    steps = await upkeep(site)
    assert told(steps, Action.STOP) == ["folder /DC0/vm/nowhere/team-shop-shop"]


async def test_a_plan_is_no_promise_about_rights(site: Site) -> None:
    await site.with_cluster()
    site.world.refuse["destroy folder"] = [NO_PERMISSION]
    assert stopping(await deletion(site)) == []
