"""Tags and categories that a Cluster wants no longer: deleted if they are ours and proven unused, else left and told.

Who is the last to use a tag is decided under one lock for each vCenter: of two Clusters that go at the same time one
forgets it and the other deletes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from vsphere_operator.api.cluster import CategoryStatus, TagStatus
from vsphere_operator.controllers.cluster import tag_fate
from vsphere_operator.controllers.cluster.tag_fate import Delete, Kept, KeptCategory
from vsphere_operator.controllers.cluster.work import Work


async def drop(work: Work, unwanted: Sequence[TagStatus]) -> list[Kept]:
    """Delete those of the unwanted tags that are ours and unused; the ones that must stay are returned.

    An adopted tag, or one that another Cluster's ledger names, is only forgotten here.
    """
    left = []
    for tag in unwanted:
        async with work.ledgers[work.there.instance_uuid]:
            fate = await tag_fate.of_tag(work, tag)
            if isinstance(fate, Kept):
                left.append(fate)
                continue
            if isinstance(fate, Delete):
                await work.there.vcenter.tags.delete_tag(tag.id, op_id=work.op_id)
            await forget(work, tag)
    return left


async def forget(work: Work, tag: TagStatus) -> None:
    """Take it out of the ledger."""
    others = [t for t in work.status.tags if t.id != tag.id]
    await work.save(work.status.model_copy(update={"tags": others}))


async def drop_categories(work: Work) -> list[CategoryStatus]:
    """Delete the categories that are ours, unwanted and empty; those that must stay are returned."""
    used = {t.category_id for t in work.status.tags}
    left = []
    for category in [c for c in work.status.categories if c.id not in used]:
        async with work.ledgers[work.there.instance_uuid]:
            fate = await tag_fate.of_category(work, category)
            if isinstance(fate, KeptCategory):
                left.append(category)
                continue
            if isinstance(fate, Delete):
                await work.there.vcenter.tags.delete_category(category.id, op_id=work.op_id)
            kept = [c for c in work.status.categories if c.id != category.id]
            await work.save(work.status.model_copy(update={"categories": kept}))
    return left
