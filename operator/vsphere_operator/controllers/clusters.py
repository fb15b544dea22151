"""From a Cluster to the vCenter that it lives in: which user is used, and whether it can be."""

from __future__ import annotations

from vsphere_operator.api.cluster import Cluster
from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.datacenters import (
    CREDENTIALS_VALID,
    DATACENTER_KNOWN,
    Access,
    Login,
    Offer,
    VCenterPool,
    connect,
    find_offer,
    read_login,
)
from vsphere_operator.controllers.ports import Objects

NO_CONSUMER = "ConsumerCredentialsMissing"
"""The reason when no user is named for CCM and CSI."""


async def access(objects: Objects, vcenters: VCenterPool, cluster: Cluster) -> Access | Problem:
    """The vCenter of a Cluster as its infrastructure user."""
    offer = offer_for(objects, cluster)
    if isinstance(offer, Problem):
        return offer
    login = await infrastructure_login(objects, offer, cluster)
    if isinstance(login, Problem):
        return login
    return await connect(objects, vcenters, offer, login)


def offer_for(objects: Objects, cluster: Cluster) -> Offer | Problem:
    """The datacenter that the Cluster names, if its namespace may use it; what it has there may always go."""
    offer = find_offer(objects, cluster.spec.datacenter)
    if isinstance(offer, Problem):
        return offer
    allowed = offer.vsphere.allowed_namespaces
    if allowed is not None and cluster.metadata.deletion_timestamp is None:
        namespace = objects.get("Namespace", "", cluster.metadata.namespace or "")
        labels = (namespace or {}).get("metadata", {}).get("labels") or {}
        if not allowed.matches(labels):
            words = (
                f'the namespace {cluster.metadata.namespace} may not use the datacenter "{offer.name}"; '
                f"its labels must match {offer.field('allowedNamespaces')} ({allowed.to_query()})"
            )
            return Problem(DATACENTER_KNOWN, "NamespaceNotAllowed", words)
    return offer


async def infrastructure_login(objects: Objects, offer: Offer, cluster: Cluster) -> Login | Problem:
    """The Cluster's own infrastructure user, else the datacenter's, else the CCM's and CSI driver's.

    A Secret that is named and unusable is an error and no reason to take the next one, but for a Cluster that goes:
    its namespace may have lost its Secrets before its finalizers are done, and then the datacenter's user finishes.
    """
    namespace, own = cluster.metadata.namespace or "", cluster.spec.cloud.vsphere
    shared = offer.vsphere.infra_management_user
    if own.infra_management_user is not None:
        login = await read_login(objects, namespace, own.infra_management_user.secret_ref.name)
        lost = isinstance(login, Problem) and login.reason == "SecretNotFound"
        if not (lost and shared is not None and cluster.metadata.deletion_timestamp is not None):
            return login
    if shared is not None:
        return await read_login(objects, shared.secret_ref.namespace, shared.secret_ref.name)
    if own.credentials_secret_ref is not None:
        return await read_login(objects, namespace, own.credentials_secret_ref.name)
    words = (
        "no user is named: set spec.cloud.vsphere.credentialsSecretRef or infraManagementUser, "
        f"or {offer.field('infraManagementUser')}"
    )
    return Problem(CREDENTIALS_VALID, "CredentialsMissing", words)


async def consumer_login(objects: Objects, cluster: Cluster) -> Login | Problem:
    """The user that a user cluster's CCM and CSI driver log in as; the infrastructure user is never handed out.

    The Problem says which Secret or key is missing (reasons SecretNotFound, SecretIncomplete), or, with the reason
    NO_CONSUMER, that no user is named at all: then folder, tags and VMs are still made.
    """
    reference = cluster.spec.cloud.vsphere.credentials_secret_ref
    if reference is not None:
        return await read_login(objects, cluster.metadata.namespace or "", reference.name)
    words = "no user for CCM and CSI is named: set spec.cloud.vsphere.credentialsSecretRef"
    return Problem(CREDENTIALS_VALID, NO_CONSUMER, words)
