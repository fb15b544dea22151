"""Correcting the input heals, without a restart and without waiting for the next round."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import (
    CLUSTER,
    DATASTORE,
    DC,
    NETWORK,
    TEMPLATE,
    VM_FOLDER,
    fault,
)
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.inventory.entities import Datastore, Folder, Network
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.tags import Category, Tag
from vsphere_operator.vsphere.tasks import TaskInfo
from vsphere_operator.vsphere.vcenters import Connected, Unavailable

SOON = 5.0
"""Seconds: what an event wakes is done within this; a resync comes after minutes."""
OTHERS = MoRef("Task:task-4711")
Act = Callable[[Site], Any]


def entity(moref: MoRef, **fields: Any) -> Act:
    def act(site: Site) -> None:
        site.world.entities[moref] = replace(site.world.entities[moref], **fields)
        site.world.publish()

    return act


def template(**fields: Any) -> Act:
    def act(site: Site) -> None:
        site.world.vms[TEMPLATE].change(**fields)
        site.world.publish()

    return act


def _seed(**vsphere: Any) -> Act:
    return lambda site: site.api.put(
        {**samples.a_seed(**vsphere), "metadata": _meta(site, "Seed", "", "europe")}
    )


def _meta(site: Site, kind: str, namespace: str, name: str) -> Any:
    return site.api.get(kind, namespace, name)["metadata"]


def _secret(name: str, namespace: str = NAMESPACE, **data: str) -> Act:
    return lambda site: site.api.secret(namespace, name, **data)


GOOD_BOOT = {"value": "#cloud-config\n{}\n"}
REACHES: dict[str, Any] = {"networks": (NETWORK,), "datastores": (DATASTORE,)}

MACHINE: list[tuple[str, Act, str, Act]] = [
    ("no bootstrap Secret", lambda s: s.api.delete("Secret", NAMESPACE, "boot"), "BootstrapSecretNotFound",
     _secret("boot", **GOOD_BOOT)),
    ("no key", _secret("boot", other="x"), "BootstrapSecretIncomplete", _secret("boot", **GOOD_BOOT)),
    ("empty data", _secret("boot", value=" "), "BootstrapDataEmpty", _secret("boot", **GOOD_BOOT)),
    ("no template", template(name="other"), "TemplateNotFound", template(name="ubuntu-22.04")),
    ("a running VM as template", template(template=False, power_state="poweredOn"), "TemplatePoweredOn",
     template(power_state="poweredOff")),
    ("no network", entity(NETWORK, name="other"), "NetworkNotFound", entity(NETWORK, name="VM Network")),
    ("no datastore", entity(DATASTORE, name="other"), "DatastoreNotFound", entity(DATASTORE, name="LocalDS_0")),
    ("unreachable datastore", entity(DATASTORE, accessible=False), "DatastoreInaccessible",
     entity(DATASTORE, accessible=True)),
    ("datastore in maintenance", entity(DATASTORE, maintenance_mode="inMaintenance"), "DatastoreInMaintenance",
     entity(DATASTORE, maintenance_mode="normal")),
    ("datastore of other hosts", entity(CLUSTER, datastores=(), networks=(NETWORK,)), "DatastoreElsewhere",
     entity(CLUSTER, **REACHES)),
    ("network of other hosts", entity(CLUSTER, networks=()), "NetworkElsewhere", entity(CLUSTER, **REACHES)),
    ("no compute cluster", entity(CLUSTER, name="other"), "ComputeClusterNotFound", entity(CLUSTER, name="DC0_C0")),
    ("no datacenter", entity(DC, name="other"), "DatacenterNotFound", entity(DC, name="DC0")),
    ("no such pool", _seed(resourcePool="no"), "ResourcePoolNotFound", _seed()),
    ("no default template", _seed(templates={}), "TemplateMissing", _seed()),
    ("namespace not allowed", _seed(allowedNamespaces={"matchLabels": {"tenant": "yes"}}), "NamespaceNotAllowed",
     lambda s: s.api.edit("Namespace", "", NAMESPACE, metadata={"labels": {"tenant": "yes"}})),
    ("Cluster paused", lambda s: s.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": True}), "Paused",
     lambda s: s.api.edit("Cluster", NAMESPACE, "shop", spec={"paused": False})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "reason", "mend"), [row[1:] for row in MACHINE], ids=[r[0] for r in MACHINE]
)
async def test_a_machine_goes_on_when_its_input_is_corrected(
    site: Site, spoil: Act, reason: str, mend: Act
) -> None:
    await site.with_cluster()
    spoil(site)
    await site.run(patience=1)
    site.api.put(samples.a_machine())
    await site.run(patience=1)
    assert site.reason("Machine", "worker-1") == reason, site.condition("Machine", "worker-1")
    assert not site.world.workers()
    mend(site)
    await site.run(patience=SOON)
    assert site.is_ready("Machine", "worker-1"), site.condition("Machine", "worker-1")


async def test_a_cluster_with_a_folder_says_that_its_datacenter_is_not_in_vcenter(site: Site) -> None:
    await site.with_cluster()
    entity(DC, name="other")(site)
    site.api.edit("Cluster", NAMESPACE, "shop", metadata={"annotations": {"look": "again"}})
    await site.run(patience=1)
    assert site.reason("Cluster", "shop") == "DatacenterNotFound", site.condition("Cluster", "shop")
    assert site.condition("Cluster", "shop", "DatacenterKnown")["status"] == "False"
    assert site.condition("Cluster", "shop", "FolderReady")["status"] == "True"
    entity(DC, name="DC0")(site)
    await site.run(patience=SOON)
    assert site.is_ready("Cluster", "shop"), site.condition("Cluster", "shop")


def _unavailable(site: Site) -> None:
    site.process.vcenter.state = Unavailable(fault(FaultClass.CREDENTIALS, "InvalidLogin", 900.0))


def _root(site: Site) -> None:
    moref = MoRef("Folder:new-root")
    site.world.entities[moref] = Folder(moref, "elsewhere", VM_FOLDER)
    site.world.publish()


def _bad_ca(site: Site) -> None:
    site.api.config_map("vsphere-operator", "ca", **{"ca.crt": "x"})
    _seed(caBundleRef={"kind": "ConfigMap", "namespace": "vsphere-operator", "name": "ca"})(site)


CLUSTERS: list[tuple[str, Act, str, Act]] = [
    ("no Secret", lambda s: s.api.delete("Secret", "vsphere-operator", "infra"), "SecretNotFound",
     _secret("infra", "vsphere-operator", username="u", password="p")),
    ("no password", _secret("infra", "vsphere-operator", username="u"), "SecretIncomplete",
     _secret("infra", "vsphere-operator", username="u", password="p")),
    ("no root", _seed(rootPath="/DC0/vm/elsewhere"), "ParentFolderNotFound", _root),
    ("no CA", _seed(caBundleRef={"kind": "ConfigMap", "namespace": "vsphere-operator", "name": "ca"}),
     "CABundleNotFound",
     lambda s: s.api.config_map("vsphere-operator", "ca", **{"ca.crt": "-----BEGIN CERTIFICATE-----"})),
    ("CA without certificate",
     _bad_ca,
     "CABundleInvalid",
     lambda s: s.api.config_map("vsphere-operator", "ca", **{"ca.crt": "-----BEGIN CERTIFICATE-----"})),
    ("no Seed", lambda s: s.api.delete("Seed", "", "europe"), "DatacenterNotFound",
     lambda s: s.api.put(samples.a_seed())),
    ("two Seeds", lambda s: s.api.put(samples.a_seed("asia")), "DatacenterAmbiguous",
     lambda s: s.api.delete("Seed", "", "asia")),
    ("namespace not allowed", _seed(allowedNamespaces={"matchLabels": {"tenant": "yes"}}), "NamespaceNotAllowed",
     lambda s: s.api.edit("Namespace", "", NAMESPACE, metadata={"labels": {"tenant": "yes"}})),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "reason", "mend"), [r[1:] for r in CLUSTERS], ids=[r[0] for r in CLUSTERS])
async def test_a_cluster_goes_on_when_its_input_is_corrected(
    site: Site, spoil: Act, reason: str, mend: Act
) -> None:
    spoil(site)
    await site.with_cluster()
    assert site.reason("Cluster", "shop") == reason, site.condition("Cluster", "shop")
    mend(site)
    await site.run(patience=SOON)
    assert site.is_ready("Cluster", "shop"), site.condition("Cluster", "shop")


async def test_a_rejected_password_is_told_and_heals_with_the_connection(site: Site) -> None:
    state = site.process.vcenter.state
    assert isinstance(state, Connected)
    _unavailable(site)
    await site.with_cluster()
    assert site.reason("Cluster", "shop") == "InvalidLogin"
    assert site.reason("Cluster", "shop", "CredentialsValid") == "InvalidLogin"
    assert site.reason("Seed", "europe", namespace="") == "InvalidLogin"
    site.process.vcenter.state = state
    site.process.state_changed()
    await site.run(patience=SOON)
    assert site.is_ready("Cluster", "shop")
    assert site.is_ready("Seed", "europe", namespace="")


async def test_a_ready_seed_tells_at_once_that_its_vcenter_is_away(site: Site) -> None:
    await site.run()
    assert site.is_ready("Seed", "europe", namespace="")
    site.process.vcenter.state = Unavailable(fault(FaultClass.UNREACHABLE, "TimedOut"))
    site.process.state_changed()
    await site.run(patience=SOON)
    assert site.reason("Seed", "europe", namespace="") == "TimedOut"


async def test_a_worker_stays_ready_while_its_vcenter_is_away(site: Site) -> None:
    await site.with_machine()
    before = site.process.vcenter.state
    site.process.vcenter.state = Unavailable(fault(FaultClass.UNREACHABLE, "TimedOut"))
    site.process.state_changed()
    await site.run(patience=SOON)
    site.api.edit("Machine", NAMESPACE, "worker-1", metadata={"labels": {"look": "again"}})
    await site.run(patience=SOON)
    assert site.is_ready("Machine", "worker-1")
    assert site.reason("Machine", "worker-1", "VCenterAvailable") == "TimedOut"
    (shown,) = [
        c
        for c in site.object("Machine", "worker-1")["status"]["conditions"]
        if c["type"] == "VCenterAvailable"
    ]
    assert shown["status"] == "False"
    site.process.vcenter.state = before
    site.process.state_changed()
    await site.run(patience=3000)
    assert site.is_ready("Machine", "worker-1")
    conditions = site.object("Machine", "worker-1")["status"]["conditions"]
    assert "VCenterAvailable" not in {c["type"] for c in conditions}


async def test_what_a_datacenter_asks_for_and_is_not_built_makes_no_vm(site: Site) -> None:
    await site.with_cluster()
    _seed(failureDomains=[{"name": "a"}])(site)
    site.api.put(samples.a_machine())
    await site.run(patience=SOON)
    assert site.reason("Cluster", "shop") == "NotSupportedYet"
    assert site.reason("Machine", "worker-1") == "NotSupportedYet"
    assert "failureDomains" in site.condition("Machine", "worker-1")["message"]
    assert not site.world.workers()


async def test_a_deployment_tells_which_of_its_fields_do_nothing_yet(site: Site) -> None:
    await site.with_cluster()
    site.api.put(samples.a_deployment(replicas=1, progressDeadlineSeconds=60))
    await site.run()
    assert site.is_ready("MachineDeployment", "workers")
    message = site.condition("MachineDeployment", "workers", "SettingsSupported")["message"]
    assert "spec.progressDeadlineSeconds" in message


async def test_a_namespace_that_is_allowed_again_lets_ready_machines_be_ready(site: Site) -> None:
    await site.with_machine()
    _seed(allowedNamespaces={"matchLabels": {"tenant": "yes"}})(site)
    await site.run(patience=SOON)
    assert site.reason("Machine", "worker-1") == "NamespaceNotAllowed"
    site.api.edit("Namespace", "", NAMESPACE, metadata={"labels": {"tenant": "yes"}})
    await site.run(patience=SOON)
    assert site.is_ready("Machine", "worker-1")


async def test_a_tag_that_a_person_makes_is_found_within_a_minute(site: Site) -> None:
    await site.with_cluster()
    site.api.put(samples.a_machine(tags=[{"name": "theirs"}]))
    await site.run(patience=1)
    assert site.reason("Machine", "worker-1") == "TagNotFound"
    site.world.tags["t"] = Tag("t", "theirs", "", "cat-k8c")
    await site.run(patience=70)
    assert site.is_ready("Machine", "worker-1")
    assert site.reason("Machine", "worker-1", "TagsAttached") == "Attached"


async def test_tags_that_cannot_be_asked_for_are_not_called_missing(site: Site) -> None:
    await site.with_cluster()
    site.world.refuse["read tags"] = [fault(FaultClass.UNREACHABLE, "TimedOut")] * 9
    site.api.put(samples.a_machine(tags=[{"name": "theirs"}]))
    await site.run(patience=1)
    assert site.reason("Machine", "worker-1") == "TimedOut"


async def test_a_category_that_a_person_makes_is_found_within_a_minute(site: Site) -> None:
    _seed(createTagCategory=False)(site)
    await site.with_cluster(tags=[{"name": "a", "category": "owner"}])
    assert site.reason("Cluster", "shop") == "CategoryNotFound"
    site.world.categories["cat-owner"] = Category("cat-owner", "owner", "", "MULTIPLE")
    await site.run(patience=70)
    assert site.is_ready("Cluster", "shop")


async def test_a_steady_state_writes_and_calls_nothing(site: Site) -> None:
    await site.with_cluster(tags=[{"name": "env"}])
    site.api.put(samples.a_deployment(replicas=2))
    await site.run()
    before, version = len(site.outgoing.names), site.api.version
    for key in site.process.objects.store.keys("Machine"):
        site.process.enqueue(key)
    await site.run(patience=400)
    assert site.outgoing.names[before:] == []
    assert site.api.version == version


async def test_every_object_is_looked_at_again_after_a_while(site: Site) -> None:
    await site.with_machine()
    before = site.process.total_looks
    await site.run(patience=1000)
    assert site.process.total_looks >= before + 3


async def test_the_secrets_of_a_namespace_that_goes_are_not_needed_for_its_end(site: Site) -> None:
    site.api.secret(NAMESPACE, "own", username="own", password="p")
    await site.with_cluster(infraManagementUser={"secretRef": {"name": "own"}})
    site.api.put(samples.a_machine())
    await site.run()
    assert site.is_ready("Machine", "worker-1")
    site.api.delete("Secret", NAMESPACE, "own")
    await site.run()
    assert site.reason("Cluster", "shop") == "SecretNotFound"
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert not site.world.workers()


async def test_a_machine_waits_for_the_clusters_folder_and_then_begins(site: Site) -> None:
    site.api.put(samples.a_machine())
    await site.run()
    assert site.reason("Machine", "worker-1") == "ClusterNotFound"
    await site.with_cluster()
    assert site.is_ready("Machine", "worker-1")


async def test_conditions_that_are_over_go_away(site: Site) -> None:
    site.api.put(samples.a_cluster())
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"presetRef": {"name": "x"}})
    await site.run()
    assert site.reason("Cluster", "shop") == "PresetNotFound"
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"presetRef": None})
    await site.run()
    assert site.is_ready("Cluster", "shop")
    types = {c["type"] for c in site.object("Cluster", "shop")["status"]["conditions"]}
    assert types == {
        "Ready", "DatacenterKnown", "VCenterAvailable", "CredentialsValid", "FolderReady", "TagsReady",
        "PlacementReady", "CloudConfigReady",
    }  # fmt: skip


async def test_what_vcenter_names_twice_is_called_ambiguous(site: Site) -> None:
    other = MoRef("Datastore:second")
    site.world.entities[other] = Datastore(other, "LocalDS_0", DC, accessible=True)
    site.world.publish()
    await site.with_cluster()
    site.api.put(samples.a_machine())
    await site.run()
    assert site.reason("Machine", "worker-1") == "DatastoreAmbiguous"


async def test_of_two_networks_of_one_name_the_one_that_the_hosts_reach_is_taken(site: Site) -> None:
    other = MoRef("Network:second")
    site.world.entities[other] = Network(other, "VM Network", DC)
    site.world.publish()
    await site.with_machine()
    assert site.is_ready("Machine", "worker-1"), site.condition("Machine", "worker-1")


async def test_a_machines_conditions_that_are_over_go_away(site: Site) -> None:
    await site.with_machine()
    site.api.delete("Secret", "vsphere-operator", "infra")
    await site.run(patience=SOON)
    assert site.reason("Machine", "worker-1", "CredentialsValid") == "SecretNotFound"
    site.api.delete("Seed", "", "europe")
    await site.run(patience=SOON)
    types = {c["type"] for c in site.object("Machine", "worker-1")["status"]["conditions"]}
    assert "DatacenterKnown" in types
    assert "CredentialsValid" not in types
    assert site.condition("Machine", "worker-1", "VMPoweredOn")["status"] == "True"


async def test_ended_tasks_are_not_followed_for_ever(site: Site) -> None:
    await site.with_machine()
    assert site.process.vcenter.tasks.followed == []
    site.delete("Cluster", "shop")
    await site.run(patience=SOON)
    assert site.process.vcenter.tasks.followed == []


async def test_a_cluster_whose_namespace_is_no_longer_allowed_may_still_go(site: Site) -> None:
    await site.with_machine()
    _seed(allowedNamespaces={"matchLabels": {"tenant": "yes"}})(site)
    await site.run(patience=SOON)
    assert site.reason("Cluster", "shop") == "NamespaceNotAllowed"
    site.delete("Cluster", "shop")
    await site.run(patience=SOON)
    assert not site.exists("Cluster", "shop")
    assert not site.world.workers()
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]


def _another_seed(name: str, datacenter: str, endpoint: str) -> dict[str, Any]:
    seed = samples.a_seed(name, name)
    seed["spec"]["datacenters"][name]["vsphere"] |= {"datacenter": datacenter, "endpoint": endpoint}
    return seed


async def test_only_the_datacenters_on_offer_are_read(site: Site) -> None:
    site.api.put(_another_seed("asia", "DC1", "vcenter.example.com:443"))
    site.api.put(_another_seed("africa", "DC2", "https://other.example.com"))
    await site.run()
    assert site.process.vcenters.scopes == {
        "vcenter.example.com:443": frozenset({"DC0", "DC1"}),
        "other.example.com:443": frozenset({"DC2"}),
    }


@pytest.mark.parametrize("kind", ["Machine", "Cluster"])
async def test_a_task_number_that_a_restored_vcenter_gave_to_somebody_else_proves_nothing(
    site: Site, kind: str
) -> None:
    await site.with_machine()
    name, vm, folder = ("worker-1", site.world.workers()[0].moref, site.world.folder("team-shop-shop"))
    target, type_ = (vm, "Destroy") if kind == "Machine" else (folder, "DestroyFolder")
    if kind == "Cluster":
        name = "shop"
        site.delete("Machine", "worker-1")
        await site.run()
    site.world.tasks[OTHERS] = TaskInfo(
        OTHERS,
        "VirtualMachine.destroy",
        MoRef(f"{target.partition(':')[0]}:other"),
        "success",
        site.clock.now(),
    )
    site.world.publish()
    obj = copy.deepcopy(dict(site.object(kind, name)))
    begun = {
        "type": type_,
        "target": target,
        "taskRef": OTHERS,
        "startedAt": obj["metadata"]["creationTimestamp"],
    }
    if kind == "Machine":
        obj["status"]["operation"] = {**begun, "vCenter": site.world.instance_uuid}
    else:
        obj["status"]["intents"] = [{**begun, "vCenter": site.world.instance_uuid}]
    site.api.put(obj)
    site.delete(kind, name)
    await site.run()
    assert not site.exists(kind, name)
    assert target not in site.world.vms
    assert target not in site.world.entities
