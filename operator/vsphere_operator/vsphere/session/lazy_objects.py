"""Answers as objects of pyVmomi's own types that decode a property when somebody asks for it.

The XML is read by the standard library's parser in C. pyVmomi runs Python code for each element instead, and a
VM's devices are more than a hundred elements, of which few are ever looked at.
"""

from __future__ import annotations

import base64
import logging
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.parsers.expat import ExpatError

from vsphere_operator.vsphere.vmomi import (
    DataObject,
    ManagedMethod,
    ManagedObject,
    PropertyPath,
    binary,
    compatible_type,
    data_type,
    parse_datetime,
    vmodl,
)

logger = logging.getLogger(__name__)

_VIM = "{urn:vim25}"
_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
_PIECE = 64 * 1024
"""Bytes parsed at once, about a millisecond: other threads wait meanwhile."""

_Decode = Callable[[Element], Any]


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class UnexpectedAnswerError(ExpatError):
    """What came is no answer to the call. An `ExpatError`, as pyVmomi raises for what it cannot read."""


def read(source: Readable, method: str) -> Element | None:
    """What a call of `method` returned, unparsed; `None` when nothing. Reads to the end.

    `UnexpectedAnswerError` for anything but a whole answer to that call.
    """
    parser = XMLParser()  # noqa: S314  # from the vCenter that we log in to; expat limits expansion, no DTD passes
    try:
        piece = source.read(_PIECE)
        if b"<!DOCTYPE" in piece:
            raise UnexpectedAnswerError("a SOAP answer has no document type")
        while piece:
            parser.feed(piece)
            piece = source.read(_PIECE)
        root = parser.close()
    except (ParseError, zlib.error) as error:
        raise UnexpectedAnswerError(str(error)) from None
    response = root.find(f"{_BODY}/{_VIM}{method}Response")
    if response is None:
        raise UnexpectedAnswerError(f"no answer to {method}")
    return response.find(f"{_VIM}returnval")


class Decoder:
    """Makes objects of elements, in one API version's types. For one thread."""

    def __init__(self, version: str, stub: Any) -> None:
        self._version = version
        self._stub = stub
        self._decoders: dict[tuple[Any, str | None], _Decode] = {}
        self._managed: dict[str, Any] = {}
        self._faults: dict[Any, _Decode] = {}

    def decode(self, element: Element, declared: Any) -> Any:
        """The value of an element in a place of this type, which its `xsi:type` may narrow, as pyVmomi has it.

        A type that is not known counts as the declared one; where any is allowed, the value is unset.
        """
        key = (declared, element.get(_XSI_TYPE))
        decode = self._decoders.get(key)
        if decode is None:
            decode = self._decoders[key] = self._decoder(self._type(*key))
        return decode(element)

    def _type(self, declared: Any, named: str | None) -> Any:
        kind = declared.Item if issubclass(declared, list) else declared
        if named is not None and kind not in _NAMES:
            found = data_type(named.rpartition(":")[2])
            if found is None:
                logger.warning("vCenter sent a %s, which is not known here", named)
            kind = found or kind
        return compatible_type(kind, self._version)

    def _decoder(self, kind: Any) -> _Decode:
        if kind in _LEAVES:
            return _LEAVES[kind]
        if issubclass(kind, Exception):
            return self._fault
        if issubclass(kind, list):
            return lambda element: kind(self.decode(child, kind.Item) for child in element)
        if issubclass(kind, DataObject):
            return self._lazy(kind)
        if issubclass(kind, ManagedObject):
            return self._reference
        # Numbers, and enumerations: a value that is not known here stays what it is.
        return lambda element: kind(_text(element))

    def _lazy(self, kind: Any) -> _Decode:
        """Makes objects of a subclass, which differ from pyVmomi's own in nothing but when they decode."""
        fields = {
            info.name: (_VIM + info.name, info.type, issubclass(info.type, list))
            for info in kind._GetPropertyList()
        }
        unset = vars(kind())

        def begin(obj: Any, element: Element) -> None:
            obj.__dict__["_element"] = element

        def fill_in(obj: Any, name: str) -> Any:
            if name not in fields:
                raise AttributeError(name)
            tag, declared, many = fields[name]
            if many:
                value = self._array(obj._element.findall(tag), declared)
            else:
                found = obj._element.find(tag)
                value = unset[name] if found is None else self.decode(found, declared)
            obj.__dict__[name] = value
            return value

        body = {"__init__": begin, "__getattr__": fill_in, "__module__": kind.__module__}
        return cast("_Decode", type(kind)(kind.__name__, (kind,), body))

    def _array(self, found: list[Element], declared: Any) -> Any:
        values = [self.decode(element, declared) for element in found]
        if len(values) == 1 and isinstance(values[0], list):
            # One element of an `ArrayOf…` type instead of many of the item's.
            return values[0]
        return declared(values)

    def _reference(self, element: Element) -> Any:
        name = element.get("type", "").rpartition(":")[2]
        kind = self._managed.get(name)
        if kind is None:
            known = data_type(name)
            kind = known or type(name, (ManagedObject,), {"_wsdlName": name})
            self._managed[name] = kind
        return kind(element.text or "", self._stub, element.get("serverGuid"))

    def _fault(self, element: Element) -> Any:
        """Made whole at once, and of pyVmomi's very class: an exception is kept, raised and compared."""
        inner, message = element.find(f"{_VIM}fault"), element.find(f"{_VIM}localizedMessage")
        kind = vmodl.MethodFault
        if inner is not None:
            kind = self._type(kind, inner.get(_XSI_TYPE))
        fault = kind()
        if inner is not None:
            lazy = self._faults.get(kind) or self._faults.setdefault(kind, self._lazy(kind))
            source = lazy(inner)
            for info in kind._GetPropertyList():
                fault.__dict__[info.name] = getattr(source, info.name)
        fault.__dict__["msg"] = None if message is None else message.text or ""
        return fault


def _boolean(element: Element) -> bool:
    text = (element.text or "").lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise UnexpectedAnswerError(f"{text!r} is no boolean")


def _text(element: Element) -> str:
    return element.text or ""


_NAMES = (type, ManagedMethod, PropertyPath)
"""Places where the name of a type, method or property stands, whatever `xsi:type` says."""
_LEAVES: dict[Any, _Decode] = {
    object: lambda _: None,
    bool: _boolean,
    str: _text,
    binary: lambda element: binary(base64.b64decode(element.text or "")),
    datetime: lambda element: parse_datetime(_text(element)),
    type: lambda element: data_type(_text(element)),
    ManagedMethod: _text,
    PropertyPath: _text,
}
