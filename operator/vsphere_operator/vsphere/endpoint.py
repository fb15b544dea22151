"""Where a vCenter is, whom we trust there, and who we are there."""

from __future__ import annotations

import hashlib
import secrets
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit


@dataclass(frozen=True, eq=False)
class Endpoint:
    """A vCenter's address and how its certificate is judged.

    `url` is `https://host[:port]` or just `host[:port]`; `ca_bundle` is PEM text that replaces the system's
    store;
    `allow_insecure` switches verification off. `ValueError` for an address that is no https address. However it is
    written, the same address is the same endpoint: each has one session.
    """

    url: str
    ca_bundle: str | None = None
    allow_insecure: bool = False

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError(
                f"the vCenter address {self.url!r} names no host: expected https://vcenter.example.com"
            )
        if self.port is None:
            raise ValueError(f"the vCenter address {self.url!r} has no usable port")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Endpoint) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _identity(self) -> tuple[str, str, bool]:
        return self.base_url, self.ca_bundle or "", self.allow_insecure

    @cached_property
    def _parts(self) -> tuple[str, int | None]:
        url = self.url if "://" in self.url else f"https://{self.url}"
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise ValueError(f"the vCenter address {self.url!r} must begin with https://")
        if parts.username or parts.password:
            raise ValueError(
                "the vCenter address must not carry a user or password: put them into the Secret"
            )
        try:
            return parts.hostname or "", parts.port or 443
        except ValueError:
            return parts.hostname or "", None

    @property
    def host(self) -> str:
        return self._parts[0]

    @property
    def port(self) -> int:
        return self._parts[1]  # type: ignore[return-value]  # __post_init__ refuses None

    @property
    def authority(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"https://{self.authority}"

    def tls_context(self) -> ssl.SSLContext:
        """A new context; `ssl.SSLError` when the bundle holds no certificate."""
        context = ssl.create_default_context(cadata=self.ca_bundle or None)
        if self.allow_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @property
    def key(self) -> str:
        """A digest of all that makes two endpoints the same connection."""
        text = "\0".join(map(str, self._identity))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Credentials:
    """A vCenter user. The password shows in no repr; `version` names this pair without giving it away."""

    username: str
    password: str = field(repr=False)

    @cached_property
    def version(self) -> str:
        """Changes when user name or password change. Safe to log; means something in this process only."""
        text = f"{self.username}\0{self.password}".encode()
        return hashlib.blake2b(text, key=_PROCESS_KEY, digest_size=8).hexdigest()


# A bare digest of a short password could be guessed from a log; one with a key that nobody keeps cannot.
_PROCESS_KEY = secrets.token_bytes(32)
