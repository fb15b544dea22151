"""Two objects with one identity would share one fate in vCenter: the copy is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from vsphere_operator.controllers.conditions import Problem
from vsphere_operator.controllers.lifecycle import identity, metadata
from vsphere_operator.controllers.ports import Object


def problem_of_twin(obj: Object, same_identity: Iterable[Object]) -> Problem | None:
    """What a copied ``userclusters.io/id`` means for this object; nothing for the one that had it first.

    A restored object, too, carries an id that is not its own UID: it is refused only while the other is there.
    """
    others = [metadata(o) for o in same_identity if metadata(o)["uid"] != metadata(obj)["uid"]]
    if not others or identity(obj) == metadata(obj)["uid"]:
        return None
    names = ", ".join(sorted(f"{o['namespace']}/{o['name']}" for o in others))
    words = (
        f"the annotation userclusters.io/id is also that of the {obj['kind']} {names}; "
        "remove it from this one, unless the other is to go"
    )
    return Problem("IdentityUnique", "IdentityTaken", words)
