"""How to reach an API server and as whom: from a kubeconfig file, or from the Pod that the operator runs in.

Both are read again once a minute, since tokens of service accounts and of login plug-ins rotate.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

RELOAD_AFTER = 60.0
"""Seconds for which credentials are used before they are read again."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class CredentialsError(Exception):
    """The credentials cannot be read; the text is one line for the person who gave them."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server's URL and what proves who is who. `authorization` is the header's value, "" for none."""

    server: str
    authorization: str = field(default="", repr=False)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None

    def tls(self) -> ssl.SSLContext:
        """A context that verifies the server as the credentials say; CredentialsError if a file is
        unusable."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            raise CredentialsError(f"a certificate or key for {self.server} is unusable: {error}") from None
        # Python 3.13 began to refuse CAs without an authority key identifier; kubectl takes them, and
        # clusters that are some years old have them. The chain and the name are verified all the same.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class CredentialSource(Protocol):
    """Where credentials come from."""

    async def current(self, *, renew: bool = False) -> Credentials:
        """Credentials to use now; with `renew` read anew, because a server refused the last ones.

        Raises CredentialsError.
        """


class KubeconfigFile:
    """The current context of a kubeconfig file, with login plug-ins and token files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cached: tuple[float, Credentials] | None = None

    async def current(self, *, renew: bool = False) -> Credentials:
        if self._cached and not renew and time.monotonic() < self._cached[0] + RELOAD_AFTER:
            return self._cached[1]
        credentials = await self._load()
        self._cached = time.monotonic(), credentials
        return credentials

    async def _load(self) -> Credentials:
        if not self._path.is_file():
            raise CredentialsError(f"kubeconfig {self._path} is not a file")
        from kubernetes.aio.client.configuration import Configuration
        from kubernetes.aio.config.kube_config import load_kube_config

        configuration = Configuration(host="")
        try:
            async with asyncio.timeout(30):
                await load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=str(self._path), client_configuration=configuration, persist_config=False
                )
        except TimeoutError:
            raise CredentialsError(f"the login plug-in of kubeconfig {self._path} gives no answer") from None
        except Exception as error:
            # The loader lets any error of a malformed file through; its first line names the place.
            line = (str(error).splitlines() or [type(error).__name__])[0]
            raise CredentialsError(f"kubeconfig {self._path} is unusable: {line}") from None
        if not configuration.host:
            raise CredentialsError(f"kubeconfig {self._path} names no server in its current context")
        return Credentials(
            server=configuration.host.rstrip("/"),
            authorization=configuration.api_key.get("BearerToken", "").strip(),
            ca_file=configuration.ssl_ca_cert,
            certificate_file=configuration.cert_file,
            key_file=configuration.key_file,
            verify=configuration.verify_ssl,
            server_name=configuration.tls_server_name,
            proxy=configuration.proxy,
        )


class InCluster:
    """The service account of the Pod that this process runs in."""

    def __init__(self, directory: Path = SERVICE_ACCOUNT) -> None:
        self._directory = directory
        self._cached: tuple[float, Credentials] | None = None

    async def current(self, *, renew: bool = False) -> Credentials:
        if self._cached and not renew and time.monotonic() < self._cached[0] + RELOAD_AFTER:
            return self._cached[1]
        credentials = self._load()
        self._cached = time.monotonic(), credentials
        return credentials

    def namespace(self) -> str | None:
        """The namespace of the Pod, None outside of one."""
        with contextlib.suppress(OSError):
            return (self._directory / "namespace").read_text().strip()
        return None

    def _load(self) -> Credentials:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
        if not host or not port:
            raise CredentialsError("this process does not run in a Pod: name a kubeconfig with --kubeconfig")
        try:
            token = (self._directory / "token").read_text().strip()
        except OSError as error:
            raise CredentialsError(f"the service account's token cannot be read: {error.strerror}") from None
        return Credentials(
            server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            authorization=f"Bearer {token}",
            ca_file=str(self._directory / "ca.crt"),
        )


def source_for(kubeconfig: Path | None) -> CredentialSource:
    """The source that the command line asks for: the file, or without one the Pod's service account."""
    return KubeconfigFile(kubeconfig) if kubeconfig is not None else InCluster()
