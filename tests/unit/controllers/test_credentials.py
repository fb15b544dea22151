"""Whose name and password are used, and what is told of a Secret that cannot be used."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import NAMESPACE
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.test_presets import a_preset
from vsphere_operator.api.cluster import Cluster
from vsphere_operator.controllers import clusters
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import Offer, Role, find_offer
from vsphere_operator.controllers.presets import PresetUse, preset_for

Json = dict[str, Any]
PRESETS = "presets"
OWN_INFRA = {"infraManagementUser": {"secretRef": {"name": "own-infra"}}}
OWN = {"credentialsSecretRef": {"name": "own-ccm"}}
PRESET_INFRA = {"infraManagementUser": {"secretRef": {"namespace": PRESETS, "name": "preset-infra"}}}
PRESET = {"credentialsSecretRef": {"namespace": PRESETS, "name": "preset-ccm"}}

ORDER: list[tuple[Json, Json, bool, str | None, str | None]] = [
    # cluster, preset, datacenter has one -> infrastructure, CCM and CSI
    ({}, {}, True, "infra", None),
    ({}, {}, False, None, None),
    (OWN, {}, True, "infra", "own-ccm"),
    (OWN, {}, False, "own-ccm", "own-ccm"),
    ({}, PRESET, False, "preset-ccm", "preset-ccm"),
    ({}, PRESET, True, "infra", "preset-ccm"),
    (OWN, PRESET, False, "own-ccm", "own-ccm"),
    (OWN, PRESET_INFRA, True, "preset-infra", "own-ccm"),
    (OWN | OWN_INFRA, PRESET | PRESET_INFRA, True, "own-infra", "own-ccm"),
    (OWN_INFRA, PRESET | PRESET_INFRA, True, "own-infra", "preset-ccm"),
    (OWN_INFRA, {}, False, "own-infra", None),
]


async def put(site: Site, cluster: Json, preset: Json, *, of_datacenter: bool = True) -> Cluster:
    for name in ("own-infra", "own-ccm"):
        site.api.secret(NAMESPACE, name, username=name, password=samples.PASSWORD)
    for name in ("preset-infra", "preset-ccm"):
        site.api.secret(PRESETS, name, username=name, password=samples.PASSWORD)
    if not of_datacenter:
        site.api.put(samples.a_seed(infraManagementUser=None))
    site.api.put(a_preset(**preset))
    wanted = samples.a_cluster(**cluster)
    wanted["spec"]["presetRef"] = {"name": "standard"}
    site.api.put(wanted)
    await site.run()
    return Cluster.model_validate(site.object("Cluster", "shop"))


def offer(site: Site, cluster: Cluster) -> Offer:
    found, preset = find_offer(site.process.objects, "frankfurt"), preset_for(site.process.objects, cluster)
    assert isinstance(found, Offer)
    assert isinstance(preset, PresetUse)
    return Offer(found.seed, found.name, found.vsphere, preset)


@pytest.mark.parametrize(("cluster", "preset", "shared", "infra", "consumer"), ORDER)
async def test_each_set_comes_from_the_nearest_object_that_names_it(
    site: Site, cluster: Json, preset: Json, shared: bool, infra: str | None, consumer: str | None
) -> None:
    written = await put(site, cluster, preset, of_datacenter=shared)
    used = await clusters.infrastructure_login(site.process.objects, offer(site, written), written)
    assert (None if isinstance(used, Problem) else used.secret) == infra
    given = await clusters.consumer_login(site.process.objects, written)
    assert (None if isinstance(given, Problem) else given.secret) == consumer
    if isinstance(given, Problem):
        assert given.reason == clusters.NO_CONSUMER
    else:
        assert given.role is Role.CONSUMER


BROKEN: list[tuple[str, Json, str]] = [
    ("password missing", {"username": "u"}, "the key password is missing"),
    ("username missing", {"password": "p"}, "the key username is missing"),
    ("empty", {"username": "u", "password": ""}, "the key password is empty"),
    ("only a line end", {"username": "\n", "password": "p"}, "the key username is empty"),
    ("both", {}, "the key username is missing and the key password is missing"),
]
NAMED = [
    (OWN_INFRA, {}, (NAMESPACE, "own-infra"), "infrastructure user", "Cluster"),
    ({}, PRESET_INFRA, (PRESETS, "preset-infra"), "infrastructure user", "Preset"),
    (OWN, {}, (NAMESPACE, "own-ccm"), "user of CCM and CSI", "Cluster"),
    ({}, PRESET, (PRESETS, "preset-ccm"), "user of CCM and CSI", "Preset"),
]


@pytest.mark.parametrize(("cluster", "preset", "where", "role", "source"), NAMED)
@pytest.mark.parametrize(("data", "words"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
async def test_a_half_filled_secret_is_an_error_and_never_a_reason_to_take_the_next(
    site: Site, cluster: Json, preset: Json, where: tuple[str, str], role: str, source: str, data: Json, words: str
) -> None:  # fmt: skip
    await put(site, cluster, preset)
    site.api.delete("Secret", *where)
    site.api.secret(*where, **data)
    await site.run()
    condition = site.condition("Cluster", "shop", "CredentialsValid")
    assert (condition["status"], condition["reason"]) == ("False", "SecretIncomplete")
    assert not site.is_ready("Cluster", "shop")
    for word in (words, role, "/".join(where), f"the {source} names"):
        assert word in condition["message"]
    assert samples.PASSWORD not in condition["message"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
async def test_line_ends_behind_name_and_password_do_not_count(site: Site, ending: str) -> None:
    written = await put(site, OWN, {})
    site.api.secret(NAMESPACE, "own-ccm", username=f"u{ending}", password=f" p #'\"\\ {ending}")
    await site.run()
    login = await clusters.consumer_login(site.process.objects, written)
    assert not isinstance(login, Problem)
    assert (login.credentials.username, login.credentials.password) == ("u", " p #'\"\\ ")


async def test_a_valid_login_tells_both_sets_and_where_they_came_from(site: Site) -> None:
    await put(site, OWN, PRESET_INFRA)
    message = site.condition("Cluster", "shop", "CredentialsValid")["message"]
    assert message == (
        "infrastructure user, from the Secret presets/preset-infra that the Preset names; "
        "user of CCM and CSI, from the Secret team-shop/own-ccm that the Cluster names"
    )


@pytest.mark.parametrize("cluster", [{}, OWN_INFRA], ids=["of the preset", "of Cluster and preset"])
async def test_a_cluster_that_goes_takes_the_next_user_when_a_secret_is_gone(
    site: Site, cluster: Json
) -> None:
    await put(site, cluster, PRESET_INFRA)
    for where in ((NAMESPACE, "own-infra"), (PRESETS, "preset-infra")):
        site.api.delete("Secret", *where)
    await site.run()
    assert site.reason("Cluster", "shop") == "SecretNotFound"
    site.delete("Cluster", "shop")
    await site.run()
    assert not site.exists("Cluster", "shop")
    assert "team-shop-shop" not in site.world.folders()


async def test_a_change_of_a_presets_secret_is_seen_at_once(site: Site) -> None:
    await put(site, {}, PRESET_INFRA)
    site.api.put(samples.a_machine())
    await site.run()
    site.api.secret(PRESETS, "preset-infra", username="u", password="")
    await site.run(patience=5)
    assert site.reason("Cluster", "shop") == "SecretIncomplete"
    assert site.reason("Preset", "standard", namespace="") == "SecretIncomplete"
    site.api.secret(PRESETS, "preset-infra", username="u", password=samples.PASSWORD)
    await site.run(patience=5)
    assert site.is_ready("Cluster", "shop")
    assert site.is_ready("Preset", "standard", "")
