"""The end of a Cluster's tags and tag categories: deleted when they are ours and unused, else told."""

from __future__ import annotations

from vsphere_operator.controllers import conditions
from vsphere_operator.controllers.cluster import interrupted_tags, tag_removal
from vsphere_operator.controllers.cluster.ending import Ending
from vsphere_operator.controllers.cluster.interrupted_tags import CREATE_CATEGORY, CREATE_TAG, TAGS_READY
from vsphere_operator.controllers.cluster.work import Work
from vsphere_operator.controllers.conditions import Problem

_CHANGES = (CREATE_TAG, CREATE_CATEGORY)


async def end(ending: Ending) -> Problem | None:
    """The tags, then the categories, until none of ours is left."""
    work = ending.work
    if not is_concerned(work):
        return None
    if ending.lets_go("tags"):
        await _let_go(ending)
        return None
    work.concern = TAGS_READY
    hindered = await ending.connect()
    if hindered is not None:
        return hindered
    unclear = await interrupted_tags.settle(work)
    if unclear is not None:
        return unclear
    left = await tag_removal.drop(work, list(work.status.tags))
    in_use = [kept for kept in left if not kept.unproven]
    if in_use:
        names = tuple(f'"{kept.tag.name}"' for kept in in_use)
        where = conditions.named(tuple(str(kept) for kept in in_use))
        words = (
            f"the tags {where} were made for this Cluster and are attached to other objects by now; "
            "detach them, or annotate the Cluster with userclusters.io/orphan: tags to leave them"
        )
        return Problem(TAGS_READY, "TagsInUseElsewhere", words, retry_after=60.0, waits_for=names)
    if left:
        # Waiting would not help: nobody can be asked to detach what nobody has been seen to attach.
        names = tuple(str(kept) for kept in left)
        words = f"Left behind, because not proven unused: the tags {', '.join(names)}."
        ending.leave(words)
        for kept in left:
            await tag_removal.forget(work, kept.tag)
    stayed = await tag_removal.drop_categories(work)
    if stayed:
        names = tuple(f'"{c.name}"' for c in stayed)
        words = f"Left behind, because others have put tags into them: the tag categories {', '.join(names)}."
        ending.leave(words)
    return None


def is_concerned(work: Work) -> bool:
    """Whether tags or categories are in the ledger, or may have been made."""
    status = work.status
    return bool(status.tags or status.categories or any(work.operation(change) for change in _CHANGES))


async def _let_go(ending: Ending) -> None:
    work = ending.work
    status = work.status
    things = [f'the tag "{t.name}"' for t in status.tags]
    things += [f'the tag category "{c.name}"' for c in status.categories]
    things += [f"what {o.type} may have made of {o.target}" for o in status.intents if o.type in _CHANGES]
    others = [o for o in status.intents if o.type not in _CHANGES]
    await work.save(status.model_copy(update={"tags": [], "categories": [], "intents": others}))
    ending.events.warning(work.obj, "LeftBehind", f"Let go on a person's word: {', '.join(things)}.")
