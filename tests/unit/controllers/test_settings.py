"""Settings: absent inherits, an empty list clears, storage is one unit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.controllers.fakes import samples
from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.machine import Machine
from vsphere_operator.api.seed import Seed
from vsphere_operator.api.vspheresettings import Source, Tag
from vsphere_operator.controllers import settings
from vsphere_operator.controllers.datacenters import Offer
from vsphere_operator.controllers.settings import Layer

ROWS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("absent inherits", {"networks": ["a"]}, {"networks": None}, {"networks": ["a"]}),
    ("an empty list clears", {"networks": ["a"]}, {"networks": []}, {"networks": []}),
    ("the later one wins", {"datastore": "a"}, {"datastore": "b"}, {"datastore": "b"}),
    ("a cluster replaces a datastore", {"datastore": "a"}, {"datastoreCluster": "p"}, {"datastoreCluster": "p"}),
    ("a datastore replaces a cluster", {"datastoreCluster": "p"}, {"datastore": "a"}, {"datastore": "a"}),
    ("others stay", {"datastore": "a", "resourcePool": "r"}, {"datastore": "b"},
     {"datastore": "b", "resourcePool": "r"}),
    ("nothing said", {}, {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("below", "above", "expected"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_layers_are_laid_over_each_other(
    below: dict[str, Any], above: dict[str, Any], expected: dict[str, Any]
) -> None:
    layers = [Layer(Source.DATACENTER, "Seed x", below), Layer(Source.CLUSTER, "Cluster y", above)]
    merged = settings.merge(layers)
    assert {k: s.value for k, s in merged.items()} == expected
    for name, setting in merged.items():
        came_from = "Cluster y" if above.get(name) is not None else "Seed x"
        assert setting.field == f"{came_from}.{name}"


def _offer(**vsphere: Any) -> Offer:
    seed = Seed.model_validate(samples.a_seed(**vsphere))
    return Offer("europe", "frankfurt", seed.spec.datacenters["frankfurt"].vsphere)


def test_a_machine_says_the_last_word() -> None:
    cluster = Cluster.model_validate(samples.a_cluster(datastore="of-cluster", networks=[]))
    machine = Machine.model_validate(samples.a_machine(template="own", datastoreCluster="pod"))
    found = settings.for_machine(_offer(), cluster, machine.spec)
    assert {k: (s.value, s.source) for k, s in found.items()} == {
        "networks": ([], Source.CLUSTER),
        "template": ("own", Source.MACHINE),
        "datastoreCluster": ("pod", Source.MACHINE),
        "tagCategory": ("k8c", Source.DATACENTER),
    }


def test_the_template_comes_from_the_datacenter_by_operating_system() -> None:
    cluster = Cluster.model_validate(samples.a_cluster())
    machine = Machine.model_validate(samples.a_machine(operating_system="flatcar"))
    found = settings.for_machine(_offer(), cluster, machine.spec)["template"]
    assert (found.value, found.source) == ("flatcar-stable", Source.DATACENTER)
    assert found.field == "Seed europe, spec.datacenters.frankfurt.vsphere.templates.flatcar"


@pytest.mark.parametrize(
    ("default", "given", "expected"), [("k8c", None, "k8c"), ("k8c", "own", "own"), (None, None, None)]
)
def test_a_tag_without_category_takes_the_default(
    default: str | None, given: str | None, expected: str | None
) -> None:
    (found,) = settings.tags_of(_offer(defaultTagCategory=default), [Tag(name="env", category=given)])
    assert found.category == expected
