"""Who has to look again when something changed: an object in Kubernetes, or a thing in vCenter. Pure routing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vsphere_operator.controllers import conditions, indexes
from vsphere_operator.controllers.lifecycle import (
    controller_of,
    identity,
    is_deleting,
    labels_of,
    lets_go,
    metadata,
)
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.inventory.entities import Change, Datastore, Folder, Host, StoragePod, VmEntity

RECONCILED = ("Seed", "Preset", "Cluster", "MachineDeployment", "MachineSet", "Machine")


class Wakeups:
    """Turns changes into the keys that have to look again."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def for_object(self, kind: str, old: Object | None, new: Object | None) -> set[Key]:
        """The object itself and all that depend on it."""
        obj = new if new is not None else old
        if obj is None:
            return set()
        meta = metadata(obj)
        keys = {Key(kind, meta.get("namespace") or "", meta["name"])} if kind in RECONCILED else set()
        dependents: Mapping[str, Callable[[], set[Key]]] = {
            "Secret": lambda: self._of_secret(obj),
            "ConfigMap": lambda: self._of_config_map(obj),
            "Namespace": lambda: self._of_namespace(old, new),
            "Seed": lambda: self._of_seed(old, new),
            "Preset": lambda: self._of_preset(old, new),
            "Cluster": lambda: (
                self._of_cluster(old, new)
                | self._twins("Cluster", indexes.ID, old, new)
                | self._presets_named(old, new)
                | self._pool_neighbours(old, new)
            ),
            "MachineDeployment": lambda: self._upwards(old, new),
            "MachineSet": lambda: self._upwards(old, new),
            "Machine": lambda: (
                self._upwards(old, new)
                | self._twins("Machine", indexes.INSTANCE_UUID, old, new)
                | self._address_waiters(old, new)
            ),
        }
        find = dependents.get(kind)
        return keys | (find() if find else set())

    def for_vcenter(self, changes: Sequence[Change]) -> set[Key]:
        """Those whose VM, folder or task changed, and those for whom a thing that they name may have come."""
        keys: set[Key] = set()
        wanted: set[str] = set()
        for change in changes:
            if change.kind == "state":
                keys |= self._keys("Seed")
                wanted.add(indexes.WAITING)
                continue
            found = self._of_change(change)
            keys |= found
            entity = change.new or change.old
            if isinstance(entity, VmEntity):
                # VMs come and go all the time, ours among them: only who cannot go on without a person looks.
                wanted |= {indexes.STALLED} if not found and _may_be_named(change) else set()
            elif _may_be_named(change):
                wanted.add(indexes.WAITING)
                keys |= self._naming(change)
        kinds = ("Seed", "Cluster", "Machine")
        return keys | {
            k for kind in kinds for state in wanted for k in self._find(kind, indexes.DISCONTENT, state)
        }

    def _naming(self, change: Change) -> set[Key]:
        """The Clusters whose settings name it, content until now."""
        names = {e.name for e in (change.old, change.new) if e is not None and not isinstance(e, Folder)}
        return {k for n in names if n for k in self._find("Cluster", indexes.NAMED, n)}

    def _of_change(self, change: Change) -> set[Key]:
        keys: set[Key] = set()
        if change.moref:
            index = indexes.TASK if change.kind == "task" else indexes.VM
            keys |= self._find("Machine", index, change.moref)
            keys |= self._find(
                "Cluster", indexes.TASK if change.kind == "task" else indexes.FOLDER, change.moref
            )
        if change.kind == "tags" and change.moref:
            # A Machine keeps its own tags on its VM, and the Cluster those that all of its VMs carry.
            for machine in self._objects.by_index("Machine", indexes.VM, change.moref):
                keys.add(Key("Cluster", metadata(machine)["namespace"], machine["spec"]["clusterName"]))
        if isinstance(change.old, StoragePod) and isinstance(change.new, StoragePod):
            before, after = change.old.vm_automation, change.new.vm_automation
            for vm in {moref for moref, _ in before.items() ^ after.items()}:
                keys |= self._find("Machine", indexes.VM, vm)
        for entity in (change.old, change.new):
            if isinstance(entity, VmEntity) and entity.instance_uuid:
                keys |= self._find("Machine", indexes.INSTANCE_UUID, entity.instance_uuid.lower())
            if entity is not None and entity.parent and isinstance(entity, VmEntity | Folder):
                keys |= {k for k in self._find("Cluster", indexes.FOLDER, entity.parent) if self._waits(k)}
        return keys

    def _waits(self, key: Key) -> bool:
        obj = self._objects.get(key.kind, key.namespace, key.name)
        return obj is None or indexes.WAITING in indexes.discontent(obj)

    def _of_secret(self, obj: Object) -> set[Key]:
        reference = f"{metadata(obj).get('namespace', '')}/{metadata(obj)['name']}"
        seeds = self._find("Seed", indexes.SECRET, reference)
        clusters = self._find("Cluster", indexes.SECRET, reference)
        for seed in seeds:
            clusters |= self._clusters_of(seed)
        presets = self._find("Preset", indexes.SECRET, reference)
        clusters |= self._clusters_with(presets)
        machines = self._find("Machine", indexes.SECRET, reference)
        machines = {k for k in machines if self._waits(k)} | self._machines_of(clusters)
        return seeds | presets | clusters | machines | self._find("Cluster", indexes.BESIDE, reference)

    def _of_config_map(self, obj: Object) -> set[Key]:
        reference = f"{metadata(obj).get('namespace', '')}/{metadata(obj)['name']}"
        seeds = self._find("Seed", indexes.CONFIG_MAP, reference)
        clusters = {k for seed in seeds for k in self._clusters_of(seed)}
        return seeds | clusters | self._machines_of(clusters)

    def _of_namespace(self, old: Object | None, new: Object | None) -> set[Key]:
        """A datacenter or a preset may allow namespaces by their labels."""
        obj = new if new is not None else old
        if obj is None or (old is not None and new is not None and labels_of(old) == labels_of(new)):
            return set()
        name = metadata(obj)["name"]
        return self._keys("Cluster", name) | self._keys("Machine", name)

    def _of_seed(self, old: Object | None, new: Object | None) -> set[Key]:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return set()
        names = {n for o in (old, new) if o is not None for n in o["spec"].get("datacenters") or {}}
        clusters = {k for n in names for k in self._find("Cluster", indexes.DATACENTER, n)}
        # Another Seed that offers the same name has to say so, or may now stop saying so.
        seeds = {k for n in names for k in self._find("Seed", indexes.DATACENTER, n)}
        presets = {k for n in names for k in self._find("Preset", indexes.DATACENTER, n)}
        return clusters | seeds | presets | self._machines_of(clusters)

    def _of_preset(self, old: Object | None, new: Object | None) -> set[Key]:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return set()
        clusters = self._clusters_with({_key(o) for o in (old, new) if o is not None})
        return clusters | self._machines_of(clusters)

    def _presets_named(self, old: Object | None, new: Object | None) -> set[Key]:
        """A preset tells how many Clusters name it."""
        before, after = _preset_name(old), _preset_name(new)
        return {Key("Preset", "", n) for n in (before, after) if n and before != after}

    def _clusters_with(self, presets: set[Key]) -> set[Key]:
        return {k for preset in presets for k in self._find("Cluster", indexes.PRESET, preset.name)}

    def _of_cluster(self, old: Object | None, new: Object | None) -> set[Key]:
        if old is not None and new is not None and _for_machines(old) == _for_machines(new):
            return set()
        obj = new if new is not None else old
        assert obj is not None  # noqa: S101 - for_object has checked
        meta = metadata(obj)
        kinds = ("Machine",) if _paused(old) == _paused(new) else indexes.WORKERS
        return {
            k
            for kind in kinds
            for k in self._find(kind, indexes.CLUSTER, f"{meta['namespace']}/{meta['name']}")
        }

    def _upwards(self, old: Object | None, new: Object | None) -> set[Key]:
        """The owner; and the Cluster, which counts its Machines and tells what keeps its workers from going."""
        keys = set()
        for obj in (old, new):
            owner = controller_of(obj) if obj is not None else None
            if owner is not None and obj is not None and owner.get("kind") in RECONCILED:
                keys.add(Key(str(owner["kind"]), metadata(obj)["namespace"], str(owner["name"])))
        obj = new if new is not None else old
        if obj is None or (old is not None and new is not None and _for_cluster(old) == _for_cluster(new)):
            return keys
        namespace, name = metadata(obj)["namespace"], obj["spec"]["clusterName"]
        if self._objects.get("Cluster", namespace, name) is not None:
            keys.add(Key("Cluster", namespace, name))
        return keys

    def _twins(self, kind: str, index: str, old: Object | None, new: Object | None) -> set[Key]:
        """Those that had the same copied identity as one that is gone or has another one now."""
        if old is None or (new is not None and identity(old) == identity(new)):
            return set()
        value = instance_uuid(identity(old)) if index == indexes.INSTANCE_UUID else identity(old)
        return self._find(kind, index, value)

    def _pool_neighbours(self, old: Object | None, new: Object | None) -> set[Key]:
        """Clusters whose pools may have come to overlap with one that changed, or not to do so any more."""
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return set()
        given = [o["spec"] for o in (old, new) if o is not None and o["spec"].get("machineNetworks")]
        return {k for spec in given for k in self._find("Cluster", indexes.POOLS, spec["datacenter"])}

    def _address_waiters(self, old: Object | None, new: Object | None) -> set[Key]:
        """Those who wait for an address of the pools that one came back to."""
        if old is None or not indexes.static_addresses(old):
            return set()
        if new is not None and indexes.static_addresses(new) == indexes.static_addresses(old):
            return set()
        cluster = f"{metadata(old)['namespace']}/{old['spec']['clusterName']}"
        return self._find("Machine", indexes.WANTS_ADDRESS, cluster)

    def _clusters_of(self, seed: Key) -> set[Key]:
        obj = self._objects.get("Seed", "", seed.name)
        names = ((obj or {}).get("spec") or {}).get("datacenters") or {}
        return {k for n in names for k in self._find("Cluster", indexes.DATACENTER, n)}

    def _machines_of(self, clusters: set[Key]) -> set[Key]:
        return {
            k for c in clusters for k in self._find("Machine", indexes.CLUSTER, f"{c.namespace}/{c.name}")
        }

    def _find(self, kind: str, index: str, value: str) -> set[Key]:
        return {_key(o) for o in self._objects.by_index(kind, index, value)}

    def _keys(self, kind: str, namespace: str | None = None) -> set[Key]:
        return {_key(o) for o in self._objects.list(kind, namespace)}


