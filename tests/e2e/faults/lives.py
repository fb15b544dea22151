"""One Machine or Cluster from its making to its end, with a fault on the way up and one on the way down."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kubernetes.client.exceptions import NotFoundException

from tests.e2e import objects
from tests.e2e.faults.calls import AT_MOST, BY_HOST, DOWN, IN_POD, LOST_VM, NEW_CATEGORY, TAG, UP
from tests.e2e.faults.kinds import LASTING
from tests.e2e.faults.matrix import Combination
from tests.e2e.world import Tenant, conditions_of, is_ready

PATIENCE = 150.0
"""Seconds for one phase of a life, with its fault. Waiting for an answer that does not come takes a minute of it, and
neighbours without answers may open the circuit for a while."""
_STANDS = 1.5
"""Seconds for which a condition must stand before a person acts on it."""
_MARK = "userclusters.io.machine"
SHOP = "shop"
APART = "LocalDS_1"
"""The operator remembers for an hour that it writes to a datastore by way of hosts: nobody else's ISOs go there."""

Object = dict[str, Any]
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class Phase:
    """One half of a life: what was seen of its fault."""

    combination: Combination | None
    began: float = 0.0
    began_at: datetime = _NEVER
    """The same by the clock on the wall, to the second, as events have it."""
    ended: float | None = None
    first_call: int = 0
    said: str | None = None
    """The condition that spoke of the fault, as `type=status reason: message`, or else the event."""
    hurried: float = 0.0
    times_hurried: int = 0
    lifted: bool = False
    injected: int = 0
    problems: list[str] = field(default_factory=list)


