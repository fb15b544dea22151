"""The client against a server that answers as the test says: what it repeats, what it gives up, what it says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from vsphere_operator.kube.client import KubeApi
from vsphere_operator.kube.credentials import Credentials
from vsphere_operator.kube.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    Unavailable,
)
from vsphere_operator.runtime.engine import Expected

from .api import a_cluster

Answer = Callable[[web.Request], web.StreamResponse | Awaitable[web.StreamResponse]]


class Server:
    """Answers from a list, the last one for ever, and notes what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        response = answer(request)
        return response if isinstance(response, web.StreamResponse) else await response

    async def current(self, *, renew: bool = False) -> Credentials:
        return Credentials(self.url, authorization="Bearer sesame-open")


@asynccontextmanager
async def served(*answers: Answer, limit: float = 5.0) -> AsyncIterator[tuple[KubeApi, Server]]:
    server = Server(*answers)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    api = KubeApi(server, timeout=limit)
    try:
        yield api, server
    finally:
        await api.close()
        await runner.cleanup()


def fine(_: web.Request) -> web.Response:
    return web.json_response({"kind": "Cluster", "metadata": {"name": "shop"}})


def refusal(status: int, reason: str = "", message: str = "", **headers: str) -> Answer:
    body = {"kind": "Status", "reason": reason, "message": message}
    return lambda _: web.json_response(body, status=status, headers=headers)


def page(*names: str, more: str = "") -> Answer:
    items = [{"metadata": {"name": name, "resourceVersion": "5"}} for name in names]
    metadata = {"resourceVersion": "9", **({"continue": more} if more else {})}
    return lambda _: web.json_response({"items": items, "metadata": metadata})


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (403, "Forbidden", Forbidden),
        (422, "Invalid", Invalid),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (418, "", KubeError),
    ],
)
async def test_each_refusal_has_its_class_and_carries_the_servers_words(
    status: int, reason: str, expected: type[KubeError]
) -> None:
    async with served(refusal(status, reason, "the server's words")) as (api, server):
        with pytest.raises(KubeError, match="the server's words") as caught:
            await api.get("Cluster", "team", "shop")
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert len(server.asked) == 1


def test_what_is_part_of_life_is_expected_and_what_is_our_bug_is_not() -> None:
    assert all(issubclass(kind, Expected) for kind in (Conflict, Unavailable, NotFound, Forbidden))
    assert not issubclass(Invalid, Expected)


async def test_an_overloaded_server_is_asked_again_when_it_says_so_even_for_a_create() -> None:
    busy = refusal(429, "TooManyRequests", "later", **{"Retry-After": "0"})
    async with served(busy, busy, fine) as (api, server):
        await api.create(a_cluster())
    assert [method for method, _ in server.asked] == ["POST"] * 3


async def test_an_overloaded_server_is_not_waited_for_beyond_the_time_limit() -> None:
    busy = refusal(429, "TooManyRequests", "later", **{"Retry-After": "60"})
    began = time.monotonic()
    async with served(busy) as (api, server):
        with pytest.raises(Unavailable) as caught:
            await api.get("Cluster", "team", "shop")
    assert caught.value.retry_after == 60
    assert len(server.asked) == 1
    assert time.monotonic() - began < 5


async def test_a_server_that_does_not_answer_is_given_up_at_the_time_limit() -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nothing ends this wait")

    async with served(hang, limit=0.3) as (api, server):
        with pytest.raises(Unavailable, match="gave no answer"):
            await api.create(a_cluster())
    assert len(server.asked) == 1, "a create that may have happened is not repeated"


async def test_a_cut_connection_is_unavailable_and_nothing_is_repeated() -> None:
    def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with served(cut) as (api, server):
        with pytest.raises(Unavailable, match="cannot reach"):
            await api.create(a_cluster())
    assert len(server.asked) == 1


async def test_an_answer_that_is_no_object_names_the_suspicion() -> None:
    async with served(lambda _: web.Response(text="<html>hello</html>")) as (api, _):
        with pytest.raises(Unavailable, match="is this a Kubernetes API"):
            await api.get("Cluster", "team", "shop")


async def test_a_list_is_read_page_by_page_and_its_items_know_their_kind() -> None:
    async with served(page("a", more="next/1"), page("b")) as (api, server):
        objects, version = await api.list("Cluster")
    assert [obj["metadata"]["name"] for obj in objects] == ["a", "b"]
    assert {(obj["kind"], obj["apiVersion"]) for obj in objects} == {("Cluster", "userclusters.io/v1alpha1")}
    assert version == "9"
    assert server.asked[1][1].endswith("continue=next/1")


async def test_a_list_whose_pages_expire_is_begun_again() -> None:
    expired = refusal(410, "Expired", "too old")
    async with served(page("old", more="x"), expired, page("a", more="x"), page("b")) as (api, _):
        objects, _version = await api.list("Cluster")
    assert [obj["metadata"]["name"] for obj in objects] == ["a", "b"]


async def test_a_list_that_expires_each_time_is_given_up() -> None:
    async with served(refusal(410, "Expired", "too old")) as (api, _):
        with pytest.raises(Unavailable, match="expires before it is read"):
            await api.list("Cluster")


async def test_a_failed_test_of_a_patch_is_a_conflict_and_a_broken_patch_is_not() -> None:
    unpatchable = refusal(422, "Invalid", "the server rejected our request due to an error in our request")
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": "1"}
    async with served(unpatchable) as (api, _):
        with pytest.raises(Conflict):
            await api.json_patch("Cluster", "team", "shop", [test])
        with pytest.raises(Invalid):
            await api.json_patch("Cluster", "team", "shop", [{"op": "remove", "path": "/x"}])


async def test_no_error_shows_the_token() -> None:
    async with served(refusal(401, "Unauthorized", "no")) as (api, server):
        with pytest.raises(KubeError) as caught:
            await api.get("Secret", "team", "shop")
        assert "sesame" not in repr(caught.value) + str(caught.value)
        assert "sesame" not in repr(await server.current())
