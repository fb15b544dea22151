"""What we use of pyVmomi, taken as untyped: its stubs annotate only half of it."""

from __future__ import annotations

from typing import Any

import pyVmomi
from pyVmomi import SoapAdapter, VmomiSupport

_module: Any = pyVmomi
_soap: Any = SoapAdapter
_support: Any = VmomiSupport

vim: Any = _module.vim
vmodl: Any = _module.vmodl
SoapStubAdapter: Any = _soap.SoapStubAdapter
get_request_context: Any = _support.GetRequestContext


def managed_type(name: str) -> Any:
    """The class of a managed object by its WSDL name, `VirtualMachine`."""
    return _support.GetWsdlType("urn:vim25", name)
