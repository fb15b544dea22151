"""The view for pipes and logs: a line for every change, and nothing while nothing changes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

from testbed.demo.picture import Caption, Picture
from testbed.demo.vcenter_view import VCenterView, Vm


class PlainLines:
    """Writes what has changed since the picture before."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._shown: Mapping[str, str] = {}
        self._headline = ""
        self._lines: tuple[str, ...] = ()
        self._checks = 0

    def show(self, picture: Picture, caption: Caption) -> None:
        """Write the changes; a new headline, new checks and new lines of advice, too."""
        # Checks first: they are about the pictures before, the headline is about those to come.
        for check in caption.checks[self._checks :]:
            self._write(check.line)
        self._checks = len(caption.checks)
        if caption.headline != self._headline:
            self._headline = caption.headline
            self._write(f"[{picture.seconds:6.1f} s] == {caption.headline}")
        now = facts(picture)
        for line in changes(self._shown, now):
            self._write(f"[{picture.seconds:6.1f} s] {line}")
        self._shown = now
        if caption.lines != self._lines:
            self._lines = caption.lines
            for line in caption.lines:
                self._write(line)

    def close(self) -> None:
        """Nothing is left to do."""

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def facts(picture: Picture) -> dict[str, str]:
    """Return what is worth a line when it changes, by what it is about."""
    table = {row.full_name: f"{row.word} {row.message}".strip() for row in picture.rows}
    table |= _vcenter_facts(picture.vcenter)
    if picture.note:
        table["note"] = picture.note
    return table


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return a line for each thing that is new, different or gone."""
    lines = [f"{key}: {value}".rstrip(": ") for key, value in after.items() if before.get(key) != value]
    return lines + [f"{key}: gone" for key in before if key not in after]


def _vcenter_facts(view: VCenterView) -> dict[str, str]:
    table = {f"vCenter folder {f.path}": f"there; tags {', '.join(f.tags) or 'none'}" for f in view.folders}
    table |= {f"vCenter VM {vm.name}": _vm(vm) for vm in view.vms}
    table |= {f"vCenter file {image}": "there" for image in view.images}
    table |= {f"vCenter task {task}": "running" for task in view.running}
    table |= {
        f"vCenter datastore {d.name}": f"{d.free / 2**30:,.1f} of {d.capacity / 2**30:,.0f} GiB free"
        for d in view.datastores
    }
    return table


def _vm(vm: Vm) -> str:
    size = f"{vm.cpus} CPUs, {vm.memory_mb} MiB" if vm.cpus else "being cloned"
    tags = f"tags {', '.join(vm.tags)}" if vm.tags else ""
    return ", ".join(part for part in (vm.power, size, vm.address, tags) if part)
