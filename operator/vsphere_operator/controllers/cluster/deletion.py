"""The end of a Cluster: one kind of thing after the other, each proven gone before the next is touched.

Load balancers and volumes of the user cluster before the workers that the controllers run on that delete them; workers
before the folder that they lie in; the folder before the tags, which are unused only when nothing carries them; last
what was delivered into the user cluster, because its controllers log in with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from vsphere_operator.api.cluster import DeletionStep
from vsphere_operator.controllers.cluster import (
    deletion_delivered,
    deletion_folder,
    deletion_tags,
    deletion_user_cluster,
    deletion_workers,
)
from vsphere_operator.controllers.cluster.ending import Ending
from vsphere_operator.controllers.conditions import Problem

Act = Callable[[Ending], Awaitable[Problem | None]]

STEPS: tuple[tuple[DeletionStep, Act], ...] = (
    (DeletionStep.LOAD_BALANCERS, deletion_user_cluster.load_balancers),
    (DeletionStep.VOLUMES, deletion_user_cluster.volumes),
    (DeletionStep.WORKERS, deletion_workers.end),
    (DeletionStep.FOLDER, deletion_folder.end),
    (DeletionStep.TAGS, deletion_tags.end),
    (DeletionStep.USER_CLUSTER, deletion_delivered.end),
)


async def unmake(ending: Ending) -> Problem | None:
    """Go as far as can be gone now; None when nothing is left."""
    for step, act in STEPS:
        ending.work.step = step
        problem = await act(ending)
        if problem is not None:
            return problem
    return await deletion_user_cluster.let_new_ones_be_made(ending)