class Life:
    """Steps through its phases whenever it is looked at; `problems` of a phase are what should not have been."""

    def __init__(
        self, tenant: Tenant, name: str, kind: str, up: Combination | None, down: Combination | None
    ) -> None:
        self.tenant, self.name, self.kind = tenant, name, kind
        self.phases = {UP: Phase(up), DOWN: Phase(down)}
        self.stage = "new"
        self.uid = ""
        self.directory: str | None = None
        self.system = "flatcar" if self._may_use_guestinfo else "ubuntu"

    @property
    def needs(self) -> set[str]:
        return {p.combination.call.needs for p in self.phases.values() if p.combination} - {""}

    @property
    def is_over(self) -> bool:
        return self.stage == "over"

    @property
    def _may_use_guestinfo(self) -> bool:
        return not {"an ISO", BY_HOST} & self.needs and int(re.sub(r"\D", "", self.name)) % 3 == 0

    @property
    def path(self) -> str:
        """Where the VM or the folder is in the inventory."""
        if self.kind == "Cluster":
            return self.tenant.folder(self.name)
        return f"{self.tenant.folder(SHOP)}/{self.name}"

    @property
    def op_id(self) -> str:
        """What the operator calls its calls for this one; it may put a word in front."""
        return f"*{self.tenant.namespace}-{self.name}"

    def begin(self) -> None:
        """Set the fault for the way up, and create the object."""
        self._enter(UP)
        if self.kind == "Cluster":
            tags = {"tags": [{"name": f"env-{self.name}"}, {"name": "team", "category": f"own-{self.name}"}]}
            self.tenant.create_cluster(self.name, {"cloud": {"vsphere": tags}})
        else:
            changes: Object = {"vsphere": {}}
            up = self.phases[UP].combination
            if up is not None and up.is_by_host:
                changes["vsphere"]["datastore"] = APART
            if IN_POD in self.needs:
                changes["vsphere"]["datastoreCluster"] = "DC0_POD0"
            if NEW_CATEGORY in self.needs:
                self.make_tag()
            if {TAG, NEW_CATEGORY} & self.needs:
                tag = {"name": f"tag-{self.name}", "category": f"category-{self.name}"}
                changes["vsphere"]["tags"] = [tag]
            self.tenant.create_machine(self.name, template=objects.worker(self.system, changes))
        self.stage = UP

    def make_tag(self) -> None:
        """The tag that the VM is to carry, as somebody else makes it."""
        tags = self.tenant.vcenter.tags
        tags.make(f"tag-{self.name}", tags.make_category(f"category-{self.name}"))

    @property
    def alone(self) -> set[str]:
        """See `Call.alone`."""
        return {p.combination.call.alone for p in self.phases.values() if p.combination} - {""}

    def _enter(self, phase: str) -> None:
        now, double = self.phases[phase], self.tenant.world.double
        now.began, now.began_at = time.monotonic(), datetime.now(UTC).replace(microsecond=0)
        now.first_call = max((int(c["sequence"]) for c in double.calls(since=self._some_call())), default=0)
        if now.combination is not None:
            double.control("/faults", now.combination.rule(self.op_id))
            if now.combination.call.needs == BY_HOST:
                cannot = {"method": "PUT /folder", "protocol": "http", "fault": "500", "count": -1}
                double.control("/faults", cannot | {"opID": self.op_id})

    def _some_call(self) -> int:
        return max(self.tenant.first_call, *(p.first_call for p in self.phases.values()))

    def look(self, obj: Object | None) -> None:
        """Go on, as far as what is there allows."""
        if self.stage == UP and obj is not None:
            self.uid = obj["metadata"]["uid"]
            self._listen(obj)
            if is_ready(obj):
                self._made(obj)
            else:
                self._suffer(obj)
        elif self.stage == DOWN:
            if obj is None:
                self._gone()
            else:
                self._suffer(obj)

    def _suffer(self, obj: Object) -> None:
        """Not there yet: see what it says about the fault, and act as the person who reads that."""
        now = self.phases[self.stage]
        if self._listen(obj):
            self._act(obj, now)
        if time.monotonic() > now.began + PATIENCE:
            now.problems.append(f"not through within {PATIENCE:.0f} s: {_described(obj)}")
            self._give_up(obj)

    def _listen(self, obj: Object) -> bool:
        """Whether a condition speaks of the fault now."""
        now = self.phases[self.stage]
        spoken = _speaking_of(obj, now.combination) if now.combination is not None else None
        now.said = now.said or spoken
        return spoken is not None

    def _act(self, obj: Object, now: Phase) -> None:
        assert now.combination is not None
        if now.hurried == 0.0:
            now.hurried = time.monotonic()
        if time.monotonic() < now.hurried + _STANDS:
            return
        lasting = now.combination.lasts == LASTING and not now.lifted
        if lasting and now.times_hurried >= 1 and any(map(now.combination.may_hit, self._calls(now))):
            self._lift()
            now.lifted = True
        if now.combination.kind.heals_by_itself and now.combination.lasts == "once":
            return
        now.hurried = time.monotonic()
        now.times_hurried += 1
        self._touch(obj)

    def _touch(self, obj: Object) -> None:
        """A change of the spec that changes nothing: what was refused is tried again at once."""
        name = "taints" if self.kind == "Machine" else "machineNetworks"
        there = name in obj["spec"]
        with contextlib.suppress(NotFoundException):  # it may have gone in this moment
            self.tenant.patch(self.kind, self.name, {"spec": {name: None if there else []}})

    def _lift(self) -> None:
        self.tenant.world.double.control(f"/faults?opID={self.op_id}", method="DELETE")

    def _give_up(self, obj: Object) -> None:
        self._lift()
        if self.stage == UP:
            self.tenant.delete(self.kind, self.name)
            self.phases[DOWN].problems.append("was not made")
        self.stage = "over"

    def _made(self, obj: Object) -> None:
        now = self.phases[UP]
        now.ended = time.monotonic()
        self._lift()
        state = self.tenant.world.double.control("/state")
        now.problems += self._check_vm(obj, state) if self.kind == "Machine" else self._check_folder(state)
        self._count_calls(UP)
        self._prepare_end()
        self._enter(DOWN)
        self.tenant.delete(self.kind, self.name)
        self.stage = DOWN

    def _prepare_end(self) -> None:
        administrator = self.tenant.vcenter
        if "a foreign disk" in self.needs:
            administrator.add_disk(administrator.find(self.path), self.foreign_disk, 1)
        if LOST_VM in self.needs:
            administrator.destroy(administrator.find(self.path))

    @property
    def foreign_disk(self) -> str:
        return f"[LocalDS_0] of-others-{self.name}.vmdk"

    def _check_vm(self, obj: Object, state: Object) -> list[str]:
        """Ready: then there is one VM, it runs, and it has what it boots with, once."""
        vm = obj["status"]["vm"]
        self.directory = vm["path"]
        marked = [v for v in state["virtualMachines"] if v["extraConfig"].get(_MARK) == self.uid]
        here = [v for v in state["virtualMachines"] if v["path"] == self.path]
        problems = []
        if [v["object"] for v in marked] != [v["object"] for v in here] or len(here) != 1:
            problems.append(f"marked {marked}, in place {here}")
        for one in here:
            if (one["powerState"], one["instanceUuid"]) != ("poweredOn", vm["instanceUUID"]):
                problems.append(f"status says {vm}, vCenter {one}")
        wanted = 1 if self.system == "ubuntu" else 0
        isos = [file for file in self._files(state) if file.endswith(".iso")]
        if len(isos) != wanted:
            problems.append(f"ISOs: {isos}")
        return problems

    def _check_folder(self, state: Object) -> list[str]:
        mine = [path for path in state["folders"] if path.startswith(self.path)]
        up = self.phases[UP].combination
        if up is not None and up.call.method == "Rename_Task" and up.kind.name.startswith("NoPermission"):
            # Who may not rename uses the folder under its working name.
            return [] if len(mine) == 1 and mine[0].startswith(f"{self.path}~") else [f"folders {mine}"]
        return [] if mine == [self.path] else [f"folders {mine}"]

    def _files(self, state: Object) -> list[str]:
        if self.directory is None:
            return []
        datastore, _, path = self.directory.removeprefix("[").partition("] ")
        return [file for file in state["files"][datastore] if file.startswith(f"{path}/")]

    def _gone(self) -> None:
        now = self.phases[DOWN]
        now.ended = time.monotonic()
        self._lift()
        state = self.tenant.world.double.control("/state")
        if [v for v in state["virtualMachines"] if v["extraConfig"].get(_MARK) == self.uid]:
            now.problems.append("the VM is still there")
        left = self._files(state)
        if [file for file in left if not file.endswith("/")]:
            now.problems.append(f"files are left: {left}")
        elif left and self.directory and LOST_VM in self.needs:
            # vCenter kept the directory because of the ISO, and no operator deletes a directory.
            self.tenant.vcenter.remove_directory(self.directory)
        if "a foreign disk" in self.needs:
            file = self.foreign_disk.partition("] ")[2]
            if file not in state["files"]["LocalDS_0"]:
                now.problems.append("the foreign disk is gone")
        self._count_calls(DOWN)
        self.stage = "over"

    def _calls(self, phase: Phase) -> list[Object]:
        """What the operator asked of vCenter for this one since the phase began."""
        name = self.op_id.removeprefix("*")
        calls = self.tenant.world.double.calls(since=phase.first_call)
        return [call for call in calls if call.get("opID", "").endswith(name)]

    def _count_calls(self, phase: str) -> None:
        """The fault has struck, was spoken of, and nothing was done twice."""
        now = self.phases[phase]
        calls = self._calls(now)
        for methods, most in AT_MOST:
            done = [call for call in calls if call["method"] in methods and _carried_out(call)]
            if len(done) > most:
                now.problems.append(f"{' or '.join(methods)} was carried out {len(done)} times")
        if now.combination is None:
            return
        now.injected = sum(1 for call in calls if now.combination.may_hit(call))
        if now.injected == 0 and now.combination.call.alone == NEW_CATEGORY:
            return  # another search, of one who lost its memory, has found the category first
        if now.injected == 0:
            now.problems.append("the fault never struck: the call was not made")
        elif now.combination.shows:
            now.said = now.said or self._told_in_an_event(now.combination, now.began_at)
            if now.said is None:
                now.problems.append("no condition spoke of it")

    def _told_in_an_event(self, combination: Combination, since: datetime) -> str | None:
        """Where one looks too seldom for a condition that stood for some seconds: each has an event."""
        for event in self.tenant.api.events(self.tenant.namespace):
            about = (event["involved_object"]["kind"], event["involved_object"]["name"])
            if about != (self.kind, self.name) or event["last_timestamp"] < since:
                continue
            if re.search(combination.words, event["message"]):
                return f"event {event['reason']}: {event['message']}"
        return None


def _carried_out(call: Object) -> bool:
    """Whether vCenter did what was asked for, whatever it answered."""
    injected = call.get("injected", "")
    if injected.startswith("after"):
        return not call.get("fault")
    return injected in ("", "before delay") and call["status"] == 200 and not call.get("fault")


def _speaking_of(obj: Object, combination: Combination) -> str | None:
    if combination.kind.silent:
        return None
    for condition in conditions_of(obj):
        if re.search(combination.words, condition["message"]):
            return f"{condition['type']}={condition['status']} {condition['reason']}: {condition['message']}"
    return None


def _described(obj: Object) -> str:
    operation = (obj.get("status") or {}).get("operation")
    found = [f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in conditions_of(obj)]
    return f"{found} operation {operation}"
