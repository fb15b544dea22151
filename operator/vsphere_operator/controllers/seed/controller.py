"""A Seed offers datacenters; each is checked against its vCenter, and again whenever that changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vsphere_operator.api.durations import parse_duration
from vsphere_operator.api.seed import Seed
from vsphere_operator.controllers import conditions, status, unsupported
from vsphere_operator.controllers.conditions import Condition, Problem
from vsphere_operator.controllers.datacenters import (
    CREDENTIALS_VALID,
    DATACENTER_KNOWN,
    VCENTER_AVAILABLE,
    Access,
    Offer,
    SecretUse,
    VCenterPool,
    connect,
    find_offer,
    read_endpoint,
    read_login,
)
from vsphere_operator.controllers.lifecycle import is_deleting
from vsphere_operator.controllers.losses import COUNTED_AGAIN, VMS_COMPLETE, Losses
from vsphere_operator.controllers.policies import STORAGE_POLICY_READY
from vsphere_operator.controllers.ports import Events, Object, Objects
from vsphere_operator.controllers.resync import look_again
from vsphere_operator.controllers.seed.checks import check, check_policy
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key
from vsphere_operator.vsphere.policies import FRESH
from vsphere_operator.vsphere.vcenters import Connected

INSECURE = "CertificateVerified"


class SeedController:
    """Makes nothing; tells whether what the Seed says is true."""

    kind = "Seed"

    def __init__(self, *, objects: Objects, vcenters: VCenterPool, events: Events, losses: Losses) -> None:
        self._objects = objects
        self._vcenters = vcenters
        self._events = events
        self._losses = losses

    async def reconcile(self, key: Key) -> Result:
        obj = self._objects.get(self.kind, "", key.name)
        if obj is None or is_deleting(obj):
            return Result()
        seed = Seed.model_validate(obj)
        reports = [await self._report(obj, name) for name in sorted(seed.spec.datacenters)]
        at = status.now()
        written = [_written(obj, report, at) for report in reports]
        new = status.compose(obj, {"datacenters": written}, _summary(reports), at=at)
        after = await status.write(self._objects, obj, new)
        status.announce(self._events, obj, after)
        waits = [r.retry_after for r in reports if r.retry_after]
        intervals = [d.vsphere.resync_interval for d in seed.spec.datacenters.values()]
        shortest = min(intervals, key=parse_duration)
        return Result(requeue_after=look_again(min(waits, default=None), shortest))

    async def _report(self, obj: Object, name: str) -> Report:
        offer = find_offer(self._objects, name)
        if isinstance(offer, Problem):
            return Report.of(name, offer)
        vsphere = obj["spec"]["datacenters"][name]["vsphere"]
        refused = unsupported.refused_in_datacenter(name, vsphere)
        if refused:
            return Report.of(name, refused)
        found = await self._reach(offer)
        if isinstance(found, Problem):
            return Report.of(name, found, told=_told(offer))
        if found is None:
            return _without_user(name, offer, vsphere)
        policy = await check_policy(found)
        findings = [
            Condition(CREDENTIALS_VALID, "True", "LoggedIn"),
            Condition(VCENTER_AVAILABLE, "True", "Connected"),
            *check(found),
            *([policy.as_condition()] if policy else []),
            self._losses.condition(found),
            *_told(offer),
        ]
        return Report(name, findings, vcenter=_vcenter(found))

    async def _reach(self, offer: Offer) -> Access | Problem | None:
        """None when the datacenter has no user of its own: then only its Clusters can tell."""
        user = offer.vsphere.infra_management_user
        if user is None:
            endpoint = await read_endpoint(self._objects, offer)
            return endpoint if isinstance(endpoint, Problem) else None
        login = await read_login(self._objects, SecretUse(user.secret_ref.namespace, user.secret_ref.name))
        if isinstance(login, Problem):
            return login
        return await connect(self._objects, self._vcenters, offer, login)


class Report:
    """What was found out about one datacenter."""

    def __init__(
        self,
        name: str,
        findings: list[Condition],
        *,
        vcenter: dict[str, Any] | None = None,
        problem: Problem | None = None,
    ) -> None:
        self.name = name
        self.findings = findings
        self.vcenter = vcenter
        self.problem = problem

    @classmethod
    def of(cls, name: str, problem: Problem, *, told: list[Condition] | None = None) -> Report:
        return cls(name, [problem.as_condition(), *(told or [])], problem=problem)

    @property
    def retry_after(self) -> float | None:
        if any(c.type == VMS_COMPLETE and c.status != "True" for c in self.findings):
            return COUNTED_AGAIN
        if any(c.type == STORAGE_POLICY_READY and c.status != "True" for c in self.findings):
            return FRESH
        return self.problem.retry_after if self.problem else None

    @property
    def hindrance(self) -> Condition | None:
        """The first finding that is not as it should be; notes that hinder nothing do not count."""
        return next((c for c in self.findings if c.status != "True" and not _is_note(c)), None)


def _is_note(condition: Condition) -> bool:
    """A policy that may not be read is a note: whether it matters, the Clusters that use it tell."""
    return condition.type == INSECURE or (
        condition.type == STORAGE_POLICY_READY and condition.status == "Unknown"
    )


def _without_user(name: str, offer: Offer, vsphere: Mapping[str, Any]) -> Report:
    words = "not logged in: the datacenter names no infraManagementUser, so each Cluster brings its own"
    return Report(name, [Condition(DATACENTER_KNOWN, "True", "NoUser", words), *_told(offer)])


def _told(offer: Offer) -> list[Condition]:
    if not offer.vsphere.allow_insecure:
        return []
    words = "allowInsecure is set: whoever stands between here and vCenter can read the password"
    return [Condition(INSECURE, "False", "AllowInsecure", words)]


def _vcenter(access: Access) -> dict[str, Any]:
    state = access.vcenter.state
    if not isinstance(state, Connected):
        return {"instanceUUID": access.instance_uuid}
    return {"instanceUUID": state.instance_uuid, "version": state.version, "build": state.build}


def _written(obj: Object, report: Report, at: Any) -> dict[str, Any]:
    previous: Mapping[str, Any] = next(
        (d for d in (obj.get("status") or {}).get("datacenters") or [] if d.get("name") == report.name), {}
    )
    hindrance = report.hindrance
    ready = (
        Condition(conditions.READY, "False", hindrance.reason, hindrance.message)
        if hindrance
        else Condition(conditions.READY, "True", "Checked")
    )
    generation = int(obj["metadata"].get("generation", 0))
    dated = conditions.dated(
        previous.get("conditions") or [], [ready, *report.findings], generation=generation, now=at
    )
    result: dict[str, Any] = {"name": report.name, "conditions": dated}
    return result | ({"vCenter": report.vcenter} if report.vcenter else {})


def _summary(reports: list[Report]) -> list[Condition]:
    bad = [(r, r.hindrance) for r in reports if r.hindrance is not None]
    if not bad:
        return conditions.ready("AllChecked")
    words = "; ".join(f"{r.name}: {h.message}" for r, h in bad if h is not None)
    hindrance = bad[0][1]
    passing = all(r.problem is not None and not r.problem.stalled for r, _ in bad)
    make = conditions.reconciling if passing else conditions.stalled
    return make(hindrance.reason if hindrance else "NotReady", words)
