"""What controllers look objects up by: the names of the store's indexes, and what each holds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from vsphere_operator.api.names import CLOUD_CONFIG_SUFFIX, CSI_CONFIG_SUFFIX
from vsphere_operator.controllers.address_pools import ADDRESSES_READY
from vsphere_operator.controllers.lifecycle import controller_of, identity, metadata
from vsphere_operator.controllers.ports import Object
from vsphere_operator.vsphere.identity import instance_uuid
from vsphere_operator.vsphere.inventory.paths import split

WORKERS = ("MachineDeployment", "MachineSet", "Machine")
"""Owners first."""

DATACENTER = "datacenter"
SECRET = "secret"  # noqa: S105 - the name of an index
CONFIG_MAP = "config-map"
BESIDE = "beside"
FOLDER = "folder"
ID = "id"
TASK = "task"
CLUSTER = "cluster"
OWNER = "controller-uid"
INSTANCE_UUID = "instance-uuid"
VM = "vm"
STATIC_ADDRESS = "static-address"
STATIC_MAC = "static-mac"
WANTS_ADDRESS = "wants-address"
POOLS = "pools"
DISCONTENT = "discontent"
PRESET = "preset"
NAMED = "named"
"""By the names of the things in vCenter that an object's effective settings name."""


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
    # A Cluster's own references have no namespace: it is the Cluster's. A Preset's have one.
    own = (spec.get("cloud") or {}).get("vsphere") or spec.get("vsphere") or {}
    for reference in (
        own.get("credentialsSecretRef"),
        (own.get("infraManagementUser") or {}).get("secretRef"),
    ):
        if reference:
            yield f"{namespace or reference['namespace']}/{reference['name']}"
    bootstrap = (spec.get("bootstrap") or {}).get("dataSecretName")
    if bootstrap:
        yield f"{namespace}/{bootstrap}"


def _beside(obj: Object) -> Iterator[str]:
    """The Secrets that only the Cluster itself looks at: those that it writes, and its kubeconfig."""
    meta = metadata(obj)
    for suffix in (CLOUD_CONFIG_SUFFIX, CSI_CONFIG_SUFFIX):
        yield f"{meta['namespace']}/{meta['name']}{suffix}"
    reference = obj["spec"].get("kubeconfigSecretRef")
    if reference:
        yield f"{meta['namespace']}/{reference['name']}"


def _bundle_refs(obj: Object) -> Iterator[str]:
    for datacenter in (obj["spec"].get("datacenters") or {}).values():
        bundle = (datacenter.get("vsphere") or {}).get("caBundleRef")
        if bundle and bundle.get("kind", "ConfigMap") == "ConfigMap":
            yield f"{bundle['namespace']}/{bundle['name']}"


def _preset_ref(obj: Object) -> Iterator[str]:
    reference = obj["spec"].get("presetRef")
    if reference:
        yield reference["name"]


def _named(obj: Object) -> Iterator[str]:
    found = (obj.get("status") or {}).get("effective") or {}
    single = (
        found.get(key)
        for key in ("cluster", "datastore", "datastoreCluster", "volumeDatastore", "resourcePool")
    )
    for written in {*single, *(found.get("networks") or [])}:
        if written:
            yield from split(written)[-1:]


def _cluster_ref(obj: Object) -> Iterator[str]:
    yield f"{metadata(obj)['namespace']}/{obj['spec']['clusterName']}"


def _controller_uid(obj: Object) -> Iterator[str]:
    owner = controller_of(obj)
    if owner is not None:
        yield str(owner["uid"])


def _identity(obj: Object) -> Iterator[str]:
    yield identity(obj)


def _instance_uuid(obj: Object) -> Iterator[str]:
    yield instance_uuid(identity(obj))


def _vm(obj: Object) -> Iterator[str]:
    moref = ((obj.get("status") or {}).get("vm") or {}).get("moRef")
    if moref:
        yield moref


def static_addresses(obj: Object) -> Sequence[Object]:
    """What a Machine's status says that it was given."""
    return (obj.get("status") or {}).get("staticAddresses") or ()


def _static_address(obj: Object) -> Iterator[str]:
    for held in static_addresses(obj):
        yield held["address"]


def _static_mac(obj: Object) -> Iterator[str]:
    for held in static_addresses(obj):
        if held.get("mac"):
            yield held["mac"]


def _wants_address(obj: Object) -> Iterator[str]:
    """The Cluster of a Machine that waits until an address is free."""
    found = (obj.get("status") or {}).get("conditions") or []
    if any(c.get("type") == ADDRESSES_READY and c.get("status") == "False" for c in found):
        yield from _cluster_ref(obj)


def _pools(obj: Object) -> Iterator[str]:
    """The datacenter of a Cluster that hands out addresses."""
    if obj["spec"].get("machineNetworks"):
        yield obj["spec"]["datacenter"]


def _folder(obj: Object) -> Iterator[str]:
    moref = ((obj.get("status") or {}).get("folder") or {}).get("moRef")
    if moref:
        yield moref


def _tasks(obj: Object) -> Iterator[str]:
    status = obj.get("status") or {}
    for operation in (status.get("operation"), *(status.get("intents") or [])):
        if operation and operation.get("taskRef"):
            yield operation["taskRef"]


WAITING, STALLED = "waiting", "stalled"


def discontent(obj: Object) -> Iterator[str]:
    """Whether something that an object waits for, or that a person has to mend, may have come."""
    found = (obj.get("status") or {}).get("conditions") or []
    states = {c.get("type"): c.get("status") for c in found}
    if states.get("Ready") != "True" or "deletionTimestamp" in metadata(obj):
        yield WAITING
    if states.get("Stalled") == "True":
        yield STALLED


Index = Callable[[Object], Iterable[str]]

INDEXES: Sequence[tuple[str, str, Index]] = (
    ("Seed", DATACENTER, lambda o: (o["spec"].get("datacenters") or {}).keys()),
    ("Seed", SECRET, _secret_refs),
    ("Seed", CONFIG_MAP, _bundle_refs),
    ("Preset", SECRET, _secret_refs),
    ("Preset", DATACENTER, lambda o: [o["spec"]["datacenter"]] if o["spec"].get("datacenter") else []),
    ("Cluster", PRESET, _preset_ref),
    ("Cluster", NAMED, _named),
    ("Cluster", SECRET, _secret_refs),
    ("Cluster", BESIDE, _beside),
    ("Cluster", DATACENTER, lambda o: [o["spec"]["datacenter"]]),
    ("Cluster", FOLDER, _folder),
    ("Cluster", ID, _identity),
    ("Cluster", POOLS, _pools),
    ("Cluster", TASK, _tasks),
    *((kind, CLUSTER, _cluster_ref) for kind in WORKERS),
    *((kind, OWNER, _controller_uid) for kind in ("MachineSet", "Machine")),
    *((kind, DISCONTENT, discontent) for kind in ("Seed", "Cluster", "Machine")),
    ("Machine", SECRET, _secret_refs),
    ("Machine", INSTANCE_UUID, _instance_uuid),
    ("Machine", VM, _vm),
    ("Machine", STATIC_ADDRESS, _static_address),
    ("Machine", STATIC_MAC, _static_mac),
    ("Machine", WANTS_ADDRESS, _wants_address),
    ("Machine", TASK, _tasks),
)
