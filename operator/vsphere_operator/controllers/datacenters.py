"""From a datacenter's name to a vCenter that answers: the Seed that offers it, the user, the certificate, the session.

Every way in which this can fail is a Problem with the words for a condition; nothing here waits for vCenter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from vsphere_operator.api.references import CABundleKind, CABundleReference
from vsphere_operator.api.seed import Seed, SeedVSphere
from vsphere_operator.api.vspheresettings import Source
from vsphere_operator.controllers import indexes
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import is_deleting, metadata
from vsphere_operator.controllers.ports import Objects
from vsphere_operator.controllers.presets import PresetUse
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Fault, FaultClass
from vsphere_operator.vsphere.vcenters import Connected, Unavailable, VCenter

DATACENTER_KNOWN = "DatacenterKnown"
CREDENTIALS_VALID = "CredentialsValid"
VCENTER_AVAILABLE = "VCenterAvailable"


class VCenterPool(Protocol):
    """Gives the vCenter for an address and a user, without waiting for it."""

    def get(self, endpoint: Endpoint, credentials: Credentials) -> VCenter: ...

    def scope(self, authority: str, datacenters: frozenset[str]) -> None: ...

    async def check_login(self, endpoint: Endpoint, credentials: Credentials) -> Fault | None: ...


@dataclass(frozen=True, slots=True)
class Offer:
    """A datacenter that a Seed offers, and the preset that a Cluster lays over it."""

    seed: str
    name: str
    vsphere: SeedVSphere
    preset: PresetUse | None = None

    def field(self, name: str) -> str:
        """Where a person finds a setting of this datacenter."""
        return f"Seed {self.seed}, spec.datacenters.{self.name}.vsphere.{name}"


class Role(StrEnum):
    """What a user of vCenter is for, in the words of conditions."""

    INFRASTRUCTURE = "infrastructure user"
    CONSUMER = "user of CCM and CSI"


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret with a user's name and password, what the user is for, and which object names it."""

    namespace: str
    name: str
    role: Role = Role.INFRASTRUCTURE
    source: Source = Source.DATACENTER

    def __str__(self) -> str:
        return f"{self.role}, from the Secret {self.namespace}/{self.name} that the {self.source} names"


@dataclass(frozen=True, slots=True)
class Login:
    """A user and the Secret that it came from."""

    namespace: str
    secret: str
    credentials: Credentials
    role: Role = Role.INFRASTRUCTURE
    source: Source = Source.DATACENTER

    @property
    def use(self) -> SecretUse:
        return SecretUse(self.namespace, self.secret, self.role, self.source)


@dataclass(frozen=True, slots=True)
class Access:
    """A vCenter that answers and whose inventory has been read.

    ``preset_problem``: the Cluster names a preset that it cannot use now. What exists may be looked at and may go;
    nothing is made or changed by settings that are not known.
    """

    offer: Offer
    endpoint: Endpoint
    login: Login
    vcenter: VCenter
    instance_uuid: str
    preset_problem: Problem | None = None


def find_offer(objects: Objects, datacenter: str) -> Offer | Problem:
    """The one Seed's datacenter of that name."""
    seeds = [s for s in objects.by_index("Seed", indexes.DATACENTER, datacenter) if not is_deleting(s)]
    if not seeds:
        known = sorted({name for s in objects.list("Seed") for name in (s["spec"].get("datacenters") or {})})
        offer = f"offered are: {', '.join(known)}" if known else "there is no Seed yet"
        return Problem(
            DATACENTER_KNOWN,
            "DatacenterNotFound",
            f'no Seed offers a datacenter named "{datacenter}"; {offer}',
        )
    if len(seeds) > 1:
        names = ", ".join(sorted(metadata(s)["name"] for s in seeds))
        return Problem(
            DATACENTER_KNOWN,
            "DatacenterAmbiguous",
            f'the Seeds {names} both offer a datacenter named "{datacenter}"; rename it in one of them',
        )
    seed = Seed.model_validate(seeds[0])
    return Offer(metadata(seeds[0])["name"], datacenter, seed.spec.datacenters[datacenter].vsphere)


async def read_login(objects: Objects, use: SecretUse) -> Login | Problem:
    """User name and password out of a Secret; line ends that an editor left behind do not count.

    A Secret that is named is the one to use: missing, without a key or with an empty one, it is an error.
    """
    data = await objects.secret(use.namespace, use.name)
    if data is None:
        words = f"{use}: the Secret does not exist; create it with the keys username and password"
        return Problem(CREDENTIALS_VALID, "SecretNotFound", words)
    values = {key: _text(data, key) for key in ("username", "password")}
    flaws = [_flaw(data, key) for key, value in values.items() if not value]
    if flaws:
        words = (
            f"{use}: {' and '.join(flaws)}; "
            "the Secret needs the keys username and password, both UTF-8 text and not empty"
        )
        return Problem(CREDENTIALS_VALID, "SecretIncomplete", words)
    credentials = Credentials(username=values["username"], password=values["password"])
    return Login(use.namespace, use.name, credentials, use.role, use.source)


