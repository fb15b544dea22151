"""What is delivered into the user cluster: written, kept, rotated, taken back; and nobody waits for it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from tests.unit.cloudconfig import gcfg
from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE, PASSWORD
from tests.unit.controllers.fakes.site import Site
from vsphere_operator.kube.errors import Forbidden, Unauthorized, Unavailable

CSI = ("Secret", "vmware-system-csi", "vsphere-config-secret")
CCM = ("Secret", "kube-system", "vsphere-cloud-secret")
CONFIG = ("ConfigMap", "kube-system", "vsphere-cloud-config")
CA = ("ConfigMap", "kube-system", "vsphere-ca-bundle")
CLASS = ("StorageClass", "", "vsphere-csi")
DEFAULT = "storageclass.kubernetes.io/is-default-class"
PEM = "-----BEGIN CERTIFICATE-----\nwords\n-----END CERTIFICATE-----\n"


@pytest.fixture
def site(site: Site) -> Site:
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password=PASSWORD)
    site.api.secret(NAMESPACE, "kubeconfig", value="good")
    return site


async def with_user_cluster(site: Site, **vsphere: Any) -> None:
    cluster = samples.a_cluster(credentialsSecretRef={"name": "ccm"}, **vsphere)
    cluster["spec"]["kubeconfigSecretRef"] = {"name": "kubeconfig"}
    site.api.put(cluster)
    await site.run(patience=1)


def content(site: Site, place: tuple[str, str, str]) -> dict[str, str]:
    data = site.user_cluster.objects[place]["data"]
    if place[0] == "ConfigMap":
        return dict(data)
    return {k: base64.b64decode(v).decode() for k, v in data.items()}


def storage_class(site: Site) -> dict[str, Any]:
    return site.user_cluster.objects[CLASS]


def is_default(site: Site) -> bool:
    return bool(storage_class(site)["metadata"]["annotations"][DEFAULT] == "true")


def calls(site: Site) -> list[str]:
    return [name for name in site.outgoing.names if name.startswith("user: ")]


async def look_in(site: Site, minutes: float) -> None:
    """Let the next looks without a reason come."""
    await site.run(patience=minutes * 60)


async def test_ccm_and_csi_find_what_their_manifests_expect(site: Site) -> None:
    await with_user_cluster(site)
    csi = gcfg.parse(content(site, CSI)["csi-vsphere.conf"])
    assert csi["VirtualCenter", "vcenter.example.com"]["password"] == PASSWORD
    assert content(site, CCM) == {
        "vcenter.example.com.username": "ccm@vsphere.local",
        "vcenter.example.com.password": PASSWORD,
    }
    vcenter = yaml.safe_load(content(site, CONFIG)["vsphere.conf"])["vcenter"]["vcenter.example.com"]
    assert (vcenter["secretName"], vcenter["secretNamespace"]) == ("vsphere-cloud-secret", "kube-system")
    assert PASSWORD not in content(site, CONFIG)["vsphere.conf"]
    made = storage_class(site)
    assert made["provisioner"] == "csi.vsphere.vmware.com"
    assert (made["volumeBindingMode"], made["allowVolumeExpansion"]) == ("WaitForFirstConsumer", True)
    assert is_default(site)
    assert site.is_ready("Cluster", "shop")
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "Answers"
    assert site.reason("Cluster", "shop", "CloudConfigDelivered") == "Delivered"
    assert CA not in site.user_cluster.objects


async def test_what_was_delivered_is_recorded_without_its_content(site: Site) -> None:
    await with_user_cluster(site)
    recorded = site.object("Cluster", "shop")["status"]["delivered"]
    assert {(o["kind"], o.get("namespace", ""), o["name"]) for o in recorded} == {CSI, CCM, CONFIG, CLASS}
    assert PASSWORD not in str(site.api.written)


async def test_the_namespace_of_csi_is_made_where_it_is_missing_and_is_nobodys(site: Site) -> None:
    await with_user_cluster(site)
    assert not site.user_cluster.objects["Namespace", "", "vmware-system-csi"]["metadata"].get("labels")


async def test_rotation_reaches_the_user_cluster_at_once(site: Site) -> None:
    await with_user_cluster(site)
    before = site.user_cluster.objects[CSI]["metadata"]["annotations"]["userclusters.io/checksum"]
    site.api.secret(NAMESPACE, "ccm", username="ccm@vsphere.local", password="new")
    await site.run(patience=1)
    assert content(site, CCM)["vcenter.example.com.password"] == "new"
    assert 'password = "new"' in content(site, CSI)["csi-vsphere.conf"]
    assert site.user_cluster.objects[CSI]["metadata"]["annotations"]["userclusters.io/checksum"] != before


async def test_the_ca_bundle_comes_and_goes(site: Site) -> None:
    site.api.config_map("vsphere-operator", "ca", **{"ca.crt": PEM})
    site.api.put(samples.a_seed(caBundleRef={"namespace": "vsphere-operator", "name": "ca"}))
    await with_user_cluster(site)
    for place in (CA, CONFIG, CSI):
        assert content(site, place)["ca.crt"].strip() == PEM.strip()
    site.api.put(samples.a_seed())
    await site.run(patience=1)
    assert CA not in site.user_cluster.objects


@pytest.mark.parametrize("place", [CSI, CCM, CONFIG, CLASS])
async def test_what_is_deleted_or_changed_comes_back_at_the_next_look(
    site: Site, place: tuple[str, str, str]
) -> None:
    await with_user_cluster(site)
    right = site.user_cluster.objects.pop(place)
    await look_in(site, 13)
    again = site.user_cluster.objects[place]
    assert (again.get("data"), again["metadata"]["labels"]) == (
        right.get("data"),
        right["metadata"]["labels"],
    )
    assert any(reason == "DriftRepaired" and place[2] in words for _, reason, words in site.events())
    if "data" in again:
        site.user_cluster.put(*(place[0], place[2], place[1]), metadata=again["metadata"], data={"a": "b"})
        await look_in(site, 13)
        assert site.user_cluster.objects[place]["data"] == {**right["data"], "a": "b"}


async def test_what_is_as_it_shall_be_is_not_written_again(site: Site) -> None:
    await with_user_cluster(site)
    before = calls(site)
    await look_in(site, 40)
    assert calls(site) == before
    assert "DriftRepaired" not in [reason for _, reason, _ in site.events()]


@pytest.mark.parametrize("place", [CSI, CCM, CONFIG, CLASS])
async def test_what_others_made_under_these_names_is_left_alone_until_it_goes(
    site: Site, place: tuple[str, str, str]
) -> None:
    site.user_cluster.put("Namespace", "vmware-system-csi")
    foreign = site.user_cluster.put(place[0], place[2], place[1], data={"precious": "yes"})
    await with_user_cluster(site)
    assert site.user_cluster.objects[place] is foreign
    condition = site.condition("Cluster", "shop", "CloudConfigDelivered")
    assert (condition["status"], condition["reason"]) == ("False", "ObjectTaken")
    assert place[2] in condition["message"]
    assert set(site.user_cluster.objects) >= {CSI, CCM, CONFIG, CLASS}
    del site.user_cluster.objects[place]
    await look_in(site, 6)
    assert site.user_cluster.objects[place]["metadata"]["labels"]["userclusters.io/cluster-name"] == "shop"
    assert site.reason("Cluster", "shop", "CloudConfigDelivered") == "Delivered"


def another_class(site: Site, key: str = DEFAULT) -> None:
    site.user_cluster.put("StorageClass", "fast", metadata={"annotations": {key: "true"}})


@pytest.mark.parametrize("key", [DEFAULT, "storageclass.beta.kubernetes.io/is-default-class"])
async def test_there_is_one_default_class_and_it_is_not_ours_where_there_is_another(
    site: Site, key: str
) -> None:
    another_class(site, key)
    await with_user_cluster(site)
    assert not is_default(site)
    del site.user_cluster.objects["StorageClass", "", "fast"]
    await look_in(site, 13)
    assert is_default(site)
    another_class(site)
    await look_in(site, 13)
    assert not is_default(site)
    assert "DriftRepaired" not in [reason for _, reason, _ in site.events()]


async def test_a_class_of_ours_whose_fixed_fields_differ_is_made_anew(site: Site) -> None:
    await with_user_cluster(site)
    old = storage_class(site)
    old["volumeBindingMode"] = "Immediate"
    await look_in(site, 13)
    assert storage_class(site)["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage_class(site)["metadata"]["uid"] != old["metadata"]["uid"]


async def test_an_unreachable_user_cluster_keeps_nothing_else_waiting(site: Site) -> None:
    site.user_cluster.fail = Unavailable(0, "Timeout", "gave no answer")
    await with_user_cluster(site)
    assert site.is_ready("Cluster", "shop")
    assert site.reason("Cluster", "shop", "FolderReady") == "Created"
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "UserClusterUnreachable"
    site.user_cluster.fail = None
    await look_in(site, 6)
    assert CSI in site.user_cluster.objects
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "Answers"


async def test_a_user_cluster_that_never_answers_is_asked_less_and_less(site: Site) -> None:
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        raise Unavailable(0, "Timeout", "gave no answer")

    site.user_cluster.work = ask
    await with_user_cluster(site)
    await look_in(site, 60)
    assert 8 <= asked <= 25


async def test_what_a_server_quotes_of_a_secret_is_told_nowhere(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_: Any) -> Any:
        raise Forbidden(403, "Forbidden", f'a webhook denied {{"password": "{PASSWORD}"}}')

    monkeypatch.setattr(site.user_cluster, "create_applied", refuse)
    await with_user_cluster(site)
    condition = site.condition("Cluster", "shop", "UserClusterReachable")
    assert condition["reason"] == "UserClusterForbidden"
    assert CSI[2] in condition["message"]
    assert PASSWORD not in str(site.api.written) + str(site.events()) + caplog.text


async def test_a_rejected_login_is_told_and_a_renewed_one_tried(site: Site) -> None:
    site.user_cluster.fail = Unauthorized(401, "Unauthorized", "no")
    await with_user_cluster(site)
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "KubeconfigRejected"
    assert not site.is_ready("Cluster", "shop")
    site.user_cluster.fail = None
    await look_in(site, 6)
    assert site.is_ready("Cluster", "shop")


async def test_a_kubeconfig_that_comes_later_is_no_fault_and_is_used_at_once(site: Site) -> None:
    site.delete("Secret", "kubeconfig")
    await with_user_cluster(site)
    assert site.is_ready("Cluster", "shop")
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "KubeconfigMissing"
    site.api.secret(NAMESPACE, "kubeconfig", value="good")
    await site.run(patience=1)
    assert CSI in site.user_cluster.objects


async def test_a_refused_kubeconfig_is_told_to_a_person(site: Site) -> None:
    site.api.secret(NAMESPACE, "kubeconfig", value="bad")
    await with_user_cluster(site)
    assert not site.is_ready("Cluster", "shop")
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "KubeconfigInvalid"
    assert site.reason("Cluster", "shop", "FolderReady") == "Created"
    assert not site.user_cluster.objects


@pytest.mark.parametrize("username", ["ccm", "c\ncm@vsphere.local"])
async def test_what_cannot_be_written_any_more_stays_as_it_was(site: Site, username: str) -> None:
    await with_user_cluster(site)
    before = dict(site.user_cluster.objects)
    site.api.secret(NAMESPACE, "ccm", username=username, password=PASSWORD)
    await look_in(site, 13)
    assert not site.is_ready("Cluster", "shop")
    assert set(site.user_cluster.objects) == set(before)
    assert site.user_cluster.objects[CSI] == before[CSI]


async def test_without_a_user_any_more_what_was_delivered_stays(site: Site) -> None:
    await with_user_cluster(site)
    before = dict(site.user_cluster.objects)
    vsphere = {"credentialsSecretRef": None}
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": vsphere}})
    await look_in(site, 13)
    assert site.user_cluster.objects == before


async def test_without_a_consumer_nothing_is_delivered(site: Site) -> None:
    cluster = samples.a_cluster()
    cluster["spec"]["kubeconfigSecretRef"] = {"name": "kubeconfig"}
    site.api.put(cluster)
    await site.run(patience=1)
    assert not site.user_cluster.objects
    assert site.reason("Cluster", "shop", "UserClusterReachable") == "Answers"
    assert site.condition("Cluster", "shop", "CloudConfigDelivered") == {}


async def test_it_goes_with_the_cluster_and_what_others_made_stays(site: Site) -> None:
    another_class(site)
    await with_user_cluster(site)
    site.delete("Cluster", "shop")
    await site.run(patience=30)
    assert not site.exists("Cluster", "shop")
    assert set(site.user_cluster.objects) == {
        ("StorageClass", "", "fast"),
        ("Namespace", "", "vmware-system-csi"),
    }


async def test_an_unreachable_user_cluster_holds_the_deletion_until_a_person_lets_go(site: Site) -> None:
    await with_user_cluster(site)
    site.user_cluster.fail = Unavailable(0, "Timeout", "gave no answer")
    site.delete("Cluster", "shop")
    await site.run(patience=30)
    assert "userclusters.io/orphan: userCluster" in site.condition("Cluster", "shop")["message"]
    annotations = {"userclusters.io/orphan": "userCluster"}
    site.api.edit("Cluster", NAMESPACE, "shop", metadata={"annotations": annotations})
    await site.run(patience=30)
    assert not site.exists("Cluster", "shop")
    assert any(reason == "LeftBehind" and CSI[2] in words for _, reason, words in site.events())


async def test_a_kubeconfig_that_is_gone_lets_the_cluster_go(site: Site) -> None:
    await with_user_cluster(site)
    site.delete("Secret", "kubeconfig")
    site.delete("Cluster", "shop")
    await site.run(patience=30)
    assert not site.exists("Cluster", "shop")
    assert any(reason == "LeftBehind" for _, reason, _ in site.events())
