"""Logging in, staying in, logging out."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import becomes, sessions
from vsphere_operator.vsphere import calls
from vsphere_operator.vsphere.answers import Absent
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.inventory import Change, Datacenter
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session import soap
from vsphere_operator.vsphere.vcenters import Connected, Unavailable, VCenter, VCenters


async def unavailable(vcenter: VCenter) -> Unavailable:
    found = await becomes(lambda: vcenter.state if isinstance(vcenter.state, Unavailable) else None)
    assert isinstance(found, Unavailable)
    return found


async def test_a_connection_tells_which_vcenter_it_is(vcenter: VCenter, changes: list[Change]) -> None:
    assert isinstance(vcenter.state, Connected)
    assert vcenter.state.api_type == "VirtualCenter"
    assert vcenter.instance_uuid == vcenter.state.instance_uuid
    assert Change("state") in changes


async def test_asking_twice_gives_the_same_connection(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials
) -> None:
    again = Endpoint(endpoint.url, endpoint.ca_bundle)
    assert pool.get(endpoint, credentials) is pool.get(
        again, Credentials(credentials.username, credentials.password)
    )


async def test_a_wrong_password_is_tried_once(pool: VCenters, double: Double, endpoint: Endpoint) -> None:
    wrong = Credentials(double.username, "s3cret-but-wrong")
    state = await unavailable(pool.get(endpoint, wrong))
    assert state.fault.fault_class is FaultClass.CREDENTIALS
    assert "s3cret" not in state.fault.message
    with pytest.raises(VSphereError) as caught:
        await pool.get(endpoint, wrong).tags.create_tag("c", "n", "d", op_id="test")
    assert caught.value.fault.fault_class is FaultClass.CREDENTIALS
    checked = await pool.check_login(endpoint, wrong)
    assert checked is not None
    assert checked.fault_class is FaultClass.CREDENTIALS
    logins = [c for c in double.calls() if c["method"] in ("Login", "com.vmware.cis.session.create")]
    assert len(logins) == 1


async def test_an_unknown_authority_is_not_trusted(
    pool: VCenters, double: Double, credentials: Credentials
) -> None:
    state = await unavailable(pool.get(Endpoint(double.url), credentials))
    assert state.fault.fault_class is FaultClass.UNTRUSTED
    assert "caBundleRef" in state.fault.message
    assert double.calls() == []


async def test_another_authoritys_bundle_is_not_trusted(
    pool: VCenters, double: Double, credentials: Credentials, tmp_path: Path
) -> None:
    other = tmp_path / "other.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-days", "1",
               "-keyout", str(tmp_path / "other.key"), "-out", str(other)]  # fmt: skip
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    state = await unavailable(pool.get(Endpoint(double.url, other.read_text()), credentials))
    assert state.fault.fault_class is FaultClass.UNTRUSTED


async def test_the_automation_api_is_verified_too(
    pool: VCenters, double: Double, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the environment nor requests' own list of authorities may decide.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(double.ca_file))
    answer = await pool.get(Endpoint(double.url), credentials).tags.category("x", op_id="test")
    fault = getattr(answer, "fault", None)
    assert fault is not None
    assert fault.fault_class is FaultClass.UNTRUSTED


async def test_no_proxy_of_the_environment_hears_of_the_automation_api(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert isinstance(await pool.get(endpoint, credentials).tags.category("x", op_id="test"), Absent)


async def test_insecure_has_to_be_asked_for(pool: VCenters, double: Double, credentials: Credentials) -> None:
    vcenter = pool.get(Endpoint(double.url, allow_insecure=True), credentials)
    await becomes(lambda: vcenter.ready)
    await vcenter.tags.category("x", op_id="test")


@pytest.mark.parametrize(
    ("url", "reason"),
    [("https://127.0.0.1:1", "ConnectionRefused"), ("https://no-such-host.invalid", "NameNotResolved")],
)
async def test_an_unreachable_vcenter_says_why(pool: VCenters, url: str, reason: str) -> None:
    state = await unavailable(pool.get(Endpoint(url), Credentials("u", "p")))
    assert (state.fault.fault_class, state.fault.reason) == (FaultClass.UNREACHABLE, reason)


async def test_a_vcenter_that_says_nothing_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)
        writer.close()

    monkeypatch.setattr(soap, "CONNECT_TIMEOUT", 0.3)
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test")
    vcenter = pool.get(Endpoint(f"https://127.0.0.1:{port}"), Credentials("u", "p"))
    began = asyncio.get_running_loop().time()
    state = await unavailable(vcenter)
    await pool.close()
    assert (state.fault.fault_class, state.fault.reason) == (FaultClass.UNREACHABLE, "TimedOut")
    assert asyncio.get_running_loop().time() - began < 5
    server.close()


async def test_a_call_that_hangs_does_not_hold_up_the_end(
    endpoint: Endpoint, credentials: Credentials, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_PATIENCE", 0.3)
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test")
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready)
    double.control("/latency", {"ms": 0, "methods": {"CreateFolder": 30_000}})
    running = asyncio.create_task(vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test"))
    await becomes(lambda: double.calls(method="CreateFolder"))
    began = asyncio.get_running_loop().time()
    await pool.close()
    assert asyncio.get_running_loop().time() - began < 5
    with pytest.raises(VSphereError) as caught:
        await running
    assert caught.value.fault.fault_class is FaultClass.UNREACHABLE


async def test_two_sessions_do_all_the_work_and_none_is_left(
    endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test")
    try:
        vcenter = pool.get(endpoint, credentials)
        await becomes(lambda: vcenter.ready)
        folder = _vm_folder(vcenter)
        for n in range(30):
            made = await vcenter.folders.create(folder, f"f{n}", op_id="test")
            await vcenter.tags.category(f"c{n}", op_id="test")
            await vcenter.folders.exists_fresh(made, op_id="test")
        assert len(sessions(double)) == 2
    finally:
        await pool.close()
    assert sessions(double) == []


async def test_a_login_check_leaves_no_session_and_is_remembered(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    checks = await asyncio.gather(*(pool.check_login(endpoint, credentials) for _ in range(5)))
    assert checks == [None] * 5
    assert sessions(double) == []
    assert len(double.calls(method="Login")) == 1


async def test_rotated_credentials_end_the_old_session(
    pool: VCenters, endpoint: Endpoint, vcenter: VCenter, double: Double
) -> None:
    from tests.integration.vsphere.conftest import OUTSIDER

    successor = pool.get(endpoint, Credentials(*OUTSIDER))
    running = asyncio.create_task(vcenter.folders.create(_vm_folder(vcenter), "in-flight", op_id="test"))
    await asyncio.sleep(0)
    pool.retain({successor.id})
    assert (await running).startswith("Folder:")
    await becomes(lambda: sessions(double) == [])
    await becomes(lambda: successor.ready)
    with pytest.raises(VSphereError) as caught:
        await vcenter.folders.create(_vm_folder(vcenter), "too-late", op_id="test")
    assert caught.value.fault.reason == "SessionClosed"


async def test_credentials_that_come_back_keep_their_session(
    changes: list[Change], endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    pool = VCenters(on_change=lambda _, told: changes.extend(told), user_agent="vsphere-operator/test")
    try:
        vcenter = pool.get(endpoint, credentials)
        await becomes(lambda: vcenter.ready)
        pool.retain(set())
        changes.clear()
        assert pool.get(endpoint, credentials) is vcenter
        await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test")
        await becomes(lambda: {"state", "entered"} <= {c.kind for c in changes})
        assert len(double.calls(method="Login")) == 1
    finally:
        await pool.close()
    assert sessions(double) == []


async def test_a_lost_session_is_renewed_and_the_call_done_once(vcenter: VCenter, double: Double) -> None:
    double.control("/faults", {"method": "CreateFolder", "fault": "NotAuthenticated", "count": 1})
    made = await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test")
    assert made.startswith("Folder:")
    assert len(double.calls(method="CreateFolder")) == 2
    assert len(double.calls(method="Login")) == 2


async def test_a_change_without_an_answer_is_not_repeated(vcenter: VCenter, double: Double) -> None:
    double.control("/faults", {"method": "CreateFolder", "fault": "503", "count": 1})
    with pytest.raises(VSphereError) as caught:
        await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test")
    assert caught.value.fault.fault_class is FaultClass.UNREACHABLE
    assert "not known" in caught.value.fault.message
    assert len(double.calls(method="CreateFolder")) == 1


async def test_a_cancelled_change_is_carried_to_its_end(vcenter: VCenter, double: Double) -> None:
    double.control("/latency", {"ms": 0, "methods": {"CreateFolder": 300}})
    made: list[MoRef] = []

    async def create() -> None:
        made.append(await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test"))
        await asyncio.sleep(60)

    task = asyncio.create_task(create())
    await becomes(lambda: double.calls(method="CreateFolder"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(made) == 1


async def test_calls_name_the_operator_and_the_object(vcenter: VCenter, double: Double) -> None:
    await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="team-shop/workers-1")
    await vcenter.tags.category("x", op_id="team-shop/workers-2")
    (call,) = double.calls(opID="team-shop/workers-1")
    assert (call["method"], call["userAgent"]) == ("CreateFolder", "vsphere-operator/test")
    assert {c["method"] for c in double.calls(opID="team-shop/workers-2")} >= {
        "com.vmware.cis.tagging.category.list"
    }
    own = {c.get("opID") for c in double.calls()} - {"team-shop/workers-1", "team-shop/workers-2"}
    assert all(op_id is None or op_id.startswith("userclusters") for op_id in own)


def _vm_folder(vcenter: VCenter) -> MoRef:
    (datacenter,) = vcenter.inventory.all(Datacenter)
    assert isinstance(datacenter, Datacenter)
    assert datacenter.vm_folder is not None
    return datacenter.vm_folder


class Durations:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def observe_call(self, *, vcenter: str, api: str, outcome: str, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((vcenter, api, outcome))


async def test_every_call_is_counted_with_its_outcome(endpoint: Endpoint, credentials: Credentials) -> None:
    metrics = Durations()
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test", metrics=metrics)
    try:
        vcenter = pool.get(endpoint, credentials)
        await becomes(lambda: vcenter.ready)
        await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test")
        with pytest.raises(VSphereError):
            await vcenter.folders.create(_vm_folder(vcenter), "x", op_id="test")
        await vcenter.tags.category("x", op_id="test")
        await vcenter.files.size_fresh("[LocalDS_0] x/y.iso", datacenter="DC0", op_id="test")
    finally:
        await pool.close()
    assert metrics.seen == [
        ("127.0.0.1", "soap", "ok"),
        ("127.0.0.1", "soap", "NameTaken"),
        ("127.0.0.1", "automation", "ok"),
        ("127.0.0.1", "files", "FileNotFound"),
    ]
