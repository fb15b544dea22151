"""Whether vCenter is as it was: all of its state as one flat table, and the difference of two such tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from testbed.demo.vcenter_client import WHOLE, Found, Reader, moref
from testbed.demo.vcenter_view import paths

State = Mapping[str, str]


def read_state(reader: Reader) -> State:
    """Read the whole state, except who is logged in. Raises one of `vcenter_client.ERRORS`."""
    return flat_inventory(reader.read(WHOLE)) | flat_double(reader.control("/state"))


def flat_inventory(found: Iterable[Found]) -> dict[str, str]:
    """Return an entry for each managed entity: where it is, its MoRef, and its properties."""
    everything = list(found)
    where = paths(everything)
    return {
        f"{f.moref.partition(':')[0]} {where.get(f.moref, '')} ({f.moref})": json.dumps(
            {key: _plain(value) for key, value in sorted(f.values.items())}
        )
        for f in everything
    }


def flat_double(state: Mapping[str, Any]) -> dict[str, str]:
    """Return an entry for each thing that the double's GET /state shows."""
    table = {f"folder {path}": "" for path in state["folders"]}
    for vm in state["virtualMachines"]:
        table[f"VM {vm['path']} ({vm['object']})"] = json.dumps(vm, sort_keys=True)
    names = {c["id"]: c["name"] for c in state["categories"]}
    for category in state["categories"]:
        table[f"tag category {category['name']}"] = json.dumps(category, sort_keys=True)
    for tag in state["tags"]:
        full_name = f"{names.get(tag['categoryId'], '')}:{tag['name']}"
        table[f"tag {full_name}"] = json.dumps(tag, sort_keys=True)
        for target in state["attachments"].get(tag["id"], []):
            table[f"tag {full_name} on {target}"] = ""
    for datastore, files in state["files"].items():
        table |= {f"file [{datastore}] {file}": "" for file in files}
    return table


def differences(before: State, after: State) -> list[str]:
    """Return a line for each thing that is new (+), gone (-) or changed (~), in the order of their names."""
    lines = []
    for key in sorted({*before, *after}):
        if key not in before:
            lines.append(f"+ {key}")
        elif key not in after:
            lines.append(f"- {key}")
        elif before[key] != after[key]:
            lines.append(f"~ {key}: {before[key][:150]} -> {after[key][:150]}")
    return lines


def disturbed(before: State, after: State, *, ignoring: Iterable[str] = ()) -> list[str]:
    """Return only what is gone or changed: what was there belongs to others.

    Datastores are left out: their free space is what VMs are made of.
    """
    passed_over = ("Datastore ", *ignoring)
    return [
        line
        for line in differences(before, after)
        if not line.startswith("+ ") and not line[2:].startswith(passed_over)
    ]


def known_morefs(state: State) -> frozenset[str]:
    """Return the MoRefs of all managed entities in a state."""
    return frozenset(key.rpartition("(")[2].rstrip(")") for key in state if key.endswith(")"))


def summary(state: State) -> str:
    """Return how much there is to compare, in words."""
    counted = {
        "inventory objects": sum(1 for key in state if key[0].isupper() and not key.startswith("VM ")),
        "VMs": sum(1 for key in state if key.startswith("VM ")),
        "tags and categories": sum(1 for key in state if key.startswith("tag ")),
        "files": sum(1 for key in state if key.startswith("file ")),
    }
    return ", ".join(f"{number} {name}" for name, number in counted.items())


def _plain(value: Any) -> Any:
    if hasattr(value, "_moId"):
        return moref(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else str(value)
