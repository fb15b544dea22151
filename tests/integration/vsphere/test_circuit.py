"""A vCenter that stops to answer is left alone and found again, and the others do not notice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, running_double
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import Executed, FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import Change, Datacenter
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session import automation, soap
from vsphere_operator.vsphere.session.breaker import FAILURES, NOT_SENT
from vsphere_operator.vsphere.vcenters import Connected, Unavailable, VCenter, VCenters

READ_SECONDS = 0.4


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "CONNECT_TIMEOUT", 2.0)
    monkeypatch.setattr(soap, "READ_TIMEOUT", READ_SECONDS)
    monkeypatch.setattr(soap, "PROBE_TIMEOUT", READ_SECONDS)
    monkeypatch.setattr(automation, "READ_TIMEOUT", READ_SECONDS)


class Place:
    """One vCenter double, our connection to it, and what was told of it."""

    def __init__(self, double: Double, process: subprocess.Popen[str], pool: VCenters) -> None:
        self.double = double
        self.process = process
        self.endpoint = Endpoint(double.url, double.ca_file.read_text())
        self.credentials = Credentials(double.username, double.password)
        self.vcenter = pool.get(self.endpoint, self.credentials)
        self._made = 0

    @property
    def folder(self) -> MoRef:
        (datacenter,) = self.vcenter.inventory.all(Datacenter)
        assert isinstance(datacenter, Datacenter)
        assert datacenter.vm_folder is not None
        return datacenter.vm_folder

    async def call(self) -> MoRef:
        self._made += 1
        return await self.vcenter.folders.create(self.folder, f"f{self._made}", op_id="test")

    async def fault(self) -> VSphereError:
        with pytest.raises(VSphereError) as caught:
            await self.call()
        return caught.value

    def hang(self) -> None:
        """The kernel still takes connections and bytes; nobody reads them."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def stops_to_answer(self) -> None:
        for _ in range(FAILURES):
            await self.fault()
        await becomes(lambda: isinstance(self.vcenter.state, Unavailable))


@pytest.fixture
def doubles(binary: Path, tmp_path: Path) -> Iterator[list[tuple[Double, subprocess.Popen[str]]]]:
    directories = [tmp_path / "one", tmp_path / "two"]
    for directory in directories:
        directory.mkdir()
    with running_double(binary, directories[0]) as one, running_double(binary, directories[1]) as two:
        yield [one, two]
        for _, process in (one, two):
            process.send_signal(signal.SIGCONT)


@pytest.fixture
def told() -> list[tuple[str, Change]]:
    return []


@pytest_asyncio.fixture
async def places(
    doubles: list[tuple[Double, subprocess.Popen[str]]], told: list[tuple[str, Change]]
) -> AsyncIterator[tuple[Place, Place]]:
    def note(vcenter: VCenter, changes: object) -> None:
        assert isinstance(changes, list)
        told.extend((vcenter.id.host, change) for change in changes)

    pool = VCenters(on_change=note, user_agent="vsphere-operator/test")
    one, two = (Place(double, process, pool) for double, process in doubles)
    await becomes(lambda: one.vcenter.ready and two.vcenter.ready)
    yield one, two
    for place in (one, two):
        place.go_on()
    await pool.close()


async def test_a_vcenter_that_hangs_is_soon_left_alone(places: tuple[Place, Place]) -> None:
    place, _ = places
    place.hang()
    faults = [await place.fault() for _ in range(FAILURES)]
    # The first was sent on a kept connection; the others got none, so that nothing can have happened.
    assert [f.fault.executed for f in faults] == [Executed.UNKNOWN, *[Executed.NO] * (FAILURES - 1)]
    await becomes(lambda: isinstance(place.vcenter.state, Unavailable))
    began = asyncio.get_running_loop().time()
    refused = [(await place.fault()).fault for _ in range(20)]
    assert asyncio.get_running_loop().time() - began < READ_SECONDS
    assert {f.kind for f in refused} == {NOT_SENT}
    assert {f.executed for f in refused} == {Executed.NO}
    assert {f.fault_class for f in refused} == {FaultClass.UNREACHABLE}
    assert isinstance(place.vcenter.state, Unavailable)
    assert place.vcenter.state.fault.reason == "TimedOut"


