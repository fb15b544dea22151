"""Who uses which vCenter session, and when nobody does any more."""

from typing import Any

from vsphere_operator.controllers.sessions import SessionUse, Tracked
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key, working_on
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint

ENDPOINT = Endpoint(url="https://vcenter.example.com", ca_bundle=None, allow_insecure=False)
LOGIN = Credentials(username="infra", password="secret")
KEY = Key("Cluster", "team", "shop")


class Pool:
    """Remembers what it was told to keep."""

    def __init__(self) -> None:
        self.kept: list[set[Any]] = []

    def get(self, endpoint: Endpoint, credentials: Credentials) -> Any:
        return type("VCenter", (), {"id": (endpoint.url, credentials.username)})()

    async def check_login(self, endpoint: Endpoint, credentials: Credentials) -> None:
        return None

    def retain(self, in_use: set[Any]) -> None:
        self.kept.append(in_use)


class Controller:
    """Asks for the session, then sees its object go."""

    kind = "Cluster"

    def __init__(self, use: SessionUse, *, goes: bool) -> None:
        self._use, self._goes = use, goes

    async def reconcile(self, key: Key) -> Result:
        self._use.get(ENDPOINT, LOGIN)
        if self._goes:
            self._use.forget(key)
        return Result()


async def reconcile(use: SessionUse, key: Key, *, goes: bool = False) -> None:
    """As the engine does it."""
    token = working_on.set(key)
    try:
        await Tracked(Controller(use, goes=goes), use).reconcile(key)
    finally:
        working_on.reset(token)


async def test_an_object_that_goes_while_it_is_reconciled_holds_no_session() -> None:
    pool = Pool()
    use = SessionUse(pool)
    await reconcile(use, KEY)
    assert pool.kept == []
    await reconcile(use, KEY, goes=True)
    assert pool.kept[-1] == set()
    other = Key("Seed", "", "other")
    await reconcile(use, other)
    use.forget(other)
    assert pool.kept[-1] == set()
