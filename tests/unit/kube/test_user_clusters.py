"""Clients of user clusters: shared, closed, bounded, and not led astray by what answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.unit.kube.test_tenant_kubeconfig import EXEC, a_kubeconfig, document
from vsphere_operator.kube import tenant_kubeconfig, user_clusters
from vsphere_operator.kube.errors import AlreadyExists, NotFound, Unavailable
from vsphere_operator.kube.kinds import KINDS
from vsphere_operator.kube.tenant_kubeconfig import KubeconfigError, UserClusterLogin
from vsphere_operator.kube.user_clusters import UserCluster, UserClusters

Handler = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]
GOOD = document(a_kubeconfig())


@asynccontextmanager
async def served(handle: Handler, *, limit: float = 5.0) -> AsyncIterator[UserCluster]:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = handle(request)
        return response if isinstance(response, web.StreamResponse) else await response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    login = UserClusterLogin(f"http://127.0.0.1:{runner.addresses[0][1]}", authorization="Bearer sesame")
    client = UserCluster(login, ssl.create_default_context(), timeout=limit)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


async def test_the_token_goes_to_the_server_and_the_object_comes_back() -> None:
    def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer sesame"
        return web.json_response({"kind": "StorageClass", "metadata": {"name": request.path}})

    async with served(answer) as client:
        found = await client.get("StorageClass", "", "fast")
        assert found["metadata"]["name"] == "/apis/storage.k8s.io/v1/storageclasses/fast"


async def test_no_redirect_is_followed() -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with served(answer) as client:
        with pytest.raises(Unavailable, match="not followed"):
            await client.probe()
    assert asked == ["/version"]


async def test_a_hung_server_costs_no_more_than_the_time_limit() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with served(answer, limit=0.2) as client:
        with pytest.raises(Unavailable, match="gave no answer"):
            await client.probe()


async def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_clusters, "LONGEST_ANSWER", 1 << 20)

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with served(answer) as client:
        with pytest.raises(Unavailable, match="more than"):
            await client.probe()


async def test_an_answer_that_is_no_kubernetes_is_told() -> None:
    async with served(lambda _: web.Response(text="<html>")) as client:
        with pytest.raises(Unavailable, match="is this a Kubernetes API"):
            await client.probe()


async def test_absence_is_proven_by_the_server_alone() -> None:
    status = {"kind": "Status", "reason": "NotFound", "message": "no such class"}
    async with served(lambda _: web.json_response(status, status=404)) as client:
        assert await client.find("StorageClass", "", "fast") is None
        with pytest.raises(NotFound):
            await client.get("StorageClass", "", "fast")
    with pytest.raises(Unavailable):
        await client.find("StorageClass", "", "fast")


async def test_pages_are_put_together() -> None:
    def answer(request: web.Request) -> web.Response:
        assert request.query["labelSelector"] == "a=b"
        first = "continue" not in request.query
        item = {"metadata": {"name": "one" if first else "two"}}
        return web.json_response({"items": [item], "metadata": {"continue": "more"} if first else {}})

    async with served(answer) as client:
        found = await client.select(KINDS["StorageClass"], labels="a=b")
    assert [(o["kind"], o["metadata"]["name"]) for o in found] == [
        ("StorageClass", "one"),
        ("StorageClass", "two"),
    ]


async def test_creating_never_writes_over_what_somebody_made_a_moment_ago() -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.json_response({"reason": "AlreadyExists", "message": "there"}, status=409)

    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "n", "name": "s"},
        "data": {"a": ""},
    }
    async with served(answer) as client:
        with pytest.raises(AlreadyExists):
            await client.create_applied(secret)
    assert asked == ["POST"]


async def test_one_client_serves_all_who_ask_for_the_same_cluster() -> None:
    pool = UserClusters()
    first, second = await asyncio.gather(pool.get("a", GOOD), pool.get("a", GOOD))
    assert first is second
    assert await pool.get("b", GOOD) is not first
    await pool.close()


async def test_another_kubeconfig_is_another_client_and_the_old_one_is_closed() -> None:
    pool = UserClusters()
    first = await pool.get("a", GOOD)
    session = first._open()
    other = await pool.get("a", document(a_kubeconfig({"token": "another"})))
    assert other is not first
    await pool.close()
    assert session.closed


async def test_a_refused_kubeconfig_is_refused_again_without_being_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = UserClusters()
    bad = document(a_kubeconfig(EXEC))
    with pytest.raises(KubeconfigError, match="exec"):
        await pool.get("a", bad)
    monkeypatch.setattr(tenant_kubeconfig, "read", lambda _: pytest.fail("read again"))
    with pytest.raises(KubeconfigError, match="exec"):
        await pool.get("a", bad)


async def test_what_nobody_asks_for_is_closed_and_there_is_never_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    pool = UserClusters(clock=lambda: now[0])
    monkeypatch.setattr(user_clusters, "MOST", 2)
    for name in "abc":
        now[0] += 1
        await pool.get(name, GOOD)
    assert list(pool._clients) == ["b", "c"]
    now[0] += user_clusters.UNUSED_AFTER + 0.5
    await pool.get("d", GOOD)
    assert list(pool._clients) == ["d"]
    await pool.close()
    assert not pool._clients