async def test_it_is_found_again_by_one_question_at_a_time(
    places: tuple[Place, Place], told: list[tuple[str, Change]]
) -> None:
    place, _ = places
    place.hang()
    await place.stops_to_answer()
    before = [await place.fault() for _ in range(5)]
    assert {f.fault.kind for f in before} == {NOT_SENT}
    told.clear()
    place.go_on()
    await becomes(lambda: isinstance(place.vcenter.state, Connected))
    assert any(change.kind == "state" for _, change in told)
    await becomes(lambda: place.vcenter.ready)
    await place.call()
    created = place.double.calls(method="CreateFolder")
    assert len(created) <= FAILURES + 1


@pytest.mark.parametrize("meanwhile", ["refuse", "503"])
async def test_a_vcenter_that_restarts_is_found_again_without_waiting_for_the_longest_pause(
    places: tuple[Place, Place], meanwhile: str
) -> None:
    place, _ = places
    before = await place.call()
    place.double.control("/restart", {"downMs": 1500, "while": meanwhile})
    await becomes(lambda: isinstance(place.vcenter.state, Unavailable))
    await becomes(lambda: place.vcenter.ready, seconds=15)
    assert place.vcenter.inventory.get(before) is not None
    await place.call()


async def test_a_slow_vcenter_that_answers_is_not_left_alone(places: tuple[Place, Place]) -> None:
    place, _ = places
    place.double.control("/latency", {"ms": int(READ_SECONDS * 700), "methods": {"WaitForUpdatesEx": 0}})
    for _ in range(FAILURES + 2):
        await place.call()
    assert isinstance(place.vcenter.state, Connected)


async def test_another_vcenter_does_not_notice(places: tuple[Place, Place]) -> None:
    broken, sound = places

    async def duration(calls: int = 20) -> float:
        began = asyncio.get_running_loop().time()
        for _ in range(calls):
            await sound.call()
        return (asyncio.get_running_loop().time() - began) / calls

    alone = await duration()
    broken.hang()
    hung = [asyncio.create_task(broken.fault()) for _ in range(12)]
    beside_a_hung_one = await duration()
    await asyncio.gather(*hung)
    await becomes(lambda: isinstance(broken.vcenter.state, Unavailable))
    beside_an_open_circuit = await duration()
    assert isinstance(sound.vcenter.state, Connected)
    assert max(beside_a_hung_one, beside_an_open_circuit) - alone < 0.1
    assert len(sound.double.calls(method="CreateFolder")) == 60


async def test_login_checks_of_a_hung_vcenter_delay_no_others(
    doubles: list[tuple[Double, subprocess.Popen[str]]],
) -> None:
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test")
    (one, process), (two, _) = doubles
    process.send_signal(signal.SIGSTOP)
    hung = Endpoint(one.url, one.ca_file.read_text())
    waiting = [asyncio.create_task(pool.check_login(hung, Credentials(f"user-{n}", "x"))) for n in range(20)]
    await asyncio.sleep(0)
    sound = Endpoint(two.url, two.ca_file.read_text())
    assert await pool.check_login(sound, Credentials(two.username, two.password)) is None
    assert not any(task.done() for task in waiting)
    faults = await asyncio.gather(*waiting)
    assert {f.fault_class for f in faults if f is not None} == {FaultClass.UNREACHABLE}
    process.send_signal(signal.SIGCONT)
    await pool.close()


async def test_the_automation_api_alone_may_be_down(places: tuple[Place, Place]) -> None:
    place, _ = places
    tags = place.vcenter.tags
    down = {"method": "com.vmware.cis.tagging.category.list", "fault": "service_unavailable", "count": 99}
    place.double.control("/faults", down)
    for n in range(FAILURES):
        await tags.category(f"x{n}", op_id="test")
    answered = len(place.double.calls(method="com.vmware.cis.tagging.category.list"))
    for n in range(10):
        await tags.category(f"y{n}", op_id="test")
    assert len(place.double.calls(method="com.vmware.cis.tagging.category.list")) == answered
    assert isinstance(place.vcenter.state, Connected)
    await place.call()
    place.double.control("/faults", method="DELETE")

    async def resolved() -> bool:
        return getattr(await tags.category("z", op_id="test"), "fault", None) is None

    deadline = asyncio.get_running_loop().time() + 10
    while not await resolved():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
