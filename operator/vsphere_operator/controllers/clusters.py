"""From a Cluster to the vCenter that it lives in: which user is used, and whether it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.api.references import LocalReference, SecretReference
from vsphere_operator.api.vspheresettings import Source
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import (
    CREDENTIALS_VALID,
    DATACENTER_KNOWN,
    Access,
    Login,
    Offer,
    Role,
    SecretUse,
    VCenterPool,
    connect,
    find_offer,
    read_login,
)
from vsphere_operator.controllers.ports import Objects
from vsphere_operator.controllers.presets import PresetUse, preset_for
from vsphere_operator.controllers.tenants import refused_namespace

NO_CONSUMER = "ConsumerCredentialsMissing"
"""The reason when no user is named for CCM and CSI."""
NO_INFRASTRUCTURE = "CredentialsMissing"


async def access(objects: Objects, vcenters: VCenterPool, cluster: Cluster) -> Access | Problem:
    """The vCenter of a Cluster as its infrastructure user.

    A preset that cannot be used does not stand in the way of looking at what exists: see ``Access.preset_problem``.
    """
    offer = offer_for(objects, cluster)
    if isinstance(offer, Problem):
        return offer
    preset = preset_for(objects, cluster)
    unusable = preset if isinstance(preset, Problem) else None
    if isinstance(preset, PresetUse):
        offer = replace(offer, preset=preset)
    login = await infrastructure_login(objects, offer, cluster)
    if isinstance(login, Problem):
        return unusable if unusable and login.reason == NO_INFRASTRUCTURE else login
    found = await connect(objects, vcenters, offer, login)
    return found if isinstance(found, Problem) else replace(found, preset_problem=unusable)


def offer_for(objects: Objects, cluster: Cluster) -> Offer | Problem:
    """The datacenter that the Cluster names, if its namespace may use it; what it has there may always go."""
    offer = find_offer(objects, cluster.spec.datacenter)
    if isinstance(offer, Problem) or cluster.metadata.deletion_timestamp is not None:
        return offer
    refused = refused_namespace(
        objects,
        cluster.metadata.namespace or "",
        offer.vsphere.allowed_namespaces,
        what=f'datacenter "{offer.name}"',
        field=offer.field("allowedNamespaces"),
        condition=DATACENTER_KNOWN,
    )
    return refused or offer


async def infrastructure_login(objects: Objects, offer: Offer, cluster: Cluster) -> Login | Problem:
    """The infrastructure user: the Cluster's, else the preset's, else the datacenter's, else that of CCM and CSI.

    A Secret that is named and unusable is an error and no reason to take the next one, but for a Cluster that goes:
    its namespace may have lost its Secrets before its finalizers are done, and then the next one's user finishes.
    """
    uses = _infrastructure(offer, cluster)
    if not uses:
        words = (
            "no user is named: set spec.cloud.vsphere.credentialsSecretRef or infraManagementUser, "
            f"or {offer.field('infraManagementUser')}"
        )
        return Problem(CREDENTIALS_VALID, NO_INFRASTRUCTURE, words)
    first = await read_login(objects, uses[0])
    if cluster.metadata.deletion_timestamp is None:
        return first
    login = first
    for use in uses[1:]:
        if not isinstance(login, Problem) or login.reason != "SecretNotFound":
            return login
        login = await read_login(objects, use)
    lost = isinstance(login, Problem) and login.reason == "SecretNotFound"
    return first if lost else login


async def consumer_login(objects: Objects, cluster: Cluster) -> Login | Problem:
    """The user that a user cluster's CCM and CSI driver log in as: the Cluster's, else its preset's.

    Never the infrastructure user, unless a person names the same Secret for both. The Problem says which Secret or
    key is missing (reasons SecretNotFound, SecretIncomplete), why the preset cannot be used, or, with the reason
    NO_CONSUMER, that no user is named at all: then folder, tags and VMs are still made.
    """
    use = consumer_secret(objects, cluster)
    return use if isinstance(use, Problem) else await read_login(objects, use)


def consumer_secret(objects: Objects, cluster: Cluster) -> SecretUse | Problem:
    """Where the login of CCM and CSI is to be read from; the Secret itself is not looked at."""
    preset: PresetUse | None = None
    if cluster.spec.cloud.vsphere.credentials_secret_ref is None:
        found = preset_for(objects, cluster)
        if isinstance(found, Problem):
            return found
        preset = found
    use = _consumer(preset, cluster)
    if use is None:
        words = (
            "no user for CCM and CSI is named: set credentialsSecretRef in the Cluster's spec.cloud.vsphere "
            "or in its preset"
        )
        return Problem(CREDENTIALS_VALID, NO_CONSUMER, words)
    return use


def _infrastructure(offer: Offer, cluster: Cluster) -> list[SecretUse]:
    own, preset = cluster.spec.cloud.vsphere.infra_management_user, offer.preset
    of_preset = preset.spec.vsphere.infra_management_user if preset else None
    of_datacenter = offer.vsphere.infra_management_user
    uses = [
        _use(own.secret_ref if own else None, cluster, Role.INFRASTRUCTURE, Source.CLUSTER),
        _use(of_preset.secret_ref if of_preset else None, cluster, Role.INFRASTRUCTURE, Source.PRESET),
        _use(of_datacenter.secret_ref if of_datacenter else None, cluster, Role.INFRASTRUCTURE),
    ]
    consumer = _consumer(preset, cluster)
    return _named([*uses, replace(consumer, role=Role.INFRASTRUCTURE) if consumer else None])


def _consumer(preset: PresetUse | None, cluster: Cluster) -> SecretUse | None:
    own = cluster.spec.cloud.vsphere.credentials_secret_ref
    if own is not None:
        return _use(own, cluster, Role.CONSUMER, Source.CLUSTER)
    reference = preset.spec.vsphere.credentials_secret_ref if preset else None
    return _use(reference, cluster, Role.CONSUMER, Source.PRESET)


def _use(
    reference: SecretReference | LocalReference | None,
    cluster: Cluster,
    role: Role,
    source: Source = Source.DATACENTER,
) -> SecretUse | None:
    """A Cluster's own reference has no namespace: it is that of the Cluster."""
    if reference is None:
        return None
    home = reference.namespace if isinstance(reference, SecretReference) else cluster.metadata.namespace or ""
    return SecretUse(home, reference.name, role, source)


def _named(uses: Sequence[SecretUse | None]) -> list[SecretUse]:
    return [use for use in uses if use is not None]
