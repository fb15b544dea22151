"""The Automation API session, through the official SDK: one login, our TLS settings, time limits.

The SDK is imported at first use, in a worker thread: it takes half a second and 33 MB, and only tags need it.
Nothing keeps this session alive: vCenter ends it after 30 idle minutes, and then the next call costs two more
(its own refusal and a login). Asking every few minutes for nothing would cost hundreds of calls a day.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import (
    VSphereError,
    from_automation,
    from_automation_status,
    from_transport,
    refused_login,
)
from vsphere_operator.vsphere.metrics import NoMetrics, VCenterMetrics
from vsphere_operator.vsphere.session import naming
from vsphere_operator.vsphere.session.asked import Asked, asked
from vsphere_operator.vsphere.session.breaker import Breaker, Circuit
from vsphere_operator.vsphere.session.gate import LoginGate
from vsphere_operator.vsphere.session.soap import CLOSED, CONNECT_TIMEOUT, GOODBYE_TIMEOUT, READ_TIMEOUT

R = TypeVar("R")

UNAUTHENTICATED = "vapi.Unauthenticated"


class Automation:
    """One login of one user at one vCenter's Automation API. Safe for threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        user_agent: str,
        gate: LoginGate,
        vcenter: Breaker | None = None,
        metrics: VCenterMetrics | None = None,
    ) -> None:
        """`vcenter`: the breaker of the whole vCenter. This API may be down alone and has one of its own."""
        self._endpoint = endpoint
        self._credentials = credentials
        self._user_agent = user_agent
        self._gate = gate
        self._metrics = metrics or NoMetrics()
        where = endpoint.authority
        self._vcenter = vcenter or Breaker(where)
        self._breaker = Breaker(
            f"The Automation API of {where}", lets_calls_try=True, changed=self._tell_circuit
        )
        self._lock = threading.Lock()
        self._generation = 0
        self._http: requests.Session | None = None
        self._session_id: str | None = None
        self._stubs: Any = None
        self._closed = False

    def call(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(stub_configuration)`; logs in at first use, and when the session is gone."""
        with _named(op_id):
            self._vcenter.check()
            self._breaker.check()
            stubs, generation = self._open()
            return self._once(function, stubs, generation, mutating)

    def _once(self, function: Callable[[Any], R], stubs: Any, generation: int, mutating: bool) -> R:
        try:
            return self._translated(lambda: function(stubs), mutating)
        except VSphereError as error:
            if error.fault.kind != UNAUTHENTICATED:
                raise
            renewed, _ = self._open(stale=generation)
            return self._translated(lambda: function(renewed), mutating)

    def _open(self, stale: int | None = None) -> tuple[Any, int]:
        with self._lock:
            if self._closed:
                raise VSphereError(CLOSED)
            if self._stubs is None or stale == self._generation:
                self._forget()
                self._stubs = self._gate.attempt(
                    self._endpoint, self._credentials, self._login, api="automation"
                )
                self._generation += 1
                self._metrics.session_opened(vcenter=self._endpoint.host, api="automation")
            return self._stubs, self._generation

    def _forget(self) -> Any:
        stubs, self._stubs = self._stubs, None
        if stubs is not None:
            self._metrics.session_ended(vcenter=self._endpoint.host, api="automation")
        return stubs

    def _login(self) -> Any:
        try:
            return self._translated(self._log_in, mutating=False)
        except VSphereError as error:
            if error.fault.kind != UNAUTHENTICATED:
                raise
            # Here it does not mean an ended session but a refused password.
            raise VSphereError(refused_login()) from error

    def _tell_circuit(self, state: Circuit) -> None:
        self._metrics.circuit(vcenter=self._endpoint.host, api="automation", state=state)

    def _log_in(self) -> Any:
        from com.vmware.cis_client import Session
        from vmware.vapi.security.session import create_session_security_context
        from vmware.vapi.security.user_password import create_user_password_security_context

        if self._http is None:
            self._http = _http_session(self._endpoint)
        user = create_user_password_security_context(self._credentials.username, self._credentials.password)
        self._session_id = str(Session(self._configuration(user)).create())
        return self._configuration(create_session_security_context(self._session_id))

    def _configuration(self, security_context: Any, read_timeout: float = READ_TIMEOUT) -> Any:
        from vmware.vapi.lib.connect import get_requests_connector
        from vmware.vapi.security.client.security_context_filter import LegacySecurityContextFilter
        from vmware.vapi.stdlib.client.factories import StubConfigurationFactory

        _silence_wire_logs(self._user_agent)
        connector = get_requests_connector(
            session=self._http,
            url=f"{self._endpoint.base_url}/api",
            timeout=(CONNECT_TIMEOUT, read_timeout),
            # No pool of its own: that would replace the adapter with our TLS settings.
            pool_size=None,
            provider_filter_chain=[
                _operation_filter(),
                LegacySecurityContextFilter(security_context=security_context),
            ],
        )
        return StubConfigurationFactory.new_std_configuration(connector)

    def _translated(self, function: Callable[[], R], mutating: bool) -> R:
        from vmware.vapi.bindings.error import VapiError
        from vmware.vapi.exception import CoreException

        try:
            result = function()
        except VSphereError:
            raise
        except VapiError as error:
            fault = from_automation(error, _operation.asked)
            self._breaker.record(fault)
            raise VSphereError(fault) from RuntimeError(type(error).__name__)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            fault = from_automation_status(status, where=self._endpoint.authority, mutating=mutating)
            self._breaker.record(fault)
            raise VSphereError(fault) from None
        except (OSError, CoreException, ValueError) as error:
            # requests' exceptions are OSErrors; a broken answer shows as ValueError or CoreException.
            where = self._endpoint.authority
            self._breaker.record(from_transport(error, where=where))
            raise VSphereError(from_transport(error, where=where, mutating=mutating)) from error
        self._breaker.record(None)
        return result

    def close(self, *, op_id: str) -> None:
        """Log out. Never raises: a session that cannot be closed ends by itself."""
        with self._lock:
            self._closed = True
            opened = self._forget() is not None
        if opened and self._vcenter.cause is None and self._breaker.cause is None:
            with _named(op_id), contextlib.suppress(VSphereError):
                self._translated(self._log_out, mutating=False)
        if self._http is not None:
            self._http.close()

    def _log_out(self) -> None:
        from com.vmware.cis_client import Session
        from vmware.vapi.security.session import create_session_security_context

        context = create_session_security_context(self._session_id)
        Session(self._configuration(context, GOODBYE_TIMEOUT)).delete()


class _Operation(threading.local):
    op_id: str | None = None
    asked: Asked | None = None
    """The latest call."""


_operation = _Operation()


@contextlib.contextmanager
def _named(op_id: str) -> Iterator[None]:
    before, _operation.op_id = _operation.op_id, naming.named(op_id)
    try:
        yield
    finally:
        _operation.op_id = before


def _operation_filter() -> Any:
    """Puts this thread's opID into the context of each request, and remembers what was asked for."""
    from vmware.vapi.lib.constants import OPID
    from vmware.vapi.provider.filter import ApiProviderFilter

    class OperationFilter(ApiProviderFilter):  # type: ignore[misc]  # the SDK is untyped
        def invoke(self, service_id: str, operation_id: str, input_value: Any, ctx: Any) -> Any:
            _operation.asked = asked(service_id, operation_id, input_value)
            if _operation.op_id is not None and ctx is not None and ctx.application_context is not None:
                ctx.application_context[OPID] = _operation.op_id
            return ApiProviderFilter.invoke(self, service_id, operation_id, input_value, ctx)

        def get_api_provider(self) -> Any:
            return self

    return OperationFilter()


def _silence_wire_logs(user_agent: str) -> None:
    from vmware.vapi.protocol.client.msg.user_agent_util import init_product_info

    name, _, version = user_agent.partition("/")
    init_product_info(name, version or "0")
    # At DEBUG the SDK logs whole requests, the login's among them.
    for logger_name in ("vapi", "vmware.vapi"):
        logging.getLogger(logger_name).setLevel(logging.CRITICAL)


def _http_session(endpoint: Endpoint) -> requests.Session:
    http = requests.Session()
    # Else REQUESTS_CA_BUNDLE, a proxy variable or ~/.netrc would decide whom we trust and who we are.
    http.trust_env = False
    if endpoint.allow_insecure:
        # A person asked for it, and a condition and a metric show it: one line a request says no more.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    http.mount("https://", _TlsAdapter(endpoint.tls_context()))
    return http


class _TlsAdapter(HTTPAdapter):
    """Lets our SSL context alone decide: requests would add its own list of authorities."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=4)

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        required = self._context.verify_mode is ssl.CERT_REQUIRED
        return host, {
            "ssl_context": self._context,
            "cert_reqs": "CERT_REQUIRED" if required else "CERT_NONE",
        }

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing: the context has it all."""
