"""Fields whose effect is not built: refused where they would make a wrong VM, told where they are only missed."""

from __future__ import annotations

from typing import Any

import pytest

from vsphere_operator.controllers import unsupported


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"vsphere": {"cloneMode": "Linked"}}, "spec.vsphere.cloneMode"),
        ({"vsphere": {"extraDisks": [{"name": "d"}]}}, "spec.vsphere.extraDisks"),
        ({"vsphere": {"antiAffinity": True}}, "spec.vsphere.antiAffinity"),
        ({"failureDomain": "a"}, "spec.failureDomain"),
        ({"updatePolicy": "InPlace"}, "spec.updatePolicy"),
    ],
)
def test_what_would_make_a_wrong_vm_is_refused(spec: dict[str, Any], path: str) -> None:
    problem = unsupported.refused_in_machine(spec)
    assert problem is not None
    assert path in problem.message
    assert problem.stalled


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"vsphere": {"cloneMode": "Full", "extraDisks": [], "antiAffinity": False, "cpus": 4}},
        {"updatePolicy": "Replace"},
        {"vsphere": None},
    ],
)
def test_what_says_nothing_special_is_taken(spec: dict[str, Any]) -> None:
    assert unsupported.refused_in_machine(spec) is None
    assert unsupported.told_of_machine(spec) == []


def test_what_is_only_missed_is_told() -> None:
    (told,) = unsupported.told_of_machine({"taints": [{"key": "a"}], "nodeDrainTimeout": "1m"})
    assert "spec.taints" in told.message
    assert "spec.nodeDrainTimeout" in told.message
    assert unsupported.refused_in_machine({"taints": [{"key": "a"}]}) is None


def test_a_datacenters_field_is_named_with_its_path() -> None:
    problem = unsupported.refused_in_datacenter("frankfurt", {"failureDomains": [{"name": "a"}]})
    assert problem is not None
    assert "spec.datacenters.frankfurt.vsphere.failureDomains" in problem.message
