"""The one question that a controller asks: where does this clone go? The answer is reserved at once.

Storage DRS is asked first where a datastore cluster has it; our own ranking decides where it does not, where it
leaves the choice to us, and among plain datastores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from vsphere_operator.vsphere.clone_spec import CloneRequest
from vsphere_operator.vsphere.faults import Executed, FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import ComputeCluster, Datastore, Inventory, StoragePod
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.placement import datastores, storage_drs
from vsphere_operator.vsphere.placement.datastores import Ranking
from vsphere_operator.vsphere.placement.reservations import Reservations
from vsphere_operator.vsphere.placement.storage_drs import NotRecommended, Recommended
from vsphere_operator.vsphere.tasks import TaskRef


@dataclass(frozen=True, slots=True)
class Placed:
    """Where to clone, reserved under the key that asked.

    With a `recommendation`, a key to be applied within two minutes, Storage DRS makes the clone; else `request`
    is to be cloned as it is: it names the datastore.
    """

    datastore: MoRef
    request: CloneRequest
    recommendation: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class NotPlaced:
    """Nothing can take the clone now; `why` is for a condition. Nothing is reserved."""

    why: str


class Recommender(Protocol):
    async def recommend(
        self, pod: StoragePod, request: CloneRequest, *, op_id: str
    ) -> Recommended | NotRecommended: ...

    async def apply(self, key: str, *, op_id: str) -> TaskRef: ...


class Cloner(Protocol):
    async def clone(self, request: CloneRequest, *, op_id: str) -> TaskRef: ...


class Placement:
    """Chooses datastores in one vCenter, and starts clones there."""

    def __init__(
        self,
        inventory: Inventory,
        recommender: Recommender,
        cloner: Cloner,
        reservations: Callable[[], Reservations],
    ) -> None:
        self._inventory = inventory
        self._recommender = recommender
        self._cloner = cloner
        self._reservations = reservations

    def among(
        self, key: str, stores: Sequence[Datastore], cluster: ComputeCluster, request: CloneRequest
    ) -> Placed | NotPlaced:
        """The best of these datastores. No call. Asking again under the same key chooses anew."""
        return self._best(key, self._rank(key, stores, cluster, request), request, "")

    async def in_pod(
        self, key: str, pod: StoragePod, cluster: ComputeCluster, request: CloneRequest, *, op_id: str
    ) -> Placed | NotPlaced:
        """Where in a datastore cluster. One call with Storage DRS, else none; `VSphereError` as `recommend`."""
        answer = await self._recommender.recommend(pod, request, op_id=op_id)
        # From here on nothing waits: of several that asked at the same time, each sees what those before reserved.
        stores = datastores.of_pod(self._inventory, pod.moref)
        ranking = self._rank(key, stores, cluster, request)
        if isinstance(answer, NotRecommended):
            return self._best(key, ranking, request, answer.why)
        reservations = self._reservations()
        crowded = any(reservations.promised(one.moref, besides=key) for one in stores)
        chosen = storage_drs.choose(answer, ranking, crowded=crowded)
        if chosen is None:
            return self._best(key, ranking, request, "what Storage DRS recommends cannot take it")
        reservations.reserve(key, chosen.datastore, datastores.needed_bytes(request))
        # A recommendation is asked for without the disks, so it would be applied without their storage policy.
        applied = chosen.key if request.storage_policy is None else None
        return Placed(chosen.datastore, replace(request, datastore=chosen.datastore), applied, chosen.reason)

    async def start(self, placed: Placed, *, op_id: str) -> TaskRef:
        """Start the clone: by its recommendation, else on the datastore that was chosen. Its result is the VM.

        Where the right to apply recommendations is missing, they count as a ranking. `VSphereError` as `apply`
        and `clone`; with the reason `RecommendationStale` nothing was started: ask for a place again.
        """
        if placed.recommendation is not None:
            try:
                return await self._recommender.apply(placed.recommendation, op_id=op_id)
            except VSphereError as error:
                refused = error.fault.fault_class is FaultClass.PERMISSION
                if not refused or error.fault.executed is not Executed.NO:
                    raise
        return await self._cloner.clone(placed.request, op_id=op_id)

    def _rank(
        self, key: str, stores: Sequence[Datastore], cluster: ComputeCluster, request: CloneRequest
    ) -> Ranking:
        reservations = self._reservations()
        unfit = [store for store in stores if store.moref in request.unfit_datastores]
        ranking = datastores.rank(
            [store for store in stores if store not in unfit],
            datastores.hosts_of(self._inventory, cluster),
            needed=datastores.needed_bytes(request),
            promised=lambda moref: reservations.promised(moref, besides=key),
        )
        out = (datastores.Excluded(store, "cannot serve the storage policy") for store in unfit)
        return replace(ranking, excluded=(*ranking.excluded, *out))

    def _best(self, key: str, ranking: Ranking, request: CloneRequest, remark: str) -> Placed | NotPlaced:
        reservations = self._reservations()
        if ranking.best is None:
            reservations.release(key)
            return NotPlaced(f"{ranking.explain()} ({remark})" if remark else ranking.explain())
        chosen = ranking.best.datastore.moref
        reservations.reserve(key, chosen, datastores.needed_bytes(request))
        return Placed(chosen, replace(request, datastore=chosen), None, remark)