def _key(obj: Object) -> Key:
    meta = metadata(obj)
    return Key(obj["kind"], meta.get("namespace") or "", meta["name"])


def _may_be_named(change: Change) -> bool:
    """Whether something that a name in a spec may stand for has come, gone, or changed what it is good for."""
    old, new = change.old, change.new
    if old is None or new is None:
        return change.kind in ("entered", "left")
    if isinstance(old, VmEntity) and isinstance(new, VmEntity):
        return _as_named(old) != _as_named(new)
    if isinstance(old, Datastore) and isinstance(new, Datastore):
        return replace(old, free_space=0, capacity=0) != replace(new, free_space=0, capacity=0)
    if isinstance(old, StoragePod) and isinstance(new, StoragePod):
        return replace(old, vm_automation={}) != replace(new, vm_automation={})
    if isinstance(old, Host) and isinstance(new, Host):
        return False  # what its hosts reach shows on the compute cluster
    return old != new


def _as_named(vm: VmEntity) -> tuple[object, ...]:
    """What decides whether a VM stands in the way of a name, or can serve as a template."""
    return vm.name, vm.parent, vm.template, vm.config_ready, vm.power_state == "poweredOff"


def _preset_name(cluster: Object | None) -> str | None:
    reference = cluster["spec"].get("presetRef") if cluster is not None else None
    return str(reference["name"]) if reference else None


def _is_ready(obj: Object) -> bool:
    return conditions.is_true((obj.get("status") or {}).get("conditions") or [], conditions.READY)


def _for_cluster(worker: Object) -> Any:
    """What a Cluster counts of a worker, and why a worker that has to go cannot."""
    found = (worker.get("status") or {}).get("conditions") or []
    return _is_ready(worker), conditions.hindrance(found) if is_deleting(worker) else None


def _paused(cluster: Object | None) -> bool:
    return cluster is not None and bool(cluster["spec"].get("paused"))


def _for_machines(cluster: Object) -> Any:
    """What of a Cluster its Machines act on."""
    status = cluster.get("status") or {}
    states = {c["type"]: c["status"] for c in status.get("conditions") or [] if c["type"] == "FolderReady"}
    folder = status.get("folder") or {}
    place = folder.get("moRef"), folder.get("path")
    leaving = is_deleting(cluster), lets_go(cluster, "machines")
    return cluster["spec"], place, states, leaving
