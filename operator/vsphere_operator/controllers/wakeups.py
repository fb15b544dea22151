"""Who has to look again when something changed: an object in Kubernetes, or a thing in vCenter. Pure routing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from vsphere_operator.api.names import GROUP
from vsphere_operator.controllers.lifecycle import controller_of, metadata
from vsphere_operator.controllers.ports import Object, Objects
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.inventory.entities import Change, Folder, VmEntity

OWN_KINDS = ("Seed", "Preset", "Cluster", "MachineDeployment", "MachineSet", "Machine")
RECONCILED = ("Seed", "Cluster", "MachineDeployment", "MachineSet", "Machine")


def _secret_refs(obj: Object) -> Iterator[str]:
    """``namespace/name`` of every Secret that an object names."""
    spec, namespace = obj["spec"], metadata(obj).get("namespace", "")
    for datacenter in (spec.get("datacenters") or {}).values():
        vsphere = datacenter.get("vsphere") or {}
        reference = (vsphere.get("infraManagementUser") or {}).get("secretRef")
        if reference:
            yield f"{reference['namespace']}/{reference['name']}"
        bundle = vsphere.get("caBundleRef")
        if bundle and bundle.get("kind") == "Secret":
            yield f"{bundle['namespace']}/{bundle['name']}"
    own = (spec.get("cloud") or {}).get("vsphere") or {}
    for reference in (
        own.get("credentialsSecretRef"),
        (own.get("infraManagementUser") or {}).get("secretRef"),
    ):
        if reference:
            yield f"{namespace}/{reference['name']}"
    bootstrap = (spec.get("bootstrap") or {}).get("dataSecretName")
    if bootstrap:
        yield f"{namespace}/{bootstrap}"


def _bundle_refs(obj: Object) -> Iterator[str]:
    for datacenter in (obj["spec"].get("datacenters") or {}).values():
        bundle = (datacenter.get("vsphere") or {}).get("caBundleRef")
        if bundle and bundle.get("kind", "ConfigMap") == "ConfigMap":
            yield f"{bundle['namespace']}/{bundle['name']}"


def _cluster_ref(obj: Object) -> Iterator[str]:
    yield f"{metadata(obj)['namespace']}/{obj['spec']['clusterName']}"


def _controller_uid(obj: Object) -> Iterator[str]:
    owner = controller_of(obj)
    if owner is not None:
        yield str(owner["uid"])


def _identity(obj: Object) -> Iterator[str]:
    yield (metadata(obj).get("annotations") or {}).get(f"{GROUP}/id") or metadata(obj)["uid"]


def _instance_uuid(obj: Object) -> Iterator[str]:
    for identity in _identity(obj):
        yield instance_uuid(identity)


def _vm(obj: Object) -> Iterator[str]:
    moref = ((obj.get("status") or {}).get("vm") or {}).get("moRef")
    if moref:
        yield moref


def _folder(obj: Object) -> Iterator[str]:
    moref = ((obj.get("status") or {}).get("folder") or {}).get("moRef")
    if moref:
        yield moref


def _tasks(obj: Object) -> Iterator[str]:
    status = obj.get("status") or {}
    for operation in (status.get("operation"), *(status.get("intents") or [])):
        if operation and operation.get("taskRef"):
            yield operation["taskRef"]


Index = Callable[[Object], Iterable[str]]

INDEXES: Sequence[tuple[str, str, Index]] = (
    ("Seed", "datacenter", lambda o: (o["spec"].get("datacenters") or {}).keys()),
    ("Seed", "secret", _secret_refs),
    ("Seed", "config-map", _bundle_refs),
    ("Cluster", "secret", _secret_refs),
    ("Cluster", "datacenter", lambda o: [o["spec"]["datacenter"]]),
    ("Cluster", "folder", _folder),
    ("Cluster", "id", _identity),
    ("Cluster", "task", _tasks),
    *((kind, "cluster", _cluster_ref) for kind in ("MachineDeployment", "MachineSet", "Machine")),
    *((kind, "controller-uid", _controller_uid) for kind in ("MachineSet", "Machine")),
    ("Machine", "secret", _secret_refs),
    ("Machine", "instance-uuid", _instance_uuid),
    ("Machine", "vm", _vm),
    ("Machine", "task", _tasks),
)


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
        dependents: Mapping[str, Callable[[Object], set[Key]]] = {
            "Secret": self._of_secret,
            "ConfigMap": self._of_config_map,
            "Namespace": self._of_namespace,
            "Seed": lambda o: self._of_seed(old, new),
            "Cluster": lambda o: self._of_cluster(old, new),
            "MachineDeployment": self._upwards,
            "MachineSet": self._upwards,
            "Machine": self._upwards,
        }
        find = dependents.get(kind)
        return keys | (find(obj) if find else set())

    def for_vcenter(self, changes: Sequence[Change]) -> set[Key]:
        """Those whose VM, folder or task changed; on anything structural, all that are not content."""
        keys: set[Key] = set()
        structural = False
        for change in changes:
            found = self._of_change(change)
            keys |= found
            structural = structural or (not found and _is_structural(change))
        return keys | (self._discontented() if structural else set())

    def _of_change(self, change: Change) -> set[Key]:
        keys: set[Key] = set()
        if change.moref:
            index = "task" if change.kind == "task" else "vm"
            keys |= self._find("Machine", index, change.moref)
            keys |= self._find("Cluster", "task" if change.kind == "task" else "folder", change.moref)
        for entity in (change.old, change.new):
            if isinstance(entity, VmEntity) and entity.instance_uuid:
                keys |= self._find("Machine", "instance-uuid", entity.instance_uuid.lower())
            if entity is not None and entity.parent and isinstance(entity, VmEntity | Folder):
                keys |= {k for k in self._find("Cluster", "folder", entity.parent) if self._waits(k)}
        return keys

    def _discontented(self) -> set[Key]:
        return {k for kind in ("Seed", "Cluster", "Machine") for k in self._keys(kind) if self._waits(k)}

    def _waits(self, key: Key) -> bool:
        obj = self._objects.get(key.kind, key.namespace, key.name)
        conditions = ((obj or {}).get("status") or {}).get("conditions") or []
        ready = next((c for c in conditions if c.get("type") == "Ready"), None)
        return (
            ready is None
            or ready.get("status") != "True"
            or bool(obj and "deletionTimestamp" in obj["metadata"])
        )

    def _of_secret(self, obj: Object) -> set[Key]:
        reference = f"{metadata(obj).get('namespace', '')}/{metadata(obj)['name']}"
        seeds = self._find("Seed", "secret", reference)
        clusters = self._find("Cluster", "secret", reference)
        for seed in seeds:
            clusters |= self._clusters_of(seed)
        machines = self._find("Machine", "secret", reference)
        return seeds | clusters | {k for k in machines if self._waits(k)} | self._machines_of(clusters)

    def _of_config_map(self, obj: Object) -> set[Key]:
        reference = f"{metadata(obj).get('namespace', '')}/{metadata(obj)['name']}"
        seeds = self._find("Seed", "config-map", reference)
        clusters = {k for seed in seeds for k in self._clusters_of(seed)}
        return seeds | clusters | self._machines_of(clusters)

    def _of_namespace(self, obj: Object) -> set[Key]:
        return self._keys("Cluster", metadata(obj)["name"])

    def _of_seed(self, old: Object | None, new: Object | None) -> set[Key]:
        if old is not None and new is not None and old["spec"] == new["spec"]:
            return set()
        names = {n for o in (old, new) if o is not None for n in o["spec"].get("datacenters") or {}}
        clusters = {k for n in names for k in self._find("Cluster", "datacenter", n)}
        # Another Seed that offers the same name has to say so, or may now stop saying so.
        seeds = {k for n in names for k in self._find("Seed", "datacenter", n)}
        return clusters | seeds | self._machines_of(clusters)

    def _of_cluster(self, old: Object | None, new: Object | None) -> set[Key]:
        if old is not None and new is not None and _for_machines(old) == _for_machines(new):
            return set()
        obj = new if new is not None else old
        assert obj is not None  # noqa: S101 - for_object has checked
        meta = metadata(obj)
        return self._find("Machine", "cluster", f"{meta['namespace']}/{meta['name']}")

    def _upwards(self, obj: Object) -> set[Key]:
        """The owner, and the Cluster when it waits for its workers to go."""
        meta = metadata(obj)
        keys = set()
        owner = controller_of(obj)
        if owner is not None and owner.get("kind") in RECONCILED:
            keys.add(Key(str(owner["kind"]), meta["namespace"], str(owner["name"])))
        cluster = Key("Cluster", meta["namespace"], obj["spec"]["clusterName"])
        parent = self._objects.get("Cluster", cluster.namespace, cluster.name)
        if parent is not None:
            keys.add(cluster)
        return keys

    def _clusters_of(self, seed: Key) -> set[Key]:
        obj = self._objects.get("Seed", "", seed.name)
        names = ((obj or {}).get("spec") or {}).get("datacenters") or {}
        return {k for n in names for k in self._find("Cluster", "datacenter", n)}

    def _machines_of(self, clusters: set[Key]) -> set[Key]:
        return {k for c in clusters for k in self._find("Machine", "cluster", f"{c.namespace}/{c.name}")}

    def _find(self, kind: str, index: str, value: str) -> set[Key]:
        return {_key(o) for o in self._objects.by_index(kind, index, value)}

    def _keys(self, kind: str, namespace: str | None = None) -> set[Key]:
        return {_key(o) for o in self._objects.list(kind, namespace)}


def _key(obj: Object) -> Key:
    meta = metadata(obj)
    return Key(obj["kind"], meta.get("namespace") or "", meta["name"])


def _is_structural(change: Change) -> bool:
    """Something that a name in a spec may stand for has come, gone or changed."""
    if change.kind == "state":
        return True
    entity = change.new or change.old
    if isinstance(entity, VmEntity):
        return entity.template
    return change.kind in ("entered", "left") or (
        change.old is not None and change.new is not None and change.old.name != change.new.name
    )


def _for_machines(cluster: Object) -> Any:
    """What of a Cluster its Machines act on."""
    status = cluster.get("status") or {}
    states = {c["type"]: c["status"] for c in status.get("conditions") or [] if c["type"] == "FolderReady"}
    folder = (status.get("folder") or {}).get("moRef")
    return cluster["spec"], folder, states, "deletionTimestamp" in cluster["metadata"]
