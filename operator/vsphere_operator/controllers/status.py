"""Writing status: this operator's own fields, by server-side apply, and only when they differ."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from vsphere_operator.controllers.conditions import READY, Condition, dated, find
from vsphere_operator.controllers.lifecycle import metadata
from vsphere_operator.controllers.ports import Events, Object, Objects

logger = logging.getLogger(__name__)


def now() -> datetime:
    return datetime.now(UTC)


def compose(obj: Object, fields: Mapping[str, Any], wanted: Iterable[Condition], *, at: datetime) -> Object:
    """The whole status: ``fields`` without what is None, the conditions dated, the generation observed."""
    generation = int(metadata(obj).get("generation", 0))
    previous = (obj.get("status") or {}).get("conditions") or []
    return {
        **{k: v for k, v in fields.items() if v is not None},
        "observedGeneration": generation,
        "conditions": dated(previous, wanted, generation=generation, now=at),
    }


async def write(objects: Objects, obj: Object, status: Object, *, guarded: bool = False) -> Object:
    """The object as it is after its status was applied; no call when nothing differs.

    ``guarded`` sends the resourceVersion that the decision was made from, so that of two operators that both
    believe to lead only one may go on (raises the client's Conflict in the other).
    """
    if (obj.get("status") or {}) == status:
        return obj
    meta = metadata(obj)
    version = meta["resourceVersion"] if guarded else None
    return await objects.apply_status(
        obj["kind"], meta.get("namespace", ""), meta["name"], status, resource_version=version
    )


def announce(events: Events, before: Object, after: Object) -> None:
    """An Event and a line in the log when Ready changed its status or its reason, and never twice for the same."""
    old = find((before.get("status") or {}).get("conditions") or [], READY)
    new = find((after.get("status") or {}).get("conditions") or [], READY)
    if new is None or (old and (old["status"], old["reason"]) == (new["status"], new["reason"])):
        return
    failing = find((after.get("status") or {}).get("conditions") or [], "Stalled")
    reason, message = str(new["reason"]), str(new.get("message") or new["reason"])
    tell = events.warning if failing else events.normal
    tell(after, reason, message)
    # Logs name the object themselves.
    logger.log(
        logging.WARNING if failing else logging.INFO,
        "%s%s",
        reason,
        f": {message}" if message != reason else "",
    )
