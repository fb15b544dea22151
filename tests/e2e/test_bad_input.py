"""Mistakes of people: each becomes a condition that says what to change, and heals when it is changed.

The operator is never restarted here, and the fixture looks for tracebacks and secrets in its log.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e import objects
from tests.e2e.foreign_things import ForeignThings
from tests.e2e.seed_api import ApiException
from tests.e2e.world import INFRA, Tenant

Change = dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """A wrong setting of the datacenter, what is said about it, and the change that mends it."""

    id: str
    wrong: Change
    condition: str
    reason: str
    names: tuple[str, ...]
    mended: Change


UNKNOWN_IN_VCENTER = [
    Mistake("datacenter", {"datacenter": "DC7"}, "PlacementReady", "DatacenterNotFound", ("DC7", "datacenter"),
            {"datacenter": "DC0"}),
    Mistake("compute cluster", {"cluster": "DC0_C7"}, "PlacementReady", "ComputeClusterNotFound",
            ("DC0_C7", "vsphere.cluster"), {"cluster": "DC0_C0"}),
    Mistake("datastore", {"datastore": "LocalDS_7"}, "PlacementReady", "DatastoreNotFound",
            ("LocalDS_7", "vsphere.datastore"), {"datastore": "LocalDS_0"}),
    Mistake("pool", {"resourcePool": "no-pool"}, "PlacementReady", "ResourcePoolNotFound",
            ("no-pool", "vsphere.resourcePool"), {"resourcePool": None}),
    Mistake("network", {"networks": [{"name": "No Network"}]}, "PlacementReady", "NetworkNotFound",
            ("No Network", "vsphere.networks"), {"networks": [{"name": "VM Network"}]}),
    Mistake("template", {"templates": {"ubuntu": "no-template"}}, "TemplateReady", "TemplateNotFound",
            ("no-template", "vsphere.templates"), {"templates": {"ubuntu": "ubuntu-22.04"}}),
    Mistake("no template", {"templates": {"ubuntu": None}}, "TemplateReady", "TemplateMissing",
            ("ubuntu", "spec.vsphere.template"), {"templates": {"ubuntu": "ubuntu-22.04"}}),
    Mistake("no datastore", {"datastore": None}, "PlacementReady", "DatastoreMissing", ("datastore",),
            {"datastore": "LocalDS_0"}),
    Mistake("pool elsewhere", {"resourcePool": "/DC0/host/DC0_H0/Resources"}, "PlacementReady",
            "ResourcePoolElsewhere", ("DC0_C0", "vsphere.resourcePool"), {"resourcePool": None}),
]  # fmt: skip


@pytest.mark.parametrize("mistake", UNKNOWN_IN_VCENTER, ids=lambda m: m.id)
def test_what_a_seed_names_and_vcenter_lacks_stops_a_machine_until_the_seed_is_corrected(
    tenant: Tenant, mistake: Mistake
) -> None:
    tenant.shop()
    tenant.change_datacenter(mistake.wrong)
    tenant.create_machine("alone")
    message = tenant.condition("Machine", "alone", mistake.condition, "False", mistake.reason)
    assert all(name in message for name in mistake.names), message
    assert tenant.condition("Machine", "alone", "Stalled", "True", mistake.reason) == message
    assert tenant.vms() == []
    tenant.change_datacenter(mistake.mended)
    tenant.ready("Machine", "alone")


def test_a_seed_names_everything_that_is_missing_at_once(tenant: Tenant) -> None:
    wrong = {"datastore": "LocalDS_7", "networks": [{"name": "No Network"}], "resourcePool": "no-pool"}
    tenant.change_datacenter(wrong)

    def complete() -> bool:
        (datacenter,) = tenant.must_get("Seed", tenant.seed)["status"]["datacenters"]
        text = " ".join(c["message"] for c in datacenter["conditions"] if c["type"] == "Ready")
        return all(name in text for name in ("LocalDS_7", "No Network", "no-pool"))

    tenant.eventually(complete, "one message names all three")
    tenant.condition("Seed", tenant.seed, "Ready", "False", "SeveralMissing")
    tenant.change_datacenter({"datastore": "LocalDS_0", "networks": None, "resourcePool": None})
    tenant.ready("Seed", tenant.seed)


def test_a_missing_pool_heals_when_it_is_made_in_vcenter(tenant: Tenant, foreign: ForeignThings) -> None:
    tenant.create_cluster(changes={"cloud": {"vsphere": {"resourcePool": "late-pool"}}})
    tenant.condition("Cluster", "shop", "PlacementReady", "False", "ResourcePoolNotFound")
    tenant.create_machine("alone")
    message = tenant.condition("Machine", "alone", "PlacementReady", "False", "ResourcePoolNotFound")
    assert "late-pool" in message
    assert "spec.cloud.vsphere.resourcePool" in message
    pool = foreign.pool("late-pool")
    tenant.ready("Machine", "alone", seconds=8)
    tenant.ready("Cluster", "shop")
    assert tenant.vm("alone").resourcePool._moId == pool._moId


def test_a_missing_network_heals_when_it_is_made_in_vcenter(tenant: Tenant, foreign: ForeignThings) -> None:
    tenant.create_cluster(changes={"cloud": {"vsphere": {"networks": [{"name": "late-network"}]}}})
    tenant.condition("Cluster", "shop", "PlacementReady", "False", "NetworkNotFound")
    tenant.create_machine("alone")
    message = tenant.condition("Machine", "alone", "PlacementReady", "False", "NetworkNotFound")
    assert "late-network" in message
    assert "spec.cloud.vsphere.networks" in message
    foreign.portgroup("late-network")
    tenant.ready("Machine", "alone")
    tenant.ready("Cluster", "shop")
    tenant.delete("Machine", "alone")
    tenant.gone("Machine", "alone")


def test_a_missing_template_heals_when_one_of_that_name_appears(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.shop()
    template = {"vsphere": {"template": "late-template"}}
    tenant.create_machine("alone", template=objects.worker("ubuntu", template))
    message = tenant.condition("Machine", "alone", "TemplateReady", "False", "TemplateNotFound")
    assert "late-template" in message
    with foreign.renamed(tenant.vcenter.find("/DC0/vm/ubuntu-22.04"), "late-template"):
        tenant.ready("Machine", "alone")


def test_a_missing_parent_folder_heals_when_it_is_made_in_vcenter(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.create_cluster("shop", {"cloud": {"vsphere": {"basePath": f"/DC0/vm/{tenant.namespace}"}}})
    message = tenant.condition("Cluster", "shop", "FolderReady", "False", "ParentFolderNotFound")
    assert f"/DC0/vm/{tenant.namespace}" in message
    foreign.folder(f"/DC0/vm/{tenant.namespace}")
    tenant.ready("Cluster", "shop")
    assert tenant.vcenter.find(f"/DC0/vm/{tenant.namespace}/{tenant.namespace}-shop") is not None
    tenant.delete("Cluster", "shop")
    tenant.gone("Cluster", "shop")


def test_a_cluster_of_an_unknown_datacenter_waits_until_a_seed_offers_it(tenant: Tenant) -> None:
    late = f"{tenant.seed}-late"
    tenant.create_cluster("shop", {"datacenter": late})
    message = tenant.condition("Cluster", "shop", "DatacenterKnown", "False", "DatacenterNotFound")
    assert late in message
    assert tenant.seed in message, "it says what is on offer"
    offer = tenant.must_get("Seed", tenant.seed)["spec"]["datacenters"][tenant.seed]
    tenant.patch("Seed", tenant.seed, {"spec": {"datacenters": {late: offer}}})
    tenant.ready("Cluster", "shop")


def test_a_datacenter_that_two_seeds_offer_is_a_condition_on_both_until_one_of_them_goes(
    tenant: Tenant,
) -> None:
    spec = tenant.must_get("Seed", tenant.seed)["spec"]
    double = {"apiVersion": objects.API_VERSION, "kind": "Seed", "metadata": {"name": f"{tenant.seed}-b"}}
    tenant.api.create({**double, "spec": spec})
    try:
        for name in (tenant.seed, f"{tenant.seed}-b"):
            message = tenant.condition("Seed", name, "Ready", "False", "DatacenterAmbiguous")
            assert f"{tenant.seed}-b" in message
    finally:
        tenant.delete("Seed", f"{tenant.seed}-b")
    tenant.ready("Seed", tenant.seed)


def test_a_namespace_without_the_wanted_labels_may_not_use_the_datacenter(tenant: Tenant) -> None:
    tenant.change_datacenter({"allowedNamespaces": {"matchLabels": {"tenant": "gold"}}})
    tenant.create_cluster()
    message = tenant.condition("Cluster", "shop", "DatacenterKnown", "False", "NamespaceNotAllowed")
    assert "tenant" in message
    tenant.api.label_namespace(tenant.namespace, {"tenant": "gold"})
    tenant.ready("Cluster", "shop")


def login_changes() -> list[Any]:
    def remove(tenant: Tenant) -> None:
        tenant.api.delete_secret(tenant.namespace, "infra")

    def cut(tenant: Tenant) -> None:
        tenant.api.write_secret(tenant.namespace, "infra", {"password": None})

    def empty(tenant: Tenant) -> None:
        tenant.api.write_secret(tenant.namespace, "infra", {"username": ""})

    def mistype(tenant: Tenant) -> None:
        tenant.write_login("infra", INFRA, f"SENTINEL-wrong-{tenant.namespace}")

    return [
        pytest.param(remove, "SecretNotFound", "", id="secret missing"),
        pytest.param(cut, "SecretIncomplete", "password", id="password missing"),
        pytest.param(empty, "SecretIncomplete", "username", id="username empty"),
        pytest.param(mistype, "InvalidLogin", "Secret", id="password wrong"),
    ]


@pytest.mark.parametrize(("spoil", "reason", "word"), login_changes())
def test_a_login_that_cannot_work_is_told_on_seed_cluster_and_machine_and_heals_with_the_secret(
    newcomer: Tenant, spoil: Callable[[Tenant], None], reason: str, word: str
) -> None:
    tenant = newcomer
    tenant.settle_in()
    spoil(tenant)
    tenant.create_cluster()
    tenant.create_machine("alone")
    tenant.condition("Seed", tenant.seed, "Ready", "False", reason)
    message = tenant.condition("Cluster", "shop", "CredentialsValid", "False", reason)
    assert f"{tenant.namespace}/infra" in message
    assert word in message
    tenant.condition("Machine", "alone", "Ready", "False", reason)
    tenant.write_login("infra", INFRA)
    tenant.ready("Seed", tenant.seed)
    tenant.ready("Cluster", "shop")
    tenant.ready("Machine", "alone")
    assert "SENTINEL-wrong" not in tenant.world.operator.log
    assert "SENTINEL-wrong" not in str(tenant.api.events(tenant.namespace))


def test_a_wrong_password_is_tried_only_once(tenant: Tenant) -> None:
    sequence = max(c["sequence"] for c in tenant.world.double.calls())
    tenant.write_login("infra", INFRA, "SENTINEL-wrong-again")
    for name in ("one", "two", "three"):
        tenant.create_cluster(name)
    for name in ("one", "two", "three"):
        tenant.condition("Cluster", name, "CredentialsValid", "False", "InvalidLogin")
    refused = [c for c in tenant.world.double.calls(since=sequence) if c.get("fault") == "InvalidLogin"]
    assert len(refused) == 1
    tenant.write_login("infra", INFRA)
    for name in ("one", "two", "three"):
        tenant.ready("Cluster", name)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(lambda t: t.api.delete_secret(t.namespace, "ccm"), "SecretNotFound", id="missing"),
        pytest.param(lambda t: t.write_login("ccm", INFRA, "SENTINEL-no"), "InvalidLogin", id="wrong"),
    ],
)
def test_a_wrong_login_for_the_cloud_controller_is_told_while_folder_and_tags_are_made(
    newcomer: Tenant, spoil: Callable[[Tenant], None], reason: str
) -> None:
    tenant = newcomer
    tenant.settle_in()
    spoil(tenant)
    tenant.create_cluster()
    message = tenant.condition("Cluster", "shop", "CredentialsValid", "False", reason)
    assert f"{tenant.namespace}/ccm" in message
    tenant.eventually(lambda: tenant.vcenter.find(tenant.folder()), "the folder is there")
    tenant.write_login("ccm", INFRA)
    tenant.ready("Cluster", "shop")


def bundle_changes() -> list[Any]:
    def remove(tenant: Tenant) -> None:
        tenant.api.delete_config_map(tenant.namespace, "vcenter-ca")

    def another_ca(tenant: Tenant) -> None:
        other = tenant.world.another_ca()
        tenant.api.write_config_map(tenant.namespace, "vcenter-ca", {"ca.crt": other})

    def nonsense(tenant: Tenant) -> None:
        tenant.api.write_config_map(tenant.namespace, "vcenter-ca", {"ca.crt": "no certificate"})

    return [
        pytest.param(remove, "CABundleNotFound", id="config map missing"),
        pytest.param(another_ca, "CertificateUntrusted", id="another CA"),
        pytest.param(nonsense, "CABundleInvalid", id="no PEM"),
    ]


@pytest.mark.parametrize(("spoil", "reason"), bundle_changes())
def test_a_vcenter_that_cannot_be_trusted_gets_no_password_and_heals_with_the_bundle(
    newcomer: Tenant, spoil: Callable[[Tenant], None], reason: str
) -> None:
    tenant = newcomer
    tenant.settle_in_without_seed()
    spoil(tenant)
    sequence = max((c["sequence"] for c in tenant.world.double.calls()), default=0)
    tenant.create_seed({"endpoint": tenant.world.double.url.replace("127.0.0.1", "localhost")})
    tenant.create_cluster()
    message = tenant.condition("Cluster", "shop", "VCenterAvailable", "False", reason)
    assert "caBundleRef" in message or "vcenter-ca" in message
    tenant.condition("Seed", tenant.seed, "Ready", "False", reason)
    assert not [c for c in tenant.world.double.calls(since=sequence) if c["method"] == "Login"]
    tenant.api.write_config_map(tenant.namespace, "vcenter-ca", {"ca.crt": tenant.world.ca()})
    tenant.ready("Seed", tenant.seed)
    tenant.ready("Cluster", "shop")


def test_a_vcenter_that_does_not_answer_is_told_and_heals_with_the_endpoint(newcomer: Tenant) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        newcomer.settle_in({"endpoint": f"https://127.0.0.1:{port}"})
        newcomer.create_cluster()
        newcomer.eventually(
            lambda: unavailable(newcomer, str(port)), "the Cluster says that vCenter does not answer"
        )
    newcomer.change_datacenter({"endpoint": newcomer.world.double.url})
    newcomer.ready("Seed", newcomer.seed)
    newcomer.ready("Cluster", "shop")


def unavailable(tenant: Tenant, where: str) -> bool:
    found = (tenant.must_get("Cluster", "shop").get("status") or {}).get("conditions") or []
    return any(
        c["type"] == "VCenterAvailable"
        and c["status"] != "True"
        and c["reason"] != "Connecting"
        and where in c["message"]
        for c in found
    )


def test_a_missing_bootstrap_secret_is_waited_for(tenant: Tenant) -> None:
    tenant.shop()
    template = objects.worker("ubuntu", {"bootstrap": {"dataSecretName": "late"}})
    tenant.create_machine("alone", template=template)
    message = tenant.condition("Machine", "alone", "BootstrapReady", "Unknown", "BootstrapSecretNotFound")
    assert f"{tenant.namespace}/late" in message
    tenant.api.write_secret(tenant.namespace, "late", {"data": "#cloud-config\n"})
    message = tenant.condition("Machine", "alone", "BootstrapReady", "False", "BootstrapSecretIncomplete")
    assert "value" in message
    assert tenant.vms() == []
    tenant.api.write_secret(tenant.namespace, "late", {"value": "#cloud-config\n{}\n"})
    tenant.ready("Machine", "alone")


@pytest.mark.parametrize(
    ("system", "text", "reason"),
    [
        ("flatcar", "#cloud-config\n# SENTINEL-bootstrap-data\n", "IgnitionInvalid"),
        ("ubuntu", "#cloud-config\nrun: [SENTINEL-bootstrap-data\n", "CloudConfigInvalid"),
        ("ubuntu", "SENTINEL-bootstrap-data\n", "BootstrapDataFormatUnknown"),
        ("ubuntu", "", "BootstrapDataEmpty"),
    ],
)
def test_bootstrap_data_that_the_system_cannot_read_is_refused_without_being_shown(
    tenant: Tenant, system: str, text: str, reason: str
) -> None:
    tenant.api.write_secret(tenant.namespace, f"bootstrap-{system}", {"value": text})
    tenant.shop()
    tenant.create_machine("alone", template=objects.worker(system))
    message = tenant.condition("Machine", "alone", "BootstrapReady", "False", reason)
    assert f"{tenant.namespace}/bootstrap-{system}" in message
    assert "SENTINEL" not in message
    assert tenant.vms() == []
    tenant.write_bootstrap()
    tenant.ready("Machine", "alone")


def test_a_template_without_a_disk_is_refused(tenant: Tenant) -> None:
    tenant.shop()
    template = objects.worker("ubuntu", {"vsphere": {"template": "no-disk"}})
    tenant.create_machine("alone", template=template)
    message = tenant.condition("Machine", "alone", "Ready", "False", "TemplateWithoutDisk")
    assert "no-disk" in message
    assert tenant.vms() == []


def test_a_template_without_a_cdrom_drive_gets_one(tenant: Tenant) -> None:
    tenant.shop()
    tenant.create_machine("alone", template=objects.worker("ubuntu", {"vsphere": {"template": "no-cdrom"}}))
    tenant.ready("Machine", "alone")


def test_a_disk_smaller_than_the_templates_is_refused_with_both_sizes(tenant: Tenant) -> None:
    tenant.shop()
    tenant.create_machine("alone", template=objects.worker("ubuntu", {"vsphere": {"diskSizeGB": 5}}))
    message = tenant.condition("Machine", "alone", "Ready", "False", "DiskTooSmall")
    assert "5" in message
    assert "10" in message
    assert tenant.vms() == []


def test_a_missing_category_and_a_missing_tag_heal_within_the_minute_between_two_polls(
    tenant: Tenant, foreign: ForeignThings
) -> None:
    tenant.change_datacenter({"createTagCategory": False})
    tenant.shop(cloud={"vsphere": {"tags": None}})
    tenant.create_cluster("other", {"cloud": {"vsphere": {"tags": [{"name": "team", "category": "late"}]}}})
    there = f"worker-{tenant.namespace}"
    category = foreign.category(there)
    wanted = {"tags": [{"name": "late", "category": there}]}
    tenant.create_machine("alone", template=objects.worker("ubuntu", {"vsphere": wanted}))

    message = tenant.condition("Cluster", "other", "TagsReady", "False", "CategoryNotFound")
    assert "late" in message
    assert "createTagCategory" in message
    message = tenant.condition("Machine", "alone", "TagsReady", "False", "TagNotFound")
    assert "late" in message
    assert tenant.vms() == []
    foreign.category("late")
    foreign.tag("late", category)
    tenant.ready("Cluster", "other", seconds=80)
    tenant.ready("Machine", "alone", seconds=80)
    assert tenant.vcenter.tags.on(tenant.vm("alone")) == {"late"}
    for name in ("shop", "other"):
        tenant.delete("Cluster", name)
        tenant.gone("Cluster", name)


REFUSED = [
    ("Seed", {"endpoint": "vcenter.example.com"}, "https"),
    ("Seed", {"networks": [{"name": "x"}, {"name": "x", "extra": 1}]}, "extra"),
    ("Cluster", {"datastore": "a", "datastoreCluster": "b"}, "datastore"),
    ("Cluster", {"folder": "/DC0/vm/x", "basePath": "y"}, "basePath"),
    ("Machine", {"datastore": "a", "datastoreCluster": "b"}, "datastore"),
    ("Machine", {"memoryMB": 2049}, "multiple of 4"),
    ("Machine", {"cpus": 0}, "cpus"),
    ("Machine", {"extraConfig": {"guestinfo.userdata": "x"}}, "bootstrap data"),
]


@pytest.mark.parametrize(("kind", "wrong", "word"), REFUSED)
def test_what_needs_no_vcenter_to_be_wrong_is_refused_by_the_api_server(
    newcomer: Tenant, kind: str, wrong: Change, word: str
) -> None:
    newcomer.api.create_namespace(newcomer.namespace)
    name, namespace = newcomer.seed, newcomer.namespace
    vsphere = {"vsphere": wrong}
    manifest = {
        "Seed": lambda: objects.seed(name, endpoint="https://x", secret_namespace=namespace, changes=wrong),
        "Cluster": lambda: objects.cluster("shop", namespace, datacenter=name, changes={"cloud": vsphere}),
        "Machine": lambda: objects.machine("a", namespace, template=objects.worker("ubuntu", vsphere)),
    }[kind]()
    with pytest.raises(ApiException) as refused:
        newcomer.api.create(manifest)
    assert refused.value.status in (400, 422)
    assert word in refused.value.body
