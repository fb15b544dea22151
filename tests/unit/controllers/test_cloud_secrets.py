"""The Secrets beside a Cluster: written, kept, rotated at once, and nobody else's touched."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.cloudconfig import gcfg
from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.samples import NAMESPACE, PASSWORD
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import fault
from tests.unit.controllers.test_presets import a_preset
from vsphere_operator.kube.errors import Forbidden, Unavailable
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.faults import FaultClass
from vsphere_operator.vsphere.vcenters import Unavailable as VCenterUnavailable

CLOUD, CSI = Key("Secret", NAMESPACE, "shop-cloud-config"), Key("Secret", NAMESPACE, "shop-csi-config")
AWKWARD = 'a"b\\c#d;e%f'
CA = "-----BEGIN CERTIFICATE-----\nwords\n-----END CERTIFICATE-----\n"


@pytest.fixture
def site(site: Site) -> Site:
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password=AWKWARD)
    return site


async def with_consumer(site: Site, **vsphere: Any) -> None:
    await site.with_cluster(credentialsSecretRef={"name": "ccm"}, **vsphere)


def content(site: Site, key: Key) -> dict[str, str]:
    return {k: v.decode() for k, v in site.api.secrets[key].items()}


def vcenter_in(site: Site) -> dict[str, Any]:
    document = yaml.safe_load(content(site, CLOUD)["vsphere.yaml"])
    found: dict[str, Any] = document["vcenter"]["vcenter.example.com"]
    return found


def csi_in(site: Site) -> gcfg.Sections:
    return gcfg.parse(content(site, CSI)["csi-vsphere.conf"])


def workspace_in(site: Site) -> dict[str, str]:
    return gcfg.parse(content(site, CLOUD)["vsphere.conf"])["Workspace", None]


async def test_both_secrets_are_written_and_belong_to_the_cluster(site: Site) -> None:
    await with_consumer(site)
    assert site.is_ready("Cluster", "shop")
    assert site.reason("Cluster", "shop", "CloudConfigReady") == "Written"
    assert set(content(site, CLOUD)) == {"vsphere.yaml", "vsphere.conf"}
    assert set(content(site, CSI)) == {"csi-vsphere.conf"}
    assert (vcenter_in(site)["user"], vcenter_in(site)["password"]) == ("ccm@vsphere.local", AWKWARD)
    assert csi_in(site)["VirtualCenter", "vcenter.example.com"]["password"] == AWKWARD
    cluster = site.object("Cluster", "shop")["metadata"]
    for key in (CLOUD, CSI):
        meta = site.api.objects[key]["metadata"]
        assert meta["ownerReferences"][0]["uid"] == cluster["uid"]
        assert meta["labels"]["userclusters.io/cluster-name"] == "shop"
        assert meta["annotations"]["userclusters.io/checksum"]


async def test_the_legacy_form_names_the_folder_and_the_datastore_of_volumes(site: Site) -> None:
    await with_consumer(site, datastoreCluster="DC0_POD0")
    workspace = workspace_in(site)
    assert workspace["folder"] == site.object("Cluster", "shop")["status"]["folder"]["path"]
    assert workspace["default-datastore"] == "LocalDS_0"
    assert "DC0_POD0" not in "".join([*content(site, CLOUD).values(), *content(site, CSI).values()])


async def test_the_infrastructure_user_never_goes_in(site: Site) -> None:
    await site.with_cluster()
    assert site.is_ready("Cluster", "shop")
    condition = site.condition("Cluster", "shop", "CloudConfigReady")
    assert condition["status"] == "False"
    assert "credentialsSecretRef" in condition["message"]
    assert CLOUD not in site.api.secrets
    await with_consumer(site)
    assert PASSWORD not in "".join([*content(site, CLOUD).values(), *content(site, CSI).values()])


async def test_rotation_reaches_both_at_once_and_changes_the_checksum(site: Site) -> None:
    await with_consumer(site)
    before = [
        site.api.objects[k]["metadata"]["annotations"]["userclusters.io/checksum"] for k in (CLOUD, CSI)
    ]
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password="new")
    await site.run(patience=1)
    assert vcenter_in(site)["password"] == "new"
    assert csi_in(site)["VirtualCenter", "vcenter.example.com"]["password"] == "new"
    after = [site.api.objects[k]["metadata"]["annotations"]["userclusters.io/checksum"] for k in (CLOUD, CSI)]
    assert not set(before) & set(after)


async def test_line_ends_behind_the_password_do_not_count(site: Site) -> None:
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local\n", password="sesame\r\n\n")
    await with_consumer(site)
    assert vcenter_in(site)["password"] == "sesame"


async def test_a_line_break_within_is_told_and_writes_nothing(site: Site) -> None:
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password="ses\name")
    await with_consumer(site)
    condition = site.condition("Cluster", "shop", "CloudConfigReady")
    assert condition["reason"] == "SettingNotWritable"
    assert "ses" not in condition["message"]
    assert CLOUD not in site.api.secrets


async def test_a_user_without_domain_costs_only_the_csi_driver_its_file(site: Site) -> None:
    site.api.secret(NAMESPACE, "ccm", username="ccm", password="sesame")
    await with_consumer(site)
    assert site.reason("Cluster", "shop", "CloudConfigReady") == "SettingNotWritable"
    assert vcenter_in(site)["user"] == "ccm"
    assert CSI not in site.api.secrets


async def test_the_ca_bundle_lies_beside_and_its_rotation_is_followed(site: Site) -> None:
    site.api.config_map("vsphere-operator", "ca", **{"ca.crt": CA})
    reference = {"namespace": "vsphere-operator", "name": "ca"}
    site.api.put(samples.a_seed(caBundleRef=reference))
    await with_consumer(site)
    assert content(site, CSI)["ca.crt"].strip() == CA.strip()
    assert csi_in(site)["Global", None]["ca-file"] == "/etc/cloud/ca.crt"
    site.api.config_map("vsphere-operator", "ca", **{"ca.crt": CA.replace("words", "others")})
    await site.run(patience=1)
    assert "others" in content(site, CSI)["ca.crt"]
    assert "others" in content(site, CLOUD)["ca.crt"]


async def test_what_somebody_changed_or_deleted_is_as_it_was_again(site: Site) -> None:
    await with_consumer(site)
    right = content(site, CLOUD)
    site.api.secrets[CLOUD] = {"vsphere.yaml": b"nonsense"}
    site.api.edit("Secret", NAMESPACE, "shop-cloud-config")
    await site.run(patience=1)
    assert content(site, CLOUD) == right
    site.delete("Secret", "shop-csi-config")
    await site.run(patience=1)
    assert csi_in(site)
    assert [reason for _, reason, _ in site.events()].count("DriftRepaired") == 2


async def test_a_foreign_secret_of_that_name_is_left_alone_until_it_goes(site: Site) -> None:
    site.api.secret(NAMESPACE, "shop-cloud-config", precious="yes")
    await with_consumer(site)
    assert site.reason("Cluster", "shop", "CloudConfigReady") == "SecretTaken"
    assert content(site, CLOUD) == {"precious": "yes"}
    assert csi_in(site)
    site.delete("Secret", "shop-cloud-config")
    await site.run(patience=1)
    assert vcenter_in(site)
    assert site.is_ready("Cluster", "shop")


async def test_a_secret_of_another_cluster_of_that_name_is_foreign_too(site: Site) -> None:
    await with_consumer(site)
    labels = {"userclusters.io/cluster-id": "0" * 40}
    site.api.edit("Secret", NAMESPACE, "shop-cloud-config", metadata={"labels": labels})
    await site.run(patience=1)
    assert site.reason("Cluster", "shop", "CloudConfigReady") == "SecretTaken"


async def test_an_unchanged_secret_costs_no_call(site: Site) -> None:
    await with_consumer(site)
    calls = len(site.outgoing.names)
    site.process.enqueue(Key("Cluster", NAMESPACE, "shop"))
    await site.run(patience=1)
    assert not [name for name in site.outgoing.names[calls:] if "Secret" in name]


async def test_after_a_restart_it_is_written_over_its_own_without_a_word(site: Site) -> None:
    await with_consumer(site)
    version = site.api.objects[CLOUD]["metadata"]["resourceVersion"]
    site.restart()
    await site.run()
    assert site.api.objects[CLOUD]["metadata"]["resourceVersion"] == version
    assert "DriftRepaired" not in [reason for _, reason, _ in site.events()]


async def test_it_is_written_although_vcenter_does_not_answer(site: Site) -> None:
    await with_consumer(site)
    site.process.vcenter.state = VCenterUnavailable(fault(FaultClass.UNREACHABLE, "TimedOut"))
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password="new")
    await site.run(patience=1)
    assert not site.is_ready("Cluster", "shop")
    assert vcenter_in(site)["password"] == "new"


@pytest.mark.parametrize(
    ("error", "reason", "ready"),
    [
        (Forbidden(403, "Forbidden", "secrets is forbidden"), "WriteRefused", False),
        (Unavailable(0, "Timeout", "no answer"), "Unavailable", True),
    ],
)
async def test_a_refused_write_keeps_nothing_else_waiting(
    site: Site, error: Exception, reason: str, ready: bool
) -> None:
    site.process.objects.fail["create Secret"] = error
    await with_consumer(site)
    assert site.reason("Cluster", "shop", "CloudConfigReady") == reason
    assert site.reason("Cluster", "shop", "FolderReady") == "Created"
    assert site.is_ready("Cluster", "shop") is ready
    del site.process.objects.fail["create Secret"]
    await site.run(patience=120)
    assert vcenter_in(site)


async def test_the_password_is_in_no_object_and_no_event(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password=PASSWORD)
    await with_consumer(site)
    assert PASSWORD not in str(site.api.written)
    assert PASSWORD not in str(site.events())
    assert PASSWORD not in caplog.text
    assert PASSWORD not in str(site.process.objects.store.list("Secret"))


async def test_a_secret_that_the_store_does_not_show_yet_is_not_written_over(site: Site) -> None:
    objects = site.process.objects
    site.api.secret(NAMESPACE, "shop-cloud-config", precious="yes")
    objects.store.forget(CLOUD)
    await with_consumer(site)
    assert site.reason("Cluster", "shop", "CloudConfigReady") == "SecretTaken"
    assert content(site, CLOUD) == {"precious": "yes"}


async def test_a_preset_gives_login_and_datastore_and_its_changes_are_followed(site: Site) -> None:
    site.api.secret("presets", "ccm", username="preset@vsphere.local", password="sesame")
    reference = {"namespace": "presets", "name": "ccm"}
    site.api.put(a_preset(credentialsSecretRef=reference, datastore="LocalDS_1"))
    cluster = samples.a_cluster()
    cluster["spec"]["presetRef"] = {"name": "standard"}
    site.api.put(cluster)
    await site.run()
    assert vcenter_in(site)["user"] == "preset@vsphere.local"
    assert workspace_in(site)["default-datastore"] == "LocalDS_1"
    site.api.put(a_preset(credentialsSecretRef=reference))
    await site.run(patience=1)
    assert workspace_in(site)["default-datastore"] == "LocalDS_0"
    site.api.secret("presets", "ccm", username="preset@vsphere.local", password="new")
    await site.run(patience=1)
    assert vcenter_in(site)["password"] == "new"


@pytest.mark.parametrize("phase", ["before", "after"])
async def test_both_are_complete_wherever_the_process_dies(clock: Clock, phase: Phase) -> None:
    for at in range(1, 40):
        site = Site(clock)
        site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password=AWKWARD)
        site.api.secret(NAMESPACE, "kubeconfig", value="good")
        cluster = samples.a_cluster(credentialsSecretRef={"name": "ccm"})
        cluster["spec"]["kubeconfigSecretRef"] = {"name": "kubeconfig"}
        site.api.put(cluster)
        await site.run_and_die(at, phase)
        where = f"{phase} call {at}: {site.outgoing.names}"
        assert site.is_ready("Cluster", "shop"), where
        assert vcenter_in(site)["password"] == AWKWARD, where
        assert csi_in(site), where
        assert site.user_cluster.has("Secret", "vsphere-config-secret", "vmware-system-csi"), where
        site.delete("Cluster", "shop")
        await site.run_and_die(at, phase)
        assert not site.exists("Cluster", "shop"), where
        left = {kind for kind, _, _ in site.user_cluster.objects}
        assert left == {"Namespace"}, where
