"""Managed object references as plain strings, `VirtualMachine:vm-42`: they hash and fit into a status."""

from __future__ import annotations

import sys
from typing import Any, NewType

MoRef = NewType("MoRef", str)
"""`<WSDL type>:<id>`. Means something only on the vCenter (`about.instanceUuid`) that gave it out."""


def parse(text: str) -> MoRef:
    """Check that a text names a managed object; `ValueError` if it does not."""
    kind, separator, identity = text.partition(":")
    if (
        not separator
        or not kind.isalnum()
        or not kind[0].isupper()
        or not identity
        or identity.strip() != identity
    ):
        raise ValueError(
            f"{text!r} is no managed object reference: expected something like VirtualMachine:vm-42"
        )
    return MoRef(text)


def join(kind: str, identity: str) -> MoRef:
    return parse(f"{kind}:{identity}")


def kind_of(moref: MoRef) -> str:
    """The WSDL type: `VirtualMachine`, `Folder`, `Task` …"""
    return moref.partition(":")[0]


def id_of(moref: MoRef) -> str:
    """What vCenter calls the value: `vm-42`, `group-v3` …"""
    return moref.partition(":")[2]


def of(managed_object: Any) -> MoRef:
    """The reference of a pyVmomi managed object. Costs no call."""
    # pyVmomi prefixes nothing here: _wsdlName is the plain WSDL type and _moId the value.
    # One string for each: ten thousand VMs name the same few hosts, pools, folders and networks.
    return MoRef(sys.intern(f"{managed_object._wsdlName}:{managed_object._moId}"))
