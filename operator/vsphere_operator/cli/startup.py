"""What has to be there before work can begin: it is waited for, with one clear line about each thing
missing."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from vsphere_operator.kube.client import KubeApi
from vsphere_operator.kube.errors import KubeError, NotFound
from vsphere_operator.kube.installation import InstallationError, installation_id
from vsphere_operator.kube.kinds import KINDS, OURS

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_PAUSE = 30.0
"""Seconds between two attempts to do what startup needs."""
CRD_PERIOD = 2.0
"""Seconds between two looks for kinds that are missing."""


async def patiently(attempt: Callable[[], Awaitable[T]], what: str) -> T:
    """Repeat an attempt until it gives a result; each new problem is one line in the log, never a
    traceback."""
    pause, said = 1.0, ""
    while True:
        try:
            return await attempt()
        except (KubeError, InstallationError) as error:
            if str(error) != said:
                logger.warning("cannot %s yet: %s", what, error)
            said = str(error)
        await asyncio.sleep(pause * random.uniform(0.75, 1.0))  # noqa: S311 - spreads load, guards nothing
        pause = min(LONGEST_PAUSE, pause * 2)


async def prepare(api: KubeApi, namespace: str) -> str:
    """Wait for the API server, the operator's namespace and our kinds; the installation's id."""
    identity = await patiently(lambda: installation_id(api, namespace), "read this installation's id")
    await kinds_served(api)
    return identity


async def kinds_served(api: KubeApi) -> None:
    """Wait until the API serves all of our kinds."""
    said: Sequence[str] = ()
    while True:
        missing = await patiently(lambda: _missing(api), "read our kinds")
        if not missing:
            if said:
                logger.info("all CustomResourceDefinitions are there now")
            return
        if missing != said:
            logger.warning("the API server does not know %s: apply crds/ (waiting)", ", ".join(missing))
        said = missing
        await asyncio.sleep(CRD_PERIOD)


async def _missing(api: KubeApi) -> Sequence[str]:
    missing = []
    for name in OURS:
        try:
            await api.request("GET", KINDS[name].path(), query={"limit": "1"})
        except NotFound:
            missing.append(KINDS[name].plural)
    return missing
