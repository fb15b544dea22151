"""What `--once` checks: pure functions from pictures and states to outcomes in words."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.demo.comparison import State, differences, disturbed, summary
from testbed.demo.picture import Check, Picture
from testbed.demo.vcenter_view import IGNITION, IMAGE, VCenterView, Vm


def folder(view: VCenterView, path: str, tags: Collection[str]) -> list[Check]:
    """Check that the folder is there, is the only new one, and carries exactly these tags."""
    found = [f.path for f in view.folders]
    attached = next((f.tags for f in view.folders if f.path == path), ())
    return [
        Check(
            found == [path], f"the folder {path} is there, and no other is new", f"new are {_words(found)}"
        ),
        Check(set(attached) == set(tags), f"tags on it: {_words(tags)}", f"attached are {_words(attached)}"),
    ]


def powered_on(vms: Sequence[Vm], path: str, number: int) -> Check:
    """Check that so many VMs are in the folder, powered on, with an address."""
    bad = [vm.name for vm in vms if vm.folder != path or not vm.is_on or not vm.address]
    detail = f"there are {len(vms)}" + (f"; not so: {_words(bad)}" if bad else "")
    return Check(
        len(vms) == number and not bad, f"{number} VMs in it, powered on, each with an address", detail
    )


def images(view: VCenterView, vms: Sequence[Vm]) -> Check:
    """Check that each of these VMs has its image in its own directory and in its CD-ROM drive."""
    bad = [vm.name for vm in vms if not has_image(view, vm)]
    text = f"each Ubuntu VM has {IMAGE} in its directory and CD-ROM drive ({len(vms)})"
    return Check(bool(vms) and not bad, text, f"not so: {_words(bad)}" if bad else "there are no VMs")


def has_image(view: VCenterView, vm: Vm) -> bool:
    """Whether a VM's image is on the datastore beside its other files, and is what its drive holds."""
    wanted = f"{vm.directory}/{IMAGE}"
    return wanted in view.images and vm.image == wanted


def ignition(state: Mapping[str, Any], vms: Sequence[Vm]) -> Check:
    """Check that each of these VMs has an Ignition configuration with its own name in it, and no image."""
    extra = {vm["object"]: vm["extraConfig"] for vm in state["virtualMachines"]}
    bad = [vm.name for vm in vms if vm.image or not _is_ignition(extra.get(vm.moref, {}), vm.name)]
    text = f"each Flatcar VM has Ignition guestinfo with its name in it ({len(vms)})"
    return Check(bool(vms) and not bad, text, f"not so: {_words(bad)}" if bad else "there are no VMs")


def _is_ignition(extra: Mapping[str, str], name: str) -> bool:
    value, encoding = extra.get(IGNITION, ""), extra.get(f"{IGNITION}.encoding", "")
    try:
        content = value.encode()
        if "base64" in encoding:
            content = base64.b64decode(content)
        if "gz" in encoding:
            content = gzip.decompress(content)
        document = json.loads(content)
    except (ValueError, OSError, EOFError):
        return False
    return "version" in document.get("ignition", {}) and name in content.decode()


def nobody_without_data(boots: Sequence[Mapping[str, Any]]) -> Check:
    """Check that the double saw no VM boot without bootstrap data."""
    names = _words(boot["name"] for boot in boots)
    return Check(not boots, "no VM ever booted without its bootstrap data", f"these did: {names}")


def foreign_untouched(before: State, after: State) -> Check:
    """Check that nothing that was there before is gone or changed."""
    bad = disturbed(before, after)
    return Check(not bad, "nothing that was in vCenter before has changed", _first(bad))


def as_before(before: State, after: State) -> Check:
    """Check that there is no difference at all."""
    bad = differences(before, after)
    return Check(not bad, f"vCenter is exactly as it was ({summary(before)})", _first(bad))


def kept(before: Sequence[Vm], after: Sequence[Vm], text: str) -> Check:
    """Check that all these VMs are still there, as the same objects."""
    gone = [vm.name for vm in before if vm.moref not in {other.moref for other in after}]
    return Check(not gone, text, f"gone: {_words(gone)}")


def replaced(before: Sequence[Vm], after: Sequence[Vm], memory_mb: int) -> Check:
    """Check that none of the VMs is an old one, and that all have the new size."""
    old = {vm.moref for vm in before}
    bad = [vm.name for vm in after if vm.moref in old or vm.memory_mb != memory_mb]
    same_number = len(before) == len(after)
    text = f"all {len(before)} VMs are new ones with {memory_mb} MiB"
    return Check(not bad and same_number, text, f"not so: {_words(bad)}; there are {len(after)}")


@dataclass
class Rollout:
    """Watches a rolling update of one MachineDeployment, look by look."""

    name: str
    replicas: int
    looks: int = 0
    most_vms: int = 0
    most_in_all: int = 0
    least_on: int = 10**6
    least_ready: int = 10**6

    def see(self, picture: Picture) -> None:
        """Take one picture into account; not one that is a repetition."""
        if picture.note:
            return
        vms = picture.vcenter.vms_of(self.name)
        ready = [row for row in picture.rows_of("Machine", self.name) if row.ready == "True"]
        leaving = {row.name for row in picture.rows_of("Machine", self.name) if row.deleting}
        self.looks += 1
        self.most_in_all = max(self.most_in_all, len(vms))
        self.most_vms = max(self.most_vms, sum(vm.name not in leaving for vm in vms))
        self.least_on = min(self.least_on, sum(vm.is_on for vm in vms))
        self.least_ready = min(self.least_ready, len(ready))

    def checks(self) -> list[Check]:
        """Return what was seen: one by one, and never too few."""
        most = self.replicas + 1
        return [
            Check(
                self.looks > 0 and self.most_vms <= most,
                f"one by one: never more than {most} VMs, {self.most_in_all} with those on their way out"
                f" ({self.looks} looks)",
                f"up to {self.most_vms}",
            ),
            Check(
                min(self.least_ready, self.least_on) >= self.replicas,
                f"never fewer than {self.replicas} Machines Ready and VMs powered on",
                f"down to {self.least_ready} Ready, {self.least_on} powered on",
            ),
        ]


def no_warnings(warnings: Sequence[str]) -> Check:
    """Check that the API server had nothing to remark."""
    return Check(
        not warnings, "the API server took crds/ and deploy/samples/ without a warning", _first(warnings)
    )


def log(text: str, secrets: Iterable[str]) -> list[Check]:
    """Check that a log holds no secret and no traceback. The detail does not repeat the secret."""
    leaks = sum(secret in text for secret in secrets)
    return [
        Check(not leaks, "no password and no bootstrap data in the operator's log", f"{leaks} of them are"),
        Check("Traceback (most recent call last)" not in text, "no traceback in the operator's log"),
    ]


def stopped(status: int, sessions: Mapping[str, Sequence[str]], user: str) -> list[Check]:
    """Check that the operator ended well and left no session behind."""
    left = sum(name == user for names in sessions.values() for name in names)
    return [
        Check(status == 0, "the operator stops when asked to", f"exit status {status}"),
        Check(not left, "and leaves no session in vCenter", f"{left} are left"),
    ]


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _first(lines: Sequence[str], limit: int = 6) -> str:
    shown = [*lines[:limit], *([f"… and {len(lines) - limit} more"] if len(lines) > limit else [])]
    return "".join(f"\n        {line}" for line in shown)
