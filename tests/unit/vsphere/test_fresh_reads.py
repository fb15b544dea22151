"""A fresh look at one object: only vCenter's own word that it does not exist proves that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.answers import Absent, Present, Unknown
from vsphere_operator.vsphere.calls import answer, properties
from vsphere_operator.vsphere.faults import VSphereError, from_vim
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.vmomi import managed_type, vim, vmodl

FOLDER, OTHER = MoRef("Folder:group-v3"), MoRef("Folder:group-v4")


def managed(moref: MoRef) -> Any:
    return managed_type(morefs.kind_of(moref))(morefs.id_of(moref), None)


def object_with(*, missing: Any = None, **values: Any) -> Any:
    return SimpleNamespace(
        objects=[
            SimpleNamespace(
                propSet=[SimpleNamespace(name=n, val=v) for n, v in values.items()],
                missingSet=[SimpleNamespace(path="childEntity", fault=missing)] if missing else [],
            )
        ]
    )


async def look(told: Any) -> Any:
    """Read the folder's content from a vCenter that answers so."""

    def retrieve(_specs: Any, _options: Any) -> Any:
        if isinstance(told, Exception):
            raise told
        return told

    content = SimpleNamespace(propertyCollector=SimpleNamespace(RetrievePropertiesEx=retrieve))

    async def reading() -> dict[str, Any]:
        try:
            return properties(content, managed(FOLDER), ("childEntity",))
        except vmodl.MethodFault as fault:
            raise VSphereError(from_vim(fault)) from fault

    return await answer(reading, moref=FOLDER, instance_uuid="vc-1")


async def test_what_is_told_is_present() -> None:
    assert await look(object_with(childEntity=[])) == Present({"childEntity": []})


async def test_vcenters_word_on_this_very_object_is_an_absence() -> None:
    assert isinstance(await look(vmodl.fault.ManagedObjectNotFound(obj=managed(FOLDER))), Absent)


@pytest.mark.parametrize("target", [{}, {"obj": managed(OTHER)}], ids=["none", "another"])
async def test_its_word_on_another_object_or_on_none_is_not(target: Any) -> None:
    assert isinstance(await look(vmodl.fault.ManagedObjectNotFound(**target)), Unknown)


@pytest.mark.parametrize("told", [None, SimpleNamespace(objects=[])])
async def test_an_answer_that_says_nothing_of_the_object_is_no_absence(told: Any) -> None:
    assert isinstance(await look(told), Unknown)


@pytest.mark.parametrize(
    "fault",
    [
        vim.fault.NoPermission(),
        vmodl.fault.SystemError(),
        vmodl.fault.ManagedObjectNotFound(obj=managed(OTHER)),
    ],
    ids=["NoPermission", "SystemError", "ManagedObjectNotFound"],
)
async def test_a_property_that_could_not_be_read_is_never_an_empty_one(fault: Any) -> None:
    assert isinstance(await look(object_with(missing=fault)), Unknown)
