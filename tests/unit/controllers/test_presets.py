"""Presets: laid between datacenter and Cluster, followed or pinned, and missed without harm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from vsphere_operator.api.names import API_VERSION

Json = dict[str, Any]
TENANT = {"matchLabels": {"tenant": "yes"}}


def a_preset(name: str = "standard", *, spec: Json | None = None, **vsphere: Any) -> Json:
    return {
        "apiVersion": API_VERSION,
        "kind": "Preset",
        "metadata": {"name": name},
        "spec": {"vsphere": vsphere, **(spec or {})},
    }


def a_cluster(*, policy: str = "Follow", preset: str = "standard", **vsphere: Any) -> Json:
    cluster = samples.a_cluster(**vsphere)
    cluster["spec"] |= {"presetRef": {"name": preset}, "presetPolicy": policy}
    return cluster


def effective(site: Site) -> Json:
    found: Json = site.object("Cluster", "shop")["status"]["effective"]
    return found


FIELDS = [
    ("datastore", "of-preset", "datastore", "of-preset"),
    ("datastoreCluster", "pod", "datastoreCluster", "pod"),
    ("resourcePool", "pool-a", "resourcePool", "pool-a"),
    ("networks", [{"name": "net-a"}], "networks", ["net-a"]),
    ("defaultTagCategory", "owner", "tagCategory", "owner"),
    ("basePath", "team", "folder", "/DC0/vm/kubernetes/team/team-shop-shop"),
]


@pytest.mark.parametrize(("field", "value", "shown", "expected"), FIELDS, ids=[f[0] for f in FIELDS])
async def test_a_preset_replaces_the_datacenters_setting(
    site: Site, field: str, value: Any, shown: str, expected: Any
) -> None:
    site.world.add_folder("team")
    site.api.put(a_preset(**{field: value}))
    site.api.put(a_cluster())
    await site.run()
    assert effective(site)[shown] == expected
    assert effective(site)["sources"][shown] == "Preset"
    assert site.condition("Cluster", "shop", "PresetReady")["status"] == "True"


async def test_an_absent_setting_inherits_and_a_clusters_own_wins(site: Site) -> None:
    site.api.put(a_preset(networks=[]))
    site.api.put(a_cluster(resourcePool="own"))
    await site.run()
    found = effective(site)
    assert (found["datastore"], found["sources"]["datastore"]) == ("LocalDS_0", "Datacenter")
    assert (found.get("networks", []), found["sources"]["networks"]) == ([], "Preset")
    assert (found["resourcePool"], found["sources"]["resourcePool"]) == ("own", "Cluster")


@pytest.mark.parametrize(
    ("preset", "cluster", "expected", "source"),
    [
        ({}, {}, "LocalDS_0", "Datacenter"),
        ({"datastore": "p"}, {}, "p", "Preset"),
        ({"datastore": "p"}, {"datastore": "c"}, "c", "Cluster"),
        ({"datastore": "p"}, {"datastoreCluster": "pod"}, "p", "Preset"),
        ({"datastoreCluster": "pod"}, {}, "LocalDS_0", "Datacenter"),
    ],
)
async def test_volumes_go_to_the_nearest_datastore_and_never_to_a_cluster_of_them(
    site: Site, preset: Json, cluster: Json, expected: str, source: str
) -> None:
    site.api.put(a_preset(**preset))
    site.api.put(a_cluster(**cluster))
    await site.run()
    found = effective(site)
    assert (found["volumeDatastore"], found["sources"]["volumeDatastore"]) == (expected, source)


async def test_a_presets_tags_are_attached_and_an_empty_list_of_the_cluster_clears_them(site: Site) -> None:
    site.api.put(a_preset(tags=[{"name": "env"}], defaultTagCategory="k8c"))
    site.api.put(a_cluster())
    await site.run()
    assert [t.name for t in site.world.tags.values()] == ["env"]
    assert effective(site)["sources"]["tags"] == "Preset"
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"cloud": {"vsphere": {"tags": []}}})
    await site.run()
    assert site.world.tags == {}


async def test_a_machine_takes_the_presets_template(site: Site) -> None:
    site.api.put(a_preset(templates={"ubuntu": "flatcar-stable"}))
    site.api.put(a_cluster())
    site.api.put(samples.a_machine())
    await site.run()
    found = site.object("Machine", "worker-1")["status"]["effective"]
    assert (found["template"], found["sources"]["template"]) == ("flatcar-stable", "Preset")


async def test_a_changed_preset_is_followed_at_once(site: Site) -> None:
    site.api.put(a_preset(networks=[{"name": "a"}]))
    site.api.put(a_cluster())
    await site.run()
    site.api.put(a_preset(networks=[{"name": "b"}]))
    await site.run(patience=5)
    assert effective(site)["networks"] == ["b"]
    assert "pinned" not in site.object("Cluster", "shop")["status"]


async def test_a_pinned_preset_stays_as_it_was_until_it_is_taken_anew(site: Site) -> None:
    site.api.put(a_preset(networks=[{"name": "VM Network"}], storagePolicy=None))
    site.api.put(a_cluster(policy="Pin"))
    await site.run()
    pinned = site.object("Cluster", "shop")["status"]["pinned"]
    assert pinned["settings"] == {"networks": ["VM Network"]}
    assert pinned["preset"] == "standard"
    site.api.put(a_preset(networks=[{"name": "b"}]))
    await site.run()
    assert effective(site)["networks"] == ["VM Network"]
    assert site.reason("Cluster", "shop", "PresetReady") == "Pinned"
    for policy in ("Follow", "Pin"):
        site.api.edit("Cluster", NAMESPACE, "shop", spec={"presetPolicy": policy})
        await site.run()
    assert effective(site)["networks"] == ["b"]


async def test_a_pin_is_only_taken_when_the_preset_was_used_with_success(site: Site) -> None:
    site.api.put(a_preset(basePath="missing"))
    site.api.put(a_cluster(policy="Pin"))
    await site.run()
    assert site.reason("Cluster", "shop") == "ParentFolderNotFound"
    assert "pinned" not in site.object("Cluster", "shop")["status"]
    site.api.put(a_preset())
    await site.run()
    assert site.is_ready("Cluster", "shop")
    assert site.object("Cluster", "shop")["status"]["pinned"]["preset"] == "standard"


async def test_no_user_is_pinned(site: Site) -> None:
    site.api.secret("presets", "infra", username="infra", password=samples.PASSWORD)
    reference = {"namespace": "presets", "name": "infra"}
    site.api.put(a_preset(infraManagementUser={"secretRef": reference}, credentialsSecretRef=reference))
    site.api.put(a_cluster(policy="Pin"))
    await site.run()
    assert site.object("Cluster", "shop")["status"]["pinned"].get("settings", {}) == {}
    assert (
        effective(site)["sources"]["infraSecret"]
        == effective(site)["sources"]["credentialsSecret"]
        == "Preset"
    )
    site.api.put(a_preset())
    await site.run()
    assert effective(site)["sources"]["infraSecret"] == "Datacenter"


@pytest.mark.parametrize(
    ("spec", "reason", "word"),
    [
        (None, "PresetNotFound", "standard"),
        ({"datacenter": "berlin"}, "PresetForOtherDatacenter", "berlin"),
        ({"allowedNamespaces": TENANT}, "NamespaceNotAllowed", "tenant=yes"),
    ],
)
async def test_a_preset_that_cannot_be_used_makes_nothing(
    site: Site, spec: Json | None, reason: str, word: str
) -> None:
    if spec is not None:
        site.api.put(a_preset(spec=spec))
    site.api.put(a_cluster())
    site.api.put(samples.a_machine())
    await site.run()
    assert site.reason("Cluster", "shop") == reason
    condition = site.condition("Cluster", "shop", "PresetReady")
    assert (condition["status"], condition["reason"]) == ("False", reason)
    assert word in condition["message"]
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]


async def test_labelling_the_namespace_or_making_the_preset_wakes_the_cluster(site: Site) -> None:
    site.api.put(a_cluster())
    await site.run()
    site.api.put(a_preset(spec={"allowedNamespaces": TENANT, "datacenter": "frankfurt"}))
    await site.run(patience=5)
    assert site.reason("Cluster", "shop") == "NamespaceNotAllowed"
    site.api.put(samples.a_namespace(tenant="yes"))
    await site.run(patience=5)
    assert site.is_ready("Cluster", "shop")


async def test_a_preset_deleted_in_use_touches_nothing_that_is_there(site: Site) -> None:
    site.api.put(a_preset(networks=[{"name": "VM Network"}], tags=[{"name": "env"}]))
    site.api.put(a_cluster())
    site.api.put(samples.a_machine())
    await site.run()
    before, calls = effective(site), len(site.outgoing.names)
    assert site.is_ready("Machine", "worker-1")
    site.api.delete("Preset", "", "standard")
    await site.run()
    assert site.reason("Cluster", "shop") == "PresetNotFound"
    assert effective(site) == before
    assert not [n for n in site.outgoing.names[calls:] if not n.startswith("kube: status")]
    assert site.is_ready("Machine", "worker-1")
    site.api.put(samples.a_machine("worker-2"))
    await site.run()
    assert site.world.named("worker-2") == []
    assert site.world.named("worker-1") != []


@pytest.mark.parametrize("policy", ["Follow", "Pin"])
async def test_a_cluster_goes_without_its_preset(site: Site, policy: str) -> None:
    site.api.put(a_preset(tags=[{"name": "env"}]))
    site.api.put(a_cluster(policy=policy))
    site.api.put(samples.a_machine())
    await site.run()
    site.api.delete("Preset", "", "standard")
    await site.run()
    site.delete("Machine", "worker-1")
    site.delete("Cluster", "shop")
    await site.run(patience=600)
    assert not site.exists("Cluster", "shop")
    assert site.world.named("worker-1") == []
    assert site.world.folders() == ["Datacenters", "kubernetes", "vm"]
    assert site.world.tags == {}


async def test_a_preset_tells_what_is_wrong_with_it_and_who_names_it(site: Site) -> None:
    site.api.put(
        a_preset(
            spec={"datacenter": "frankfurt"}, credentialsSecretRef={"namespace": "presets", "name": "ccm"}
        )
    )
    site.api.put(a_cluster())
    await site.run()
    assert site.reason("Preset", "standard", namespace="") == "SecretNotFound"
    assert "presets/ccm" in site.condition("Preset", "standard", namespace="")["message"]
    assert site.object("Preset", "standard", "")["status"]["clusters"] == 1
    site.api.secret("presets", "ccm", username="ccm", password=samples.PASSWORD)
    await site.run(patience=5)
    assert site.is_ready("Preset", "standard", "")
    site.api.edit("Cluster", NAMESPACE, "shop", spec={"presetRef": {"name": "other"}})
    await site.run(patience=5)
    assert site.object("Preset", "standard", "")["status"]["clusters"] == 0
    site.api.delete("Seed", "", "europe")
    await site.run(patience=5)
    assert site.reason("Preset", "standard", namespace="") == "DatacenterNotFound"
