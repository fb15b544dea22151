"""Who looks again when something changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Outgoing
from tests.unit.controllers.fakes.kubernetes import ApiServer, FakeObjects
from tests.unit.controllers.fakes.samples import NAMESPACE
from vsphere_operator.controllers.wakeups import Wakeups
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.inventory.entities import (
    Change,
    ComputeCluster,
    Datastore,
    Entity,
    Folder,
    Host,
    Network,
    StoragePod,
    VmEntity,
)
from vsphere_operator.vsphere.morefs import MoRef

SEED, CLUSTER = Key("Seed", "", "europe"), Key("Cluster", NAMESPACE, "shop")
READY, BUSY, STUCK, OTHER = (Key("Machine", NAMESPACE, n) for n in ("ready", "busy", "stuck", "other"))
SET = Key("MachineSet", NAMESPACE, "set")
FOLDER, VM = MoRef("Folder:shop"), MoRef("VirtualMachine:vm-1")


def _conditions(**states: str) -> list[dict[str, str]]:
    return [{"type": t, "status": s} for t, s in states.items()]


def _machine(name: str, status: dict[str, Any], cluster: str = "shop", **meta: Any) -> dict[str, Any]:
    return {**samples.a_machine(name, cluster=cluster, meta=meta), "status": status}


@pytest.fixture
def world(clock: Clock) -> tuple[Wakeups, FakeObjects]:
    api = ApiServer(clock)
    objects = FakeObjects(api, Outgoing())
    bundle = {"kind": "ConfigMap", "namespace": "vsphere-operator", "name": "ca"}
    ready = _conditions(Ready="True")
    api.put({**samples.a_seed(caBundleRef=bundle), "status": {"conditions": ready}})
    cluster = samples.a_cluster(credentialsSecretRef={"name": "ccm"})
    cluster["spec"]["kubeconfigSecretRef"] = {"name": "kubeconfig"}
    status = {
        "conditions": [*ready, *_conditions(FolderReady="True")],
        "folder": {"moRef": FOLDER, "path": "x"},
    }
    status["intents"] = [{"type": "RenameFolder", "taskRef": "Task:f"}]
    api.put({**cluster, "status": status})
    owner = [{"kind": "MachineSet", "name": "set", "uid": "u", "controller": True}]
    vm = {"vm": {"moRef": VM}, "conditions": ready}
    api.put(_machine("ready", vm, uid="uid-ready", ownerReferences=owner))
    operation = {"operation": {"type": "CloneVM", "taskRef": "Task:c"}}
    api.put(_machine("busy", {**operation, "conditions": _conditions(Ready="False", Reconciling="True")}))
    api.put(_machine("stuck", {"conditions": _conditions(Ready="False", Stalled="True")}))
    api.put(_machine("other", {"conditions": ready}, cluster="another"))
    return Wakeups(objects), objects


def _change(objects: FakeObjects, key: Key, edit: Callable[[dict[str, Any]], object]) -> tuple[Any, Any]:
    import copy

    old = objects.get(key.kind, key.namespace, key.name)
    new = copy.deepcopy(dict(old or {}))
    edit(new)
    return old, new


def _named(kind: str, namespace: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"namespace": namespace, "name": name}, **more}


OBJECTS: list[tuple[str, dict[str, Any], set[Key]]] = [
    ("infrastructure user", _named("Secret", "vsphere-operator", "infra"),
     {SEED, CLUSTER, READY, BUSY, STUCK}),
    ("a Cluster's user", _named("Secret", NAMESPACE, "ccm"), {CLUSTER, READY, BUSY, STUCK}),
    ("what is written beside a Cluster", _named("Secret", NAMESPACE, "shop-cloud-config"), {CLUSTER}),
    ("that of CSI", _named("Secret", NAMESPACE, "shop-csi-config"), {CLUSTER}),
    ("that name elsewhere", _named("Secret", "x", "shop-csi-config"), set()),
    ("its kubeconfig", _named("Secret", NAMESPACE, "kubeconfig"), {CLUSTER}),
    ("bootstrap data", _named("Secret", NAMESPACE, "boot"), {BUSY, STUCK}),
    ("any other Secret", _named("Secret", NAMESPACE, "x"), set()),
    ("a bootstrap Secret's name elsewhere", _named("Secret", "x", "boot"), set()),
    ("the CA", _named("ConfigMap", "vsphere-operator", "ca"), {SEED, CLUSTER, READY, BUSY, STUCK}),
    ("any other ConfigMap", _named("ConfigMap", "vsphere-operator", "x"), set()),
    ("a namespace", _named("Namespace", "", NAMESPACE), {CLUSTER, READY, BUSY, STUCK, OTHER}),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "woken"), [r[1:] for r in OBJECTS], ids=[r[0] for r in OBJECTS])
def test_what_others_write_wakes_who_names_it(
    world: tuple[Wakeups, FakeObjects], obj: dict[str, Any], woken: set[Key]
) -> None:
    wakeups, _ = world
    assert wakeups.for_object(obj["kind"], None, obj) == woken
    assert wakeups.for_object(obj["kind"], obj, None) == woken


def test_a_namespaces_annotations_wake_nobody(world: tuple[Wakeups, FakeObjects]) -> None:
    wakeups, _ = world
    old, new = samples.a_namespace(), samples.a_namespace()
    new["metadata"]["annotations"] = {"a": "b"}
    assert wakeups.for_object("Namespace", old, new) == set()
    new["metadata"]["labels"] = {"a": "b"}
    assert CLUSTER in wakeups.for_object("Namespace", old, new)


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(obj: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for part in way:
            obj = obj.setdefault(part, {})
        obj[last] = value

    return edit


OWN: list[tuple[Key, str, Any, set[Key]]] = [
    (SEED, "spec.new", 1, {SEED, CLUSTER, READY, BUSY, STUCK}),
    (SEED, "status.new", 1, {SEED}),
    (CLUSTER, "spec.new", 1, {CLUSTER, READY, BUSY, STUCK}),
    (CLUSTER, "status.folder.moRef", "Folder:2", {CLUSTER, READY, BUSY, STUCK}),
    (CLUSTER, "status.folder.path", "/DC0/vm/elsewhere", {CLUSTER, READY, BUSY, STUCK}),
    (CLUSTER, "status.conditions", _conditions(FolderReady="False"), {CLUSTER, READY, BUSY, STUCK}),
    (CLUSTER, "metadata.deletionTimestamp", "now", {CLUSTER, READY, BUSY, STUCK}),
    (CLUSTER, "status.machines", 7, {CLUSTER}),
    (READY, "status.phase", "x", {READY, SET}),
    (READY, "status.conditions", [], {READY, SET, CLUSTER}),
    (BUSY, "status.conditions", _conditions(Ready="True"), {BUSY, CLUSTER}),
    (OTHER, "status.conditions", [], {OTHER}),
]


@pytest.mark.parametrize(("key", "path", "value", "woken"), OWN)
def test_our_own_objects_wake_who_depends_on_them(
    world: tuple[Wakeups, FakeObjects], key: Key, path: str, value: Any, woken: set[Key]
) -> None:
    wakeups, objects = world
    old, new = _change(objects, key, _set(path, value))
    assert wakeups.for_object(key.kind, old, new) == woken


def test_a_machine_that_goes_wakes_its_set_its_cluster_and_its_twin(
    world: tuple[Wakeups, FakeObjects],
) -> None:
    wakeups, objects = world
    old = objects.get("Machine", NAMESPACE, "ready")
    twin = samples.a_machine("busy", meta={"annotations": {"userclusters.io/id": "uid-ready"}})
    objects.store.observe({**twin, "metadata": {**twin["metadata"], "uid": "b", "resourceVersion": "999999"}})
    assert wakeups.for_object("Machine", old, None) == {READY, SET, CLUSTER, BUSY}


def _vm(name: str = "x", **fields: Any) -> VmEntity:
    given: dict[str, Any] = {"instance_uuid": "u", "parent": MoRef("Folder:x")} | fields
    return VmEntity(MoRef("VirtualMachine:vm-9"), name, **given)


def _from(old: Entity | None, new: Entity | None) -> Change:
    kind = "entered" if old is None else "left" if new is None else "changed"
    entity = new or old
    assert entity is not None
    return Change(kind, entity.moref, old, new)  # type: ignore[arg-type]


STORE = Datastore(MoRef("Datastore:1"), "ds", accessible=True, free_space=5)
NET, HOST = Network(MoRef("Network:1"), "net"), Host(MoRef("HostSystem:1"), "h")
COMPUTE, PLACE = ComputeCluster(MoRef("ClusterComputeResource:1"), "c"), Folder(MoRef("Folder:9"), "f")
POD, TEMPLATE = StoragePod(MoRef("StoragePod:1"), "p", drs_enabled=True), MoRef("VirtualMachine:vm-9")
WAITS, STALLED = {BUSY, STUCK}, {STUCK}
VCENTER: list[tuple[str, Change, set[Key]]] = [
    ("state", Change("state"), {SEED, *WAITS}),
    ("a Machine's task", Change("task", MoRef("Task:c")), {BUSY}),
    ("a Cluster's task", Change("task", MoRef("Task:f")), {CLUSTER}),
    ("anybody's task", Change("task", MoRef("Task:x")), set()),
    ("our VM by its MoRef", _from(replace(_vm(), moref=VM), replace(_vm(power_state="poweredOn"), moref=VM)), {READY}),
    ("our VM by its UUID", _from(None, _vm(instance_uuid=instance_uuid("uid-ready").upper())), {READY}),
    ("Storage DRS treats our VM otherwise", _from(POD, replace(POD, vm_automation={VM: "manual"})), {READY}),
    ("Storage DRS treats others otherwise", _from(POD, replace(POD, vm_automation={TEMPLATE: "manual"})), set()),
    ("Storage DRS is switched off", _from(POD, replace(POD, drs_enabled=False)), WAITS),
    ("the tags on a Cluster's folder", Change("tags", FOLDER), {CLUSTER}),
    ("the tags on our VM", Change("tags", VM), {READY, CLUSTER}),
    ("the tags on anything", Change("tags", MoRef("Folder:9")), set()),
    ("another VM comes", _from(None, _vm()), STALLED),
    ("another VM goes", _from(_vm(), None), STALLED),
    ("another VM is renamed", _from(_vm(), _vm("y")), STALLED),
    ("another VM is moved", _from(_vm(), _vm(parent=MoRef("Folder:y"))), STALLED),
    ("another VM becomes a template", _from(_vm(), _vm(template=True)), STALLED),
    ("another VM is powered off", _from(_vm(power_state="poweredOn"), _vm()), STALLED),
    ("another VM's host", _from(_vm(), _vm(host=HOST.moref)), set()),
    ("a network comes", _from(None, NET), WAITS),
    ("a network's hosts", _from(NET, replace(NET, hosts=(HOST.moref,))), WAITS),
    ("free space", _from(STORE, replace(STORE, free_space=4)), set()),
    ("maintenance", _from(STORE, replace(STORE, maintenance_mode="inMaintenance")), WAITS),
    ("what a cluster reaches", _from(COMPUTE, replace(COMPUTE, datastores=(STORE.moref,))), WAITS),
    ("a host's state", _from(HOST, replace(HOST, connection_state="connected")), set()),
    ("a folder is moved", _from(PLACE, replace(PLACE, parent=MoRef("Folder:x"))), WAITS),
    ("a Cluster's folder is renamed", _from(Folder(FOLDER, "a"), Folder(FOLDER, "b")), {CLUSTER, *WAITS}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "woken"), [r[1:] for r in VCENTER], ids=[r[0] for r in VCENTER])
def test_what_vcenter_shows_wakes_who_may_go_on(
    world: tuple[Wakeups, FakeObjects], change: Change, woken: set[Key]
) -> None:
    wakeups, _ = world
    assert wakeups.for_vcenter([change]) == woken
