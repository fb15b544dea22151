"""Who uses which vCenter session, and when nobody does any more."""

from typing import Any

import pytest

from vsphere_operator.controllers.sessions import SessionUse, Tracked
from vsphere_operator.runtime.engine import Result
from vsphere_operator.runtime.keys import Key, working_on
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint

ENDPOINT = Endpoint(url="https://vcenter.example.com", ca_bundle=None, allow_insecure=False)
INFRA, ROTATED, OTHER = Credentials("infra", "old"), Credentials("infra", "new"), Credentials("shop", "x")
SHOP, MILL, SEED = Key("Cluster", "team", "shop"), Key("Cluster", "team", "mill"), Key("Seed", "", "europe")


class Pool:
    """Remembers what it was told to keep."""

    def __init__(self) -> None:
        self.kept: list[set[Any]] = []

    def get(self, endpoint: Endpoint, credentials: Credentials) -> Any:
        return type("VCenter", (), {"id": credentials})()

    def scope(self, authority: str, datacenters: frozenset[str]) -> None:
        pass

    async def check_login(self, endpoint: Endpoint, credentials: Credentials) -> None:
        return None

    def retain(self, in_use: set[Any]) -> None:
        self.kept.append(in_use)


class World:
    def __init__(self) -> None:
        self.pool = Pool()
        self.use = SessionUse(self.pool)

    @property
    def kept(self) -> list[set[Any]]:
        return self.pool.kept

    async def reconcile(
        self, key: Key, *users: Credentials, goes: bool = False, fails: Exception | None = None
    ) -> None:
        """As the engine does it: the controller asks for these users' sessions."""
        use = self.use

        class Controller:
            kind = key.kind

            async def reconcile(self, key: Key) -> Result:
                for user in users:
                    use.get(ENDPOINT, user)
                if goes:
                    use.forget(key)
                if fails is not None:
                    raise fails
                return Result()

        token = working_on.set(key)
        try:
            await Tracked(Controller(), self.use).reconcile(key)
        finally:
            working_on.reset(token)


@pytest.fixture
def world() -> World:
    return World()


async def test_while_nothing_changes_nothing_is_let_go(world: World) -> None:
    for _ in range(3):
        await world.reconcile(SHOP, INFRA)
        await world.reconcile(MILL, INFRA, OTHER)
    assert world.kept == []


async def test_a_rotated_secret_lets_the_old_session_go(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    await world.reconcile(SHOP, ROTATED)
    assert world.kept == [{ROTATED}]


async def test_a_session_that_another_cluster_still_uses_stays(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    await world.reconcile(MILL, INFRA)
    await world.reconcile(SHOP, ROTATED)
    assert world.kept[-1] == {INFRA, ROTATED}
    await world.reconcile(MILL, ROTATED)
    assert world.kept[-1] == {ROTATED}


async def test_clusters_of_different_users_keep_a_session_each(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    await world.reconcile(MILL, OTHER)
    await world.reconcile(SEED, INFRA)
    await world.reconcile(SHOP, ROTATED)
    assert world.kept[-1] == {INFRA, OTHER, ROTATED}


async def test_the_session_of_a_deleted_object_goes(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    await world.reconcile(MILL, OTHER)
    world.use.forget(SHOP)
    assert world.kept == [{OTHER}]
    world.use.forget(SHOP)
    assert world.kept == [{OTHER}]


async def test_a_paused_object_keeps_what_it_used(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    await world.reconcile(SHOP)
    await world.reconcile(MILL, OTHER)
    await world.reconcile(MILL, ROTATED)
    assert world.kept[-1] == {INFRA, ROTATED}


async def test_a_reconcile_that_fails_counts_as_well(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    with pytest.raises(RuntimeError):
        await world.reconcile(SHOP, ROTATED, fails=RuntimeError())
    assert world.kept == [{ROTATED}]


async def test_what_a_running_reconcile_has_asked_for_is_in_use(world: World) -> None:
    await world.reconcile(MILL, INFRA)
    token = working_on.set(SHOP)
    world.use.get(ENDPOINT, OTHER)
    working_on.reset(token)
    await world.reconcile(MILL, ROTATED)
    assert world.kept == [{OTHER, ROTATED}]


async def test_a_look_outside_of_a_reconcile_keeps_nothing(world: World) -> None:
    world.use.get(ENDPOINT, OTHER)
    await world.reconcile(SHOP, INFRA)
    world.use.forget(SHOP)
    assert world.kept == [set()]


async def test_an_object_that_goes_while_it_is_reconciled_holds_no_session(world: World) -> None:
    await world.reconcile(SHOP, INFRA)
    assert world.kept == []
    await world.reconcile(SHOP, INFRA, goes=True)
    assert world.kept[-1] == set()
    await world.reconcile(SEED, INFRA)
    world.use.forget(SEED)
    assert world.kept[-1] == set()
