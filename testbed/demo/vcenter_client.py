"""vCenter as anybody may read it: plain pyVmomi for objects, the official SDK for tags. None of the operator's code.

What no client can see (every call, the boots, the datastores' files) comes from the double's control API.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from pyVim import connect
from pyVmomi import vim, vmodl

from testbed.harness import VCenter

Values = Mapping[str, Any]
_TIMEOUT = 15
_CONNECT: Any = connect  # both without types
_COLLECTOR: Any = vmodl.query.PropertyCollector

LIVE: Mapping[Any, tuple[str, ...]] = {
    vim.Datacenter: ("name", "parent"),
    vim.Folder: ("name", "parent"),
    vim.Datastore: ("name", "summary.freeSpace", "summary.capacity"),
    vim.VirtualMachine: (
        "name",
        "parent",
        "runtime.powerState",
        "guest.ipAddress",
        "config.hardware.numCPU",
        "config.hardware.memoryMB",
        "config.hardware.device",
        "config.files.vmPathName",
    ),
}
"""What the live view reads. A VM has no `config` while it is being cloned."""

WHOLE: Mapping[Any, tuple[str, ...]] = {
    vim.ManagedEntity: ("name", "parent"),
    vim.Datastore: ("summary.freeSpace",),
    vim.VirtualMachine: (
        "runtime.powerState",
        "resourcePool",
        "config.hardware.numCPU",
        "config.hardware.memoryMB",
        "config.hardware.device",
        "config.version",
    ),
}
"""What the comparison of before and after reads, besides what the control API shows."""


@dataclass(frozen=True)
class Found:
    """One managed object: its MoRef as `Type:id`, and the properties that are set."""

    moref: str
    values: Values


class Reader:
    """One login for SOAP and one for the Automation API, made at first use. Not for threads.

    Every method may raise one of `ERRORS`; the next call then logs in anew.
    """

    def __init__(self, vcenter: VCenter) -> None:
        self._vcenter = vcenter
        self._soap: Any = None
        self._views: dict[str, Any] = {}
        self._http: requests.Session | None = None
        self._stubs: Any = None
        self._tag_names: dict[str, str] = {}

    def read(self, wanted: Mapping[Any, tuple[str, ...]]) -> list[Found]:
        """Return every object of the wanted types below the root folder, with the wanted properties."""
        with self._fresh_after_failure():
            content = self._content()
            collector = content.propertyCollector
            spec = self._filter(content, wanted)
            result = collector.RetrievePropertiesEx([spec], _COLLECTOR.RetrieveOptions())
            found: list[Found] = []
            while result is not None:
                found += [_found(o) for o in result.objects]
                result = collector.ContinueRetrievePropertiesEx(result.token) if result.token else None
            return found

    def running_tasks(self) -> tuple[str, ...]:
        """Return what vCenter is doing: the names of the tasks that have not ended."""
        with self._fresh_after_failure():
            names = []
            for task in self._content().taskManager.recentTask:
                with contextlib.suppress(vmodl.fault.ManagedObjectNotFound):  # it expired meanwhile
                    info = task.info
                    if info.state in {"queued", "running"}:
                        names.append(
                            f"{info.descriptionId.rpartition('.')[2]} {info.entityName or ''}".strip()
                        )
            return tuple(names)

    def tags(self, morefs: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Return the tags on objects as `category:name`, sorted."""
        with self._fresh_after_failure():
            from com.vmware.cis import tagging_client
            from com.vmware.vapi.std_client import DynamicID

            stubs = self._automation()
            objects = [
                DynamicID(type=kind, id=value) for kind, _, value in (m.partition(":") for m in morefs)
            ]
            attached = tagging_client.TagAssociation(stubs).list_attached_tags_on_objects(objects)
            return {
                f"{entry.object_id.type}:{entry.object_id.id}": tuple(
                    sorted(self._tag_name(stubs, tag) for tag in entry.tag_ids)
                )
                for entry in attached
            }

    def version(self) -> str:
        """Return the vCenter's version."""
        with self._fresh_after_failure():
            return str(self._content().about.version)

    def control(self, path: str) -> Any:
        """Ask the double's control API."""
        return self._vcenter.control(path)

    def close(self) -> None:
        """Log out. Never raises: the double may be gone."""
        soap, self._soap = self._soap, None
        stubs, self._stubs = self._stubs, None
        self._views.clear()
        with contextlib.suppress(*ERRORS):
            if stubs is not None:
                from com.vmware.cis_client import Session

                Session(stubs).delete()
        with contextlib.suppress(*ERRORS):
            if soap is not None:
                _CONNECT.Disconnect(soap)
        if self._http is not None:
            self._http.close()
            self._http = None

    @contextlib.contextmanager
    def _fresh_after_failure(self) -> Iterator[None]:
        try:
            yield
        except ERRORS:
            self.close()
            raise

    def _content(self) -> Any:
        if self._soap is None:
            host, port = self._vcenter.address
            self._soap = _CONNECT.SmartConnect(
                host=host,
                port=port,
                user=self._vcenter.username,
                pwd=self._vcenter.password,
                sslContext=ssl.create_default_context(cafile=str(self._vcenter.ca_file)),
                httpConnectionTimeout=_TIMEOUT,
            )
        return self._soap.content

    def _filter(self, content: Any, wanted: Mapping[Any, tuple[str, ...]]) -> Any:
        collector = _COLLECTOR
        key = ",".join(sorted(kind.__name__ for kind in wanted))
        if key not in self._views:
            self._views[key] = content.viewManager.CreateContainerView(content.rootFolder, list(wanted), True)
        step = collector.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
        start = collector.ObjectSpec(obj=self._views[key], skip=True, selectSet=[step])
        properties = [
            collector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in wanted.items()
        ]
        return collector.FilterSpec(objectSet=[start], propSet=properties)

    def _automation(self) -> Any:
        if self._stubs is None:
            from com.vmware.cis_client import Session
            from vmware.vapi.security.session import create_session_security_context
            from vmware.vapi.security.user_password import create_user_password_security_context

            self._http = requests.Session()
            self._http.verify = str(self._vcenter.ca_file)
            self._http.trust_env = False
            login = create_user_password_security_context(self._vcenter.username, self._vcenter.password)
            session = Session(self._configuration(login)).create()
            self._stubs = self._configuration(create_session_security_context(session))
        return self._stubs

    def _configuration(self, security_context: Any) -> Any:
        from vmware.vapi.lib.connect import get_requests_connector
        from vmware.vapi.security.client.security_context_filter import LegacySecurityContextFilter
        from vmware.vapi.stdlib.client.factories import StubConfigurationFactory

        connector = get_requests_connector(
            session=self._http,
            url=f"{self._vcenter.url}/api",
            timeout=(_TIMEOUT, _TIMEOUT),
            provider_filter_chain=[LegacySecurityContextFilter(security_context=security_context)],
        )
        return StubConfigurationFactory.new_std_configuration(connector)

    def _tag_name(self, stubs: Any, tag_id: str) -> str:
        from com.vmware.cis import tagging_client

        if tag_id not in self._tag_names:
            tag = tagging_client.Tag(stubs).get(tag_id)
            category = tagging_client.Category(stubs).get(tag.category_id)
            self._tag_names[tag_id] = f"{category.name}:{tag.name}"
        return self._tag_names[tag_id]


def moref(reference: Any) -> str:
    """Return a managed object's reference as `Type:id`."""
    return f"{type(reference).__name__.rpartition('.')[2]}:{reference._moId}"


def _found(content: Any) -> Found:
    return Found(moref(content.obj), {p.name: p.val for p in content.propSet})


def _errors() -> tuple[type[Exception], ...]:
    from vmware.vapi.bindings.error import VapiError
    from vmware.vapi.exception import CoreException

    # requests' exceptions are OSErrors, as is a time-out; a broken answer is a ValueError.
    return (OSError, vmodl.MethodFault, VapiError, CoreException, ValueError)


ERRORS = _errors()
"""What a call to vCenter may raise."""
