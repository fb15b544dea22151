"""A tenant's kubeconfig, read without trusting it: it must not make this process run, read or dial anything else.

Only what stands in the document itself counts. Plug-ins, file names, proxies and impersonation are refused with words
and not passed over: a login that does less than the document says would be somebody else's.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

LONGEST = 64 * 1024
"""Bytes; a kubeconfig with its certificates has some thousands, and parsing a spiteful one costs seconds a MiB."""


class KubeconfigError(Exception):
    """The kubeconfig cannot be used; the text says what to change and quotes no credential."""


@dataclass(frozen=True, slots=True)
class UserClusterLogin:
    """A server, whom to trust there, and who we are there. PEM texts, never file names."""

    server: str
    authorization: str = field(default="", repr=False)
    ca: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    verify: bool = True
    server_name: str | None = None

    def tls(self) -> ssl.SSLContext:
        """A context that verifies the server as the document says; KubeconfigError if its PEM texts are unusable."""
        try:
            context = ssl.create_default_context(cadata=self.ca)
        except (ssl.SSLError, ValueError):
            raise KubeconfigError("certificate-authority-data holds no usable PEM certificate") from None
        # As for the seed's own API: CAs without an authority key identifier are common in older clusters.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            _load_pair(context, f"{self.certificate}\n{self.key}")
        return context


def read(document: bytes) -> UserClusterLogin:
    """The current context's server and login. Raises KubeconfigError."""
    config = _parsed(document)
    context = _entry(config, "contexts", "context", _text(config, "current-context", "current-context"))
    cluster = _entry(config, "clusters", "cluster", _text(context, "cluster", "the context's cluster"))
    user = _entry(config, "users", "user", _text(context, "user", "the context's user"))
    _refuse(cluster, "cluster", ("certificate-authority", "proxy-url"))
    _refuse(
        user, "user", ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key", "username")
    )
    _refuse(user, "user", ("as", "as-uid", "as-groups", "as-user-extra"))
    login = UserClusterLogin(
        server=_server(cluster),
        authorization=_authorization(user),
        ca=_pem(cluster, "certificate-authority-data"),
        certificate=_pem(user, "client-certificate-data"),
        key=_pem(user, "client-key-data"),
        verify=str(cluster.get("insecure-skip-tls-verify", "false")).lower() != "true",
        server_name=str(cluster["tls-server-name"]) if cluster.get("tls-server-name") else None,
    )
    if bool(login.certificate) != bool(login.key):
        raise KubeconfigError("client-certificate-data and client-key-data belong together; one is missing")
    if not login.authorization and not login.certificate:
        raise KubeconfigError("the user has neither a token nor client-certificate-data; add one")
    return login


class _PlainLoader(yaml.BaseLoader):
    """Texts, lists and maps only. Without aliases no small document can become a huge one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise KubeconfigError("the kubeconfig uses YAML aliases; write it out")
        return super().compose_node(parent, index)


def _parsed(document: bytes) -> Mapping[str, Any]:
    if len(document) > LONGEST:
        raise KubeconfigError(
            f"the kubeconfig is longer than {LONGEST // 1024} KiB; shorten it to one context"
        )
    try:
        config = yaml.load(document, _PlainLoader)  # noqa: S506 - builds texts, lists and maps only
    except (yaml.YAMLError, RecursionError, ValueError):
        # The parser's own words quote the place, and with it perhaps a token.
        raise KubeconfigError("the kubeconfig is not valid YAML") from None
    if not isinstance(config, Mapping):
        raise KubeconfigError("the kubeconfig is not a YAML document with clusters, users and contexts")
    return config


def _entry(config: Mapping[str, Any], table: str, kind: str, name: str) -> Mapping[str, Any]:
    entries = config.get(table)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == name and isinstance(entry.get(kind), Mapping):
            found: Mapping[str, Any] = entry[kind]
            return found
    raise KubeconfigError(f'the kubeconfig has no {kind} named "{name[:80]}" in {table}')


def _text(part: Mapping[str, Any], key: str, what: str) -> str:
    value = part.get(key)
    if not isinstance(value, str) or not value:
        raise KubeconfigError(f"the kubeconfig does not say {what}")
    return value


_INLINE = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
_WHY = {
    "exec": "runs a login plug-in",
    "auth-provider": "runs a login plug-in",
    "tokenFile": "names a file on the machine that reads it",
    "proxy-url": "names a proxy",
    "username": "logs in with user name and password",
}


def _refuse(part: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        inline = _INLINE.get(key)
        if part.get(key) in (None, "", [], {}) or (inline and part.get(inline)):
            continue
        if inline:
            raise KubeconfigError(f"the {name}'s {key} names a file; put its content into {inline}")
        why = _WHY.get(key, "acts as another user")
        raise KubeconfigError(
            f"the {name}'s {key} {why}, which is not honoured here; use a token or a client certificate "
            "in the document itself, for example of a ServiceAccount"
        )


def _server(cluster: Mapping[str, Any]) -> str:
    server = _text(cluster, "server", "the cluster's server")
    try:
        parts = urlsplit(server)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username or parts.password or parts.query or parts.fragment:
        raise KubeconfigError("the cluster's server must be an address of the form https://host:port")
    if not server.isascii() or not server.isprintable() or " " in server:
        raise KubeconfigError("the cluster's server holds characters that no address has")
    return server.rstrip("/")


def _authorization(user: Mapping[str, Any]) -> str:
    token = user.get("token") or ""
    if not isinstance(token, str):
        raise KubeconfigError("the user's token is not a text")
    token = token.strip()
    if not token:
        return ""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise KubeconfigError("the user's token holds characters that no token has")
    return f"Bearer {token}"


def _pem(part: Mapping[str, Any], key: str) -> str | None:
    value = part.get(key)
    if not value:
        return None
    try:
        return base64.b64decode("".join(str(value).split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise KubeconfigError(f"{key} is not a PEM text in base64") from None


def _load_pair(context: ssl.SSLContext, pem: str) -> None:
    """Python's ssl takes certificates from files only: a file in memory, that no other process finds."""
    descriptor = os.memfd_create("client-certificate")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pem.encode())
        # Without a password given OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (OSError, ssl.SSLError, ValueError):
        raise KubeconfigError(
            "client-certificate-data and client-key-data are no usable PEM certificate and unencrypted key"
        ) from None
    finally:
        os.close(descriptor)
