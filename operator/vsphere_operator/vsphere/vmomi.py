"""What we use of pyVmomi, taken as untyped: its stubs annotate only half of it."""

from __future__ import annotations

import contextlib
from typing import Any

import pyVmomi
from pyVmomi import Iso8601, SoapAdapter, VmomiSupport

_module: Any = pyVmomi
_soap: Any = SoapAdapter
_support: Any = VmomiSupport

vim: Any = _module.vim
vmodl: Any = _module.vmodl
pbm: Any = _module.pbm
SoapStubAdapter: Any = _soap.SoapStubAdapter
SoapResponseDeserializer: Any = _soap.SoapResponseDeserializer
GzipReader: Any = _soap.GzipReader
get_request_context: Any = _support.GetRequestContext

DataObject: Any = _support.DataObject
ManagedObject: Any = _support.ManagedObject
ManagedMethod: Any = _support.ManagedMethod
PropertyPath: Any = _support.PropertyPath
binary: Any = _support.binary
compatible_type: Any = _support.GetCompatibleType
"""(type, version) -> the nearest of it and its bases that the version has."""
parse_datetime: Any = Iso8601.ParseISO8601


def managed_type(name: str, namespace: str = "urn:vim25") -> Any:
    """The class of a managed object by its WSDL name, `VirtualMachine`."""
    return _support.GetWsdlType(namespace, name)


def data_type(name: str) -> Any:
    """The class of any WSDL type by its name in `xsi:type`, `ArrayOfVirtualDevice`, `int`; `None` if unknown."""
    if name.endswith("ManagedObjectReference"):
        name = name.removesuffix("Reference")
    for namespace in ("urn:vim25", "http://www.w3.org/2001/XMLSchema"):
        with contextlib.suppress(KeyError):
            return _support.GetWsdlType(namespace, name)
    return None