def _flaw(data: Mapping[str, bytes], key: str) -> str:
    if key not in data:
        return f"the key {key} is missing"
    return f"the key {key} is empty" if not data[key].strip() else f"the key {key} is no text"


async def read_endpoint(objects: Objects, offer: Offer) -> Endpoint | Problem:
    """The vCenter's address and whom to trust there."""
    settings = offer.vsphere
    bundle: str | None = None
    if settings.ca_bundle_ref is not None:
        found = await _read_bundle(objects, settings.ca_bundle_ref)
        if isinstance(found, Problem):
            return found
        bundle = found
    try:
        return Endpoint(url=settings.endpoint, ca_bundle=bundle, allow_insecure=settings.allow_insecure)
    except ValueError as error:
        return Problem(VCENTER_AVAILABLE, "EndpointInvalid", f"{offer.field('endpoint')}: {error}")


async def connect(objects: Objects, vcenters: VCenterPool, offer: Offer, login: Login) -> Access | Problem:
    """The vCenter, if it answers and its inventory has been read; a change of that wakes whoever asked."""
    endpoint = await read_endpoint(objects, offer)
    if isinstance(endpoint, Problem):
        return endpoint
    vcenters.scope(endpoint.authority, _on_offer(objects, endpoint.authority))
    vcenter = vcenters.get(endpoint, login.credentials)
    state = vcenter.state
    if isinstance(state, Unavailable):
        return explain(state.fault, offer, login)
    if not isinstance(state, Connected) or not vcenter.inventory.synced:
        return Problem(
            VCENTER_AVAILABLE,
            "Connecting",
            f"waits for the first answer of {settings_url(offer)}",
            stalled=False,
        )
    return Access(offer, endpoint, login, vcenter, state.instance_uuid)


def _on_offer(objects: Objects, authority: str) -> frozenset[str]:
    """The datacenters of that vCenter that any Seed offers: nothing else of it is read."""
    offered = (
        vsphere
        for seed in objects.list("Seed")
        for vsphere in (d.get("vsphere") or {} for d in (seed["spec"].get("datacenters") or {}).values())
    )
    return frozenset(v["datacenter"] for v in offered if _authority(v.get("endpoint", "")) == authority)


def _authority(url: str) -> str | None:
    try:
        return Endpoint(url=url).authority
    except ValueError:
        return None


def explain(fault: Fault, offer: Offer, login: Login) -> Problem:
    """Why vCenter cannot be used, with the Secret or the setting to look at."""
    if fault.fault_class is FaultClass.CREDENTIALS:
        words = f"{fault.message} ({login.use}, at {settings_url(offer)})"
        return Problem(CREDENTIALS_VALID, fault.reason, words, retry_after=fault.retry_after)
    passing = fault.fault_class in (FaultClass.UNREACHABLE, FaultClass.TRANSIENT)
    words = f"{settings_url(offer)}: {fault.message}"
    if fault.fault_class is FaultClass.UNTRUSTED:
        words += f" See {offer.field('caBundleRef')}."
    return Problem(
        VCENTER_AVAILABLE,
        fault.reason,
        words,
        stalled=not passing,
        retry_after=fault.retry_after,
        certain=True,
    )


def settings_url(offer: Offer) -> str:
    return offer.vsphere.endpoint


async def _read_bundle(objects: Objects, reference: CABundleReference) -> str | Problem:
    where = f"{reference.kind.value} {reference.namespace}/{reference.name}"
    text = await _bundle_text(objects, reference)
    if text is None:
        return Problem(
            VCENTER_AVAILABLE, "CABundleNotFound", f"the {where} of caBundleRef does not exist; create it"
        )
    if "-----BEGIN CERTIFICATE-----" not in text:
        return Problem(
            VCENTER_AVAILABLE,
            "CABundleInvalid",
            f"the key {reference.key} of the {where} holds no PEM certificate; put the vCenter's CA there",
        )
    return text


async def _bundle_text(objects: Objects, reference: CABundleReference) -> str | None:
    if reference.kind is CABundleKind.SECRET:
        data = await objects.secret(reference.namespace, reference.name)
        return None if data is None else _text(data, reference.key)
    texts = await objects.config_map(reference.namespace, reference.name)
    return None if texts is None else texts.get(reference.key, "")


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data.get(key, b"").decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return ""
