"""MachineDeployments and MachineSets at work."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site

REVISION = "machinedeployment.clusters.x-k8s.io/revision"


def _all(site: Site, kind: str) -> list[Any]:
    return [o for k, o in site.api.objects.items() if k.kind == kind]


async def _with_workers(site: Site, replicas: int = 2, **spec: Any) -> None:
    await site.with_cluster()
    site.api.put(samples.a_deployment(replicas=replicas, **spec))
    await site.run()


def _scale(site: Site, replicas: int) -> None:
    site.api.edit("MachineDeployment", NAMESPACE, "workers", spec={"replicas": replicas})


def _change_template(site: Site, cpus: int) -> None:
    template = {"spec": {"vsphere": {"cpus": cpus}}}
    site.api.edit("MachineDeployment", NAMESPACE, "workers", spec={"template": template})


async def test_the_first_set_is_made_with_all_its_machines_asked_for(site: Site) -> None:
    await _with_workers(site)
    assert site.is_ready("MachineDeployment", "workers")
    scaled = [name for name in site.outgoing.names if "patch MachineSet" in name]
    assert not scaled, site.outgoing.names


async def test_a_set_of_somebody_else_under_our_name_is_left_alone_and_another_name_taken(site: Site) -> None:
    await _with_workers(site, replicas=1)
    (ours,) = _all(site, "MachineSet")
    name = ours["metadata"]["name"]
    site.delete("MachineDeployment", "workers")
    await site.run(patience=600)
    assert not _all(site, "MachineSet")
    theirs = {
        **ours,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {**ours["spec"], "replicas": 0},
    }
    site.api.put({k: v for k, v in theirs.items() if k != "status"})
    site.api.put(samples.a_deployment(replicas=1))
    await site.run(patience=600)
    assert site.is_ready("MachineDeployment", "workers")
    assert site.object("MachineSet", name)["spec"]["replicas"] == 0
    assert len(_all(site, "MachineSet")) == 2


async def test_an_owner_that_is_deleted_with_cascade_orphan_goes_alone(site: Site) -> None:
    await _with_workers(site)
    finalizers = site.object("MachineDeployment", "workers")["metadata"]["finalizers"]
    site.api.edit("MachineDeployment", NAMESPACE, "workers", metadata={"finalizers": [*finalizers, "orphan"]})
    site.delete("MachineDeployment", "workers")
    await site.run(patience=600)
    # The garbage collector takes its own finalizer off when it has cut the dependents' owner references.
    assert site.object("MachineDeployment", "workers")["metadata"]["finalizers"] == ["orphan"]
    assert not any("deletionTimestamp" in s["metadata"] for s in _all(site, "MachineSet"))
    assert len(site.world.workers()) == 2


async def test_a_deployment_scales_up_and_down(site: Site) -> None:
    await _with_workers(site)
    assert len(site.world.workers()) == 2
    assert site.is_ready("MachineDeployment", "workers")
    _scale(site, 4)
    await site.run()
    assert len(site.world.workers()) == 4
    status = site.object("MachineDeployment", "workers")["status"]
    assert (status["replicas"], status["availableReplicas"], status["phase"]) == (4, 4, "Running")
    _scale(site, 0)
    await site.run()
    assert not site.world.workers()
    assert not _all(site, "Machine")
    assert site.is_ready("MachineDeployment", "workers")
    assert not site.world.violations


async def test_a_changed_template_rolls_one_by_one(site: Site) -> None:
    await _with_workers(site)
    site.world.most_workers = 0
    first = {v.moref for v in site.world.workers()}
    _change_template(site, 8)
    await site.run(patience=600)
    assert {v.moref for v in site.world.workers()}.isdisjoint(first)
    assert len(site.world.workers()) == 2
    assert site.world.most_workers == 3  # a surge of one, until the one that it replaces is gone
    assert site.is_ready("MachineDeployment", "workers")
    deployment = site.object("MachineDeployment", "workers")
    assert deployment["metadata"]["annotations"][REVISION] == "2"


async def test_going_back_takes_the_old_set_again(site: Site) -> None:
    await _with_workers(site, replicas=1)
    (first,) = _all(site, "MachineSet")
    _change_template(site, 8)
    await site.run(patience=600)
    _change_template(site, 2)
    await site.run(patience=600)
    assert len(_all(site, "MachineSet")) == 2
    living = [s for s in _all(site, "MachineSet") if s["spec"]["replicas"]]
    assert [s["metadata"]["name"] for s in living] == [first["metadata"]["name"]]
    assert living[0]["metadata"]["annotations"][REVISION] == "3"


async def test_a_machine_that_a_person_deletes_is_replaced(site: Site) -> None:
    await _with_workers(site)
    name = _all(site, "Machine")[0]["metadata"]["name"]
    site.delete("Machine", name)
    await site.run()
    assert not site.exists("Machine", name)
    assert len(site.world.workers()) == 2


async def test_a_machine_whose_vm_was_destroyed_is_replaced(site: Site) -> None:
    await _with_workers(site)
    gone = site.world.workers()[0]
    del site.world.vms[gone.moref]
    site.world.publish()
    await site.run(patience=300)
    assert len(site.world.workers()) == 2
    assert site.is_ready("MachineDeployment", "workers")
    assert len(site.world.files) == 2


async def test_the_marked_machine_goes_first(site: Site) -> None:
    await _with_workers(site, replicas=3)
    name = sorted(m["metadata"]["name"] for m in _all(site, "Machine"))[1]
    site.api.edit(
        "Machine", NAMESPACE, name, metadata={"annotations": {"userclusters.io/delete-machine": ""}}
    )
    _scale(site, 2)
    await site.run()
    assert not site.exists("Machine", name)


async def test_a_paused_deployment_scales_and_does_not_roll(site: Site) -> None:
    await _with_workers(site)
    site.api.edit("MachineDeployment", NAMESPACE, "workers", spec={"paused": True})
    _change_template(site, 8)
    _scale(site, 3)
    await site.run()
    assert len(_all(site, "MachineSet")) == 1
    assert len(site.world.workers()) == 3


async def test_deleting_a_cluster_takes_its_workers_along_in_the_right_order(site: Site) -> None:
    await _with_workers(site)
    site.delete("Cluster", "shop")
    await site.run()
    for kind in ("Cluster", "MachineDeployment", "MachineSet", "Machine"):
        assert not _all(site, kind), kind
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]
    assert not site.world.files
    assert not site.world.violations
    order = [n for n in site.outgoing.names if n in ("vcenter: destroy vm", "vcenter: destroy folder")]
    assert order == ["vcenter: destroy vm"] * 2 + ["vcenter: destroy folder"]


async def test_what_cluster_apis_clients_read_is_there(site: Site) -> None:
    await _with_workers(site)
    machine, machine_set = _all(site, "Machine")[0], _all(site, "MachineSet")[0]
    for obj in (machine, machine_set, site.object("MachineDeployment", "workers")):
        assert obj["metadata"]["labels"]["userclusters.io/cluster-name"] == "shop"
    assert machine["metadata"]["labels"]["cluster.x-k8s.io/deployment-name"] == "workers"
    assert machine["metadata"]["ownerReferences"][0]["kind"] == "MachineSet"
    assert machine_set["metadata"]["ownerReferences"][0]["kind"] == "MachineDeployment"
    assert machine["spec"]["providerID"].startswith("vsphere://")
    assert site.object("MachineDeployment", "workers")["status"]["selector"] == "pool=workers"


async def test_an_identity_in_a_template_makes_no_machines_one(site: Site) -> None:
    await site.with_cluster()
    deployment = samples.a_deployment()
    deployment["spec"]["template"]["metadata"]["annotations"] = {"userclusters.io/id": "one", "a": "b"}
    site.api.put(deployment)
    await site.run()
    assert len(site.world.workers()) == 2
    assert site.is_ready("MachineDeployment", "workers")
    assert all(m["metadata"]["annotations"]["a"] == "b" for m in _all(site, "Machine"))


async def test_many_workers_at_once_are_made_once_each(site: Site) -> None:
    await site.with_cluster()
    site.process.workers = 16
    site.api.put(samples.a_deployment(replicas=10))
    await site.run(patience=600)
    assert len(site.world.workers()) == 10
    assert site.outgoing.count("vcenter: clone") == 10
    assert site.is_ready("MachineDeployment", "workers")


async def test_making_a_vm_takes_few_calls(site: Site) -> None:
    """The budgets: six calls by guestinfo, nine by ISO, eight to delete."""
    await site.with_cluster(tags=[{"name": "env"}])
    for system, budget in (("flatcar", 6), ("ubuntu", 9)):
        warm = len(site.outgoing.names)
        site.api.put(samples.a_machine(system, operating_system=system))
        await site.run()
        assert site.is_ready("Machine", system)
        made = [n for n in site.outgoing.names[warm:] if n.startswith("vcenter")]
        assert len(made) <= budget, made
        before = len(site.outgoing.names)
        site.delete("Machine", system)
        await site.run()
        ended = [n for n in site.outgoing.names[before:] if n.startswith("vcenter")]
        assert len(ended) <= 8, ended


async def test_a_paused_cluster_holds_its_workers_until_it_goes_on(site: Site) -> None:
    await _with_workers(site)
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": True})
    await site.run(patience=1)
    _scale(site, 3)
    _change_template(site, 8)
    await site.run(patience=1)
    assert len(_all(site, "Machine")) == 2
    assert len(_all(site, "MachineSet")) == 1
    for kind, name in (
        ("MachineDeployment", "workers"),
        ("MachineSet", _all(site, "MachineSet")[0]["metadata"]["name"]),
    ):
        assert site.reason(kind, name) == "Paused"
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": False})
    await site.run(patience=120)
    assert len(site.world.workers()) == 3
    assert site.is_ready("MachineDeployment", "workers")
