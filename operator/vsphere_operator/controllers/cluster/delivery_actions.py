"""Carrying a delivery out in the user cluster, and taking it back; nothing that is not ours is changed.

Everything here may take as long as a tenant's API server lets it: never call it from a reconcile that others wait for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterable, Sequence
from typing import Literal

from vsphere_operator.api.cluster import DeliveredObject
from vsphere_operator.controllers.cluster import delivery
from vsphere_operator.controllers.cluster.delivery import Delivery, Wanted
from vsphere_operator.controllers.conditions import Problem, named
from vsphere_operator.controllers.ports import Object
from vsphere_operator.controllers.user_clusters import UserCluster
from vsphere_operator.kube.errors import AlreadyExists, Conflict, KubeError, NotFound, error_of
from vsphere_operator.kube.kinds import KINDS

DELIVERED = "CloudConfigDelivered"
CSI_NAMESPACE_OBJECT = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": delivery.CSI_NAMESPACE}}


async def deliver(
    cluster: UserCluster, wanted: Delivery, recorded: Iterable[DeliveredObject] = ()
) -> tuple[list[str], Problem | None]:
    """Make what is missing, mend what was changed, and remove what was ``recorded`` once and is wanted no more.

    Gives the names of what had to be written, and what stands in the way. Also an empty delivery asks the server for
    something, so that the answer shows whether it can be reached. Raises KubeErrors.
    """
    written: list[str] = []
    taken: list[str] = []
    await cluster.find("Namespace", "", delivery.CCM_NAMESPACE)
    for one in wanted.wanted:
        match await _keep(cluster, one, wanted.cluster_id):
            case "foreign":
                taken.append(name_of(one.place))
            case "written":
                written.append(name_of(one.place))
    places = {one.place for one in wanted.wanted}
    for place in recorded:
        if place not in places:
            await _remove(cluster, place, wanted.cluster_id)
    return written, _hindrance(taken, wanted)


def _hindrance(taken: Sequence[str], wanted: Delivery) -> Problem | None:
    if taken:
        words = (
            f"the user cluster has {named(taken)} already, not made for this Cluster, and left as it is; "
            "delete it (it is often the example in CCM's or CSI's manifest), then it is written"
        )
        return Problem(DELIVERED, "ObjectTaken", words)
    return Problem(DELIVERED, "SettingNotWritable", wanted.refused[0]) if wanted.refused else None


async def remove_delivered(
    cluster: UserCluster, cluster_id: str, recorded: Sequence[DeliveredObject]
) -> Problem | None:
    """Take back what ``status.delivered`` records, as far as it is ours; None when none of it is there any more.

    The namespace of the CSI driver stays: others have put things into it. Raises KubeErrors.
    """
    left = [place for place in recorded if not await _remove(cluster, place, cluster_id)]
    if not left:
        return None
    words = f"waits until these are gone from the user cluster: {named([name_of(p) for p in left])}"
    return Problem(DELIVERED, "RemovingDelivered", words, stalled=False, retry_after=5.0)


def name_of(place: DeliveredObject) -> str:
    """`Secret kube-system/vsphere-cloud-secret`."""
    return f"{place.kind} {place.namespace}/{place.name}" if place.namespace else f"{place.kind} {place.name}"


_Kept = Literal["foreign", "written", "unchanged"]


async def _keep(cluster: UserCluster, one: Wanted, cluster_id: str) -> _Kept:
    """The object as it shall be, unless it is somebody else's."""
    place, obj = one.place, one.obj
    found = await cluster.find(place.kind, place.namespace or "", place.name)
    if found is not None and not delivery.is_ours(found, cluster_id):
        return "foreign"
    if place.kind == "StorageClass":
        obj = delivery.as_default(obj, await cluster.select(KINDS["StorageClass"]))
    if found is None:
        await _create(cluster, place, obj)
        return "written"
    match delivery.difference(found, obj):
        case "remake":
            await cluster.delete(place.kind, place.namespace or "", place.name, uid=found["metadata"]["uid"])
            await _written(place, cluster.create_applied(obj))
            return "written"
        case "changed":
            await _written(place, cluster.apply_over(obj, found))
            return "written" if delivery.difference(found, one.obj) != "none" else "unchanged"
    return "unchanged"


async def _create(cluster: UserCluster, place: DeliveredObject, obj: Object) -> None:
    try:
        await _written(place, cluster.create_applied(obj))
    except NotFound:
        if place.namespace != delivery.CSI_NAMESPACE:
            raise
        # The driver is not installed yet; its own manifest takes over a namespace that is there.
        await _create_namespace(cluster)
        await _written(place, cluster.create_applied(obj))


async def _written(place: DeliveredObject, call: Awaitable[object]) -> None:
    """The call; a refusal in words of our own, because a server or a webhook in it may quote what was sent."""
    try:
        await call
    except KubeError as error:
        if error.status == 0:  # nobody answered: the words are ours already
            raise
        words = f"{name_of(place)} was refused ({error.reason or error.status})"
        raise error_of(error.status, error.reason, words, retry_after=error.retry_after) from None


async def _create_namespace(cluster: UserCluster) -> None:
    try:
        await cluster.create(CSI_NAMESPACE_OBJECT)
    except AlreadyExists:
        return


async def _remove(cluster: UserCluster, place: DeliveredObject, cluster_id: str) -> bool:
    """Whether nothing of ours stands there any more."""
    namespace = place.namespace or ""
    found = await cluster.find(place.kind, namespace, place.name)
    if found is None or not delivery.is_ours(found, cluster_id):
        return True
    with contextlib.suppress(NotFound, Conflict):
        await cluster.delete(place.kind, namespace, place.name, uid=found["metadata"]["uid"])
    found = await cluster.find(place.kind, namespace, place.name)
    return found is None or not delivery.is_ours(found, cluster_id)
