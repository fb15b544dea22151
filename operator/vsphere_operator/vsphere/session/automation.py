"""The Automation API session, through the official SDK: one login, our TLS settings, time limits.

The SDK is imported at first use, in a worker thread: it takes half a second and 33 MB, and only tags need it.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter

from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Fault, FaultClass, VSphereError, from_automation, from_transport
from vsphere_operator.vsphere.session.gate import LoginGate

R = TypeVar("R")

_CONNECT_TIMEOUT, _READ_TIMEOUT = 10.0, 60.0


class Automation:
    """One login of one user at one vCenter's Automation API. Safe for threads."""

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, *, user_agent: str, gate: LoginGate
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._user_agent = user_agent
        self._gate = gate
        self._lock = threading.Lock()
        self._generation = 0
        self._http: requests.Session | None = None
        self._stubs: Any = None
        self._closed = False

    def call(self, function: Callable[[Any], R], *, op_id: str, mutating: bool) -> R:
        """Run `function(stub_configuration)`; logs in at first use, and when the session is gone."""
        _operation.op_id = op_id
        try:
            stubs, generation = self._open()
            return self._once(function, stubs, generation, mutating)
        finally:
            _operation.op_id = None

    def _once(self, function: Callable[[Any], R], stubs: Any, generation: int, mutating: bool) -> R:
        try:
            return self._translated(lambda: function(stubs), mutating)
        except VSphereError as error:
            if error.fault.kind != "vapi.Unauthenticated":
                raise
            renewed, _ = self._open(stale=generation)
            return self._translated(lambda: function(renewed), mutating)

    def _open(self, stale: int | None = None) -> tuple[Any, int]:
        with self._lock:
            if self._closed:
                raise VSphereError(from_transport(ConnectionError(), where=self._endpoint.authority))
            if self._stubs is None or stale == self._generation:
                self._stubs = self._gate.attempt(self._endpoint, self._credentials, self._login)
                self._generation += 1
            return self._stubs, self._generation

    def _login(self) -> Any:
        return self._translated(self._log_in, mutating=False)

    def _log_in(self) -> Any:
        from com.vmware.cis_client import Session
        from vmware.vapi.security.session import create_session_security_context
        from vmware.vapi.security.user_password import create_user_password_security_context

        if self._http is None:
            self._http = _http_session(self._endpoint)
        user = create_user_password_security_context(self._credentials.username, self._credentials.password)
        session_id = Session(self._configuration(user)).create()
        return self._configuration(create_session_security_context(session_id))

    def _configuration(self, security_context: Any) -> Any:
        from vmware.vapi.lib.connect import get_requests_connector
        from vmware.vapi.security.client.security_context_filter import LegacySecurityContextFilter
        from vmware.vapi.stdlib.client.factories import StubConfigurationFactory

        _silence_wire_logs(self._user_agent)
        connector = get_requests_connector(
            session=self._http,
            url=f"{self._endpoint.base_url}/api",
            timeout=(_CONNECT_TIMEOUT, _READ_TIMEOUT),
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
            return function()
        except VSphereError:
            raise
        except VapiError as error:
            raise VSphereError(from_automation(error)) from RuntimeError(type(error).__name__)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            raise VSphereError(_http_fault(status, self._endpoint, mutating)) from None
        except (OSError, CoreException, ValueError) as error:
            # requests' exceptions are OSErrors; a broken answer shows as ValueError or CoreException.
            raise VSphereError(
                from_transport(error, where=self._endpoint.authority, mutating=mutating)
            ) from error

    def close(self, *, op_id: str) -> None:
        """Log out. Never raises: a session that cannot be closed ends by itself."""
        with self._lock:
            self._closed = True
            stubs, self._stubs = self._stubs, None
        if stubs is not None:
            from com.vmware.cis_client import Session

            _operation.op_id = op_id
            with contextlib.suppress(VSphereError):
                self._translated(lambda: Session(stubs).delete(), mutating=False)
            _operation.op_id = None
        if self._http is not None:
            self._http.close()


class _Operation(threading.local):
    op_id: str | None = None


_operation = _Operation()


def _operation_filter() -> Any:
    """Puts this thread's opID into the context of each request."""
    from vmware.vapi.lib.constants import OPID
    from vmware.vapi.provider.filter import ApiProviderFilter

    class OperationFilter(ApiProviderFilter):  # type: ignore[misc]  # the SDK is untyped
        def invoke(self, service_id: str, operation_id: str, input_value: Any, ctx: Any) -> Any:
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
    if endpoint.allow_insecure:
        # A person asked for it, and a condition shows it; a warning a call would drown the log.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
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


def _http_fault(status: int, endpoint: Endpoint, mutating: bool) -> Fault:
    if status in (401, 403):
        words = "The Automation API session ended; logging in again."
        return Fault(FaultClass.TRANSIENT, "NotAuthenticated", words, 5.0, "vapi.Unauthenticated")
    doubt = " What the last change did is not known." if mutating else ""
    words = f"The Automation API of {endpoint.authority} answered with HTTP status {status}.{doubt}"
    return Fault(FaultClass.UNREACHABLE, "HTTPError", words, 30.0, f"HTTP{status}")
