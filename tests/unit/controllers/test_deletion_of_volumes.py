"""Volumes and load balancers of a user cluster go before its workers do, when and only when that is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.controllers.fakes.interruptions import Clock, Phase
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.test_crashes import PHASES, nothing_is_left
from vsphere_operator.controllers.cluster import volumes_end
from vsphere_operator.kube.errors import Forbidden, KubeError, Unauthorized, Unavailable

DRIVER = "csi.vsphere.vmware.com"
PROTECTION = "kubernetes.io/pvc-protection"
LB_CLEANUP = "service.kubernetes.io/load-balancer-cleanup"


def a_volume(site: Site, name: str, *, claim: str = "", driver: str = DRIVER, **spec: Any) -> None:
    meta = {"finalizers": spec.pop("finalizers", ["kubernetes.io/pv-protection", volumes_end.GUARD])}
    spec = {"csi": {"driver": driver}, "persistentVolumeReclaimPolicy": "Delete"} | spec
    phase = "Bound" if claim else "Available"
    site.user_cluster.put("PersistentVolume", name, metadata=meta, spec=spec, status={"phase": phase})
    if claim:
        site.user_cluster.put(
            "PersistentVolumeClaim",
            claim,
            "web",
            metadata={"finalizers": [PROTECTION]},
            spec={"volumeName": name},
        )


def a_pod(site: Site, name: str, claim: str) -> None:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    site.user_cluster.put("Pod", name, "web", spec={"nodeName": "worker-1", "volumes": volumes})


def the_driver(site: Site) -> None:
    """Kubernetes and the CSI driver, which runs on the worker: no worker, no driver."""
    world, cluster = site.world, site.user_cluster
    if not world.workers():
        return
    claims = [o for (k, _, _), o in cluster.objects.items() if k == "PersistentVolumeClaim"]
    used = {
        v["persistentVolumeClaim"]["claimName"]
        for (k, _, _), o in cluster.objects.items()
        for v in (o["spec"].get("volumes") or [] if k == "Pod" else [])
    }
    for claim in claims:
        meta = claim["metadata"]
        if "deletionTimestamp" in meta and meta["name"] not in used:
            cluster.remove_finalizers("PersistentVolumeClaim", meta["name"], meta["namespace"])
            volume = cluster.objects["PersistentVolume", "", claim["spec"]["volumeName"]]
            volume["status"]["phase"] = "Released"
            if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                del cluster.objects["PersistentVolume", "", claim["spec"]["volumeName"]]


def ask(site: Site, *, kubeconfig: str | None = "good", **deletion: str) -> None:
    if kubeconfig is not None:
        site.api.secret(NAMESPACE, "shop-kubeconfig", value=kubeconfig)
    spec = {"kubeconfigSecretRef": {"name": "shop-kubeconfig"}, "deletion": deletion}
    site.api.edit("Cluster", NAMESPACE, "shop", spec=spec)


def told(site: Site) -> tuple[str, str, str]:
    found = site.object("Cluster", "shop")["status"]["deletion"]
    return found["step"], found["reason"], site.condition("Cluster", "shop", "Deleting")["message"]


def let_go(site: Site, words: str) -> None:
    site.api.edit("Cluster", NAMESPACE, "shop", metadata={"annotations": {"userclusters.io/orphan": words}})


async def test_volumes_go_while_the_driver_still_runs_and_nothing_else_is_touched(site: Site) -> None:
    await site.with_machine()
    a_volume(site, "pv-1", claim="data")
    a_volume(site, "pv-nfs", claim="films", driver="nfs.csi.k8s.io")
    a_pod(site, "web-0", "data")
    a_pod(site, "films-0", "films")
    site.user_cluster.work = lambda: the_driver(site)
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop"), site.object("Cluster", "shop")["status"]
    left = {(k, n) for k, _, n in site.user_cluster.objects if not k.startswith("Validating")}
    assert left == {("PersistentVolume", "pv-nfs"), ("PersistentVolumeClaim", "films"), ("Pod", "films-0")}
    names = site.outgoing.names
    assert names.index("user: delete PersistentVolumeClaim data") < names.index("user: delete Pod web-0")
    assert names.index("user: delete Pod web-0") < names.index("vcenter: destroy vm")


async def test_a_claim_that_stays_is_named_with_its_finalizer_and_its_pod(site: Site) -> None:
    await site.with_machine()
    a_volume(site, "pv-1", claim="data")
    a_pod(site, "web-0", "data")
    site.user_cluster.objects["Pod", "web", "web-0"]["metadata"]["finalizers"] = ["example.com/slow"]
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=20)
    step, reason, words = told(site)
    assert (step, reason) == ("Volumes", "WaitingForVolumes")
    assert f"PersistentVolumeClaim web/data (finalizer {PROTECTION}; used by the Pod web-0)" in words
    assert "orphan" not in words
    assert site.world.workers(), "the driver needs its worker"
    await site.run(patience=700)
    assert "userclusters.io/orphan: volumes" in told(site)[2]
    let_go(site, "volumes")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.user_cluster.has("PersistentVolume", "pv-1")
    assert any(r == "LeftBehind" and "volumes" in m for _, r, m in site.events())


async def test_keep_asks_the_user_cluster_nothing(site: Site) -> None:
    await site.with_machine()
    a_volume(site, "pv-1", claim="data")
    site.user_cluster.fail = Unavailable(0, "Timeout", "no answer")
    ask(site, volumes="Keep", loadBalancers="Keep")
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.outgoing.count("user:") == 0


async def test_what_a_person_wants_retained_stays_and_is_told(site: Site) -> None:
    await site.with_machine()
    a_volume(site, "pv-kept", claim="data", persistentVolumeReclaimPolicy="Retain")
    a_volume(site, "pv-bare", finalizers=["kubernetes.io/pv-protection"])
    site.user_cluster.work = lambda: the_driver(site)
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.user_cluster.has("PersistentVolume", "pv-kept")
    assert site.user_cluster.has("PersistentVolume", "pv-bare")
    assert not site.user_cluster.has("PersistentVolumeClaim", "data", "web")
    (kept,) = [m for _, r, m in site.events() if r == "VolumesKept"]
    assert "pv-kept (its reclaim policy is Retain)" in kept
    assert "pv-bare" in kept


async def test_claims_that_come_meanwhile_go_too(site: Site) -> None:
    await site.with_machine()
    a_volume(site, "pv-0", claim="data-0")
    made = 0

    def stateful_set() -> None:
        nonlocal made
        the_driver(site)
        if made < 3 and not site.user_cluster.has("PersistentVolumeClaim", f"data-{made}", "web"):
            made += 1
            a_volume(site, f"pv-{made}", claim=f"data-{made}")

    site.user_cluster.work = stateful_set
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=120)
    assert made == 3
    assert not site.exists("Cluster", "shop")
    assert not [n for k, _, n in site.user_cluster.objects if k == "PersistentVolume"]


@pytest.mark.parametrize("served", [True, False])
async def test_new_claims_are_refused_where_the_user_cluster_can(site: Site, served: bool) -> None:
    await site.with_machine()
    if not served:
        site.user_cluster.unserved = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    a_volume(site, "pv-1", claim="data")
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=20)
    name = "no-new-volumes.userclusters.io"
    assert site.user_cluster.has("ValidatingAdmissionPolicy", name) == served
    assert site.user_cluster.has("ValidatingAdmissionPolicyBinding", name) == served
    site.user_cluster.work = lambda: the_driver(site)
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert not site.user_cluster.objects


async def test_a_refusal_that_cannot_be_taken_back_is_told(site: Site) -> None:
    await site.with_machine()
    ask(site, volumes="Delete")
    site.process.tasks_run = False
    site.delete("Cluster", "shop")
    await site.run(patience=10)
    site.user_cluster.fail = Unavailable(0, "Timeout", "gave no answer")
    site.process.tasks_run = True
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert any("no-new-volumes.userclusters.io" in m for _, r, m in site.events() if r == "LeftBehind")


async def test_load_balancers_go_first_and_their_finalizers_are_waited_for(site: Site) -> None:
    await site.with_machine()
    site.user_cluster.put(
        "Service", "web", "web", metadata={"finalizers": [LB_CLEANUP]}, spec={"type": "LoadBalancer"}
    )
    site.user_cluster.put("Service", "db", "web", spec={"type": "ClusterIP"})
    a_volume(site, "pv-1", claim="data")
    ask(site, volumes="Delete", loadBalancers="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=20)
    step, reason, words = told(site)
    assert (step, reason) == ("LoadBalancers", "WaitingForLoadBalancers")
    assert f"Service web/web (finalizer {LB_CLEANUP})" in words
    assert not site.outgoing.count("user: delete PersistentVolumeClaim")
    site.user_cluster.remove_finalizers("Service", "web", "web")
    site.user_cluster.work = lambda: the_driver(site)
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert site.user_cluster.has("Service", "db", "web")


ERRORS: list[tuple[KubeError, str]] = [
    (Unavailable(0, "Timeout", "gave no answer"), "UserClusterUnreachable"),
    (Unauthorized(401, "Unauthorized", "who?"), "KubeconfigRejected"),
    (Forbidden(403, "Forbidden", "cannot list persistentvolumes"), "UserClusterForbidden"),
]


@pytest.mark.parametrize(("error", "reason"), ERRORS, ids=[r for _, r in ERRORS])
async def test_a_user_cluster_that_does_not_answer_is_waited_for_and_there_is_a_way_out(
    site: Site, error: KubeError, reason: str
) -> None:
    await site.with_machine()
    site.user_cluster.fail = error
    ask(site, volumes="Delete", loadBalancers="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=120)
    step, said, words = told(site)
    assert (step, said) == ("LoadBalancers", reason)
    assert "userclusters.io/orphan: volumes,loadBalancers" in words
    assert site.reason("Cluster", "shop", "UserClusterReachable") == reason
    assert site.world.workers()
    let_go(site, "volumes,loadBalancers")
    await site.run()
    assert not site.exists("Cluster", "shop")


async def test_a_user_cluster_that_answers_again_lets_the_deletion_go_on(site: Site) -> None:
    await site.with_machine()
    site.user_cluster.fail = Unavailable(0, "Timeout", "gave no answer")
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=60)
    site.user_cluster.fail = None
    await site.run()
    assert not site.exists("Cluster", "shop")


async def test_a_user_cluster_that_hangs_holds_up_no_worker_and_what_was_told_stands(site: Site) -> None:
    await site.with_machine()
    a_volume(site, "pv-1", claim="data")
    ask(site, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=20)
    before = site.object("Cluster", "shop")["status"]
    answer = asyncio.Event()
    site.user_cluster.hangs = answer.wait
    site.restart()
    await site.run(patience=20)
    now = site.object("Cluster", "shop")["status"]
    assert now["deletion"] == before["deletion"]
    assert told(site)[1] == "WaitingForVolumes"
    site.user_cluster.work = lambda: the_driver(site)
    answer.set()
    await site.run()
    assert not site.exists("Cluster", "shop")


@pytest.mark.parametrize(
    ("kubeconfig", "reason"),
    [(None, "KubeconfigMissing"), ("", "KubeconfigMissing"), ("x", "KubeconfigInvalid")],
)
async def test_a_kubeconfig_that_is_gone_or_unusable_is_told_and_heals(
    site: Site, kubeconfig: str | None, reason: str
) -> None:
    await site.with_machine()
    ask(site, kubeconfig=kubeconfig, volumes="Delete")
    site.delete("Cluster", "shop")
    await site.run(patience=20)
    assert told(site)[:2] == ("Volumes", reason)
    assert "shop-kubeconfig" in told(site)[2]
    site.api.secret(NAMESPACE, "shop-kubeconfig", value="good")
    await site.run(patience=900)
    assert not site.exists("Cluster", "shop")


async def test_volumes_that_are_gone_are_not_asked_about_again_when_the_user_cluster_is_gone_too(
    site: Site,
) -> None:
    await site.with_machine()
    ask(site, volumes="Delete")
    site.process.tasks_run = False
    site.delete("Cluster", "shop")
    await site.run(patience=10)
    assert site.object("Cluster", "shop")["status"]["deletion"]["done"] == ["Volumes"]
    site.user_cluster.fail = Unavailable(0, "Timeout", "gave no answer")
    site.restart()
    await site.run()
    assert not site.exists("Cluster", "shop")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("how", ["dies", "loses the answer"])
async def test_volumes_and_workers_go_completely_whichever_call_is_cut_off(
    clock: Clock, phase: Phase, how: str
) -> None:
    for at in range(1, 80):
        site = Site(clock)
        await site.with_machine()
        a_volume(site, "pv-1", claim="data")
        a_pod(site, "web-0", "data")
        site.user_cluster.work = lambda site=site: the_driver(site)  # type: ignore[misc]
        ask(site, volumes="Delete", loadBalancers="Delete")
        await site.run()
        site.delete("Cluster", "shop")
        first = len(site.outgoing.names)
        if how == "dies":
            went_on = await site.run_and_die(at, phase)
        else:
            site.outgoing.lose_at, site.outgoing.phase = first + at, phase
            await site.run(patience=600)
            went_on = len(site.outgoing.names) >= first + at
        where = f"{phase} call {at}: {site.outgoing.names[first:]}"
        assert not site.exists("Cluster", "shop"), where
        assert not site.user_cluster.has("PersistentVolume", "pv-1"), where
        nothing_is_left(site)
        if not went_on:
            assert at > 15
            return
    raise AssertionError("more calls than a life has")


def _pv(**changes: Any) -> dict[str, Any]:
    meta = {"name": "pv", "uid": "1", "finalizers": changes.pop("finalizers", [volumes_end.GUARD])}
    spec = {"csi": {"driver": DRIVER}, "persistentVolumeReclaimPolicy": changes.pop("policy", "Delete")}
    return {"kind": "PersistentVolume", "metadata": meta, "spec": spec, "status": {"phase": changes["phase"]}}


@pytest.mark.parametrize(
    ("volume", "deletes", "waits", "kept"),
    [
        (_pv(phase="Bound"), 0, 1, 0),
        (_pv(phase="Released"), 0, 1, 0),
        (_pv(phase="Failed"), 0, 1, 0),
        (_pv(phase="Available"), 1, 1, 0),
        (_pv(phase="Available", finalizers=[]), 0, 0, 1),
        (_pv(phase="Released", policy="Retain"), 0, 0, 1),
        (_pv(phase="Bound", policy="Recycle"), 0, 0, 1),
    ],
)
def test_only_a_volume_that_its_driver_guards_is_asked_to_go(
    volume: dict[str, Any], deletes: int, waits: int, kept: int
) -> None:
    plan = volumes_end.plan([volume], [], [])
    assert (sum(map(len, plan.delete)), len(plan.waits_for), len(plan.kept)) == (deletes, waits, kept)


@pytest.mark.parametrize(
    ("spec", "annotations", "ours"),
    [
        ({"volumeName": "pv"}, {}, True),
        ({"volumeName": "other"}, {}, False),
        ({"volumeName": "other"}, {"volume.kubernetes.io/storage-provisioner": DRIVER}, False),
        ({}, {"volume.kubernetes.io/storage-provisioner": DRIVER}, True),
        ({}, {"volume.kubernetes.io/storage-provisioner": "nfs"}, False),
        ({}, {}, False),
    ],
)
def test_a_claim_is_the_drivers_by_its_volume_or_by_who_makes_one(
    spec: dict[str, Any], annotations: dict[str, str], ours: bool
) -> None:
    claim = {"metadata": {"name": "c", "namespace": "web", "annotations": annotations}, "spec": spec}
    assert bool(volumes_end.claims_of([_pv(phase="Bound")], [claim])) == ours


def test_a_pods_own_ephemeral_volume_is_a_claim_that_it_uses() -> None:
    claim = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "web-0-scratch", "namespace": "web"},
        "spec": {"volumeName": "pv"},
    }
    pod = {
        "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "web"},
        "spec": {"volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}}]},
    }
    plan = volumes_end.plan([_pv(phase="Bound")], [claim], [pod])
    assert plan.delete[1] == (pod,)
