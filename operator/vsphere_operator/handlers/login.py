"""Kopf's way to the API server: the operator's own credentials, with a date on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import kopf

from vsphere_operator.kube.client import USER_AGENT
from vsphere_operator.kube.credentials import CredentialsError, CredentialSource

EXPIRES_AFTER = timedelta(minutes=5)
"""Kopf asks again after this; without it a rotated token would only be noticed by being refused."""
PAUSE = 2.0
"""Seconds before a new login: a server that refuses every token must not be asked in a loop."""


def login_handler(
    source: CredentialSource, *, trace: Callable[[], aiohttp.TraceConfig]
) -> Callable[..., Awaitable[kopf.AiohttpSession]]:
    """A login handler that reads the credentials anew each time. `trace` sees all requests of Kopf."""
    first = True

    async def login(**_: Any) -> kopf.AiohttpSession:
        nonlocal first
        if not first:
            await asyncio.sleep(PAUSE)
        first = False
        try:
            credentials = await source.current(renew=True)
            tls = credentials.tls()
        except CredentialsError as error:
            raise kopf.TemporaryError(str(error), delay=5) from None
        headers = {"User-Agent": USER_AGENT}
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        # A session of our own, not a ConnectionInfo: Kopf refuses credentials that equal those which got a
        # 401, and ends when a server said 401 once without cause. Two sessions are never equal.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls),
            headers=headers,
            proxy=credentials.proxy,
            trace_configs=[trace()],
        )
        return kopf.AiohttpSession(
            server=credentials.server,
            aiohttp_session=session,
            expiration=datetime.now(UTC) + EXPIRES_AFTER,
        )

    return login
