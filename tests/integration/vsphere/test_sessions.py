"""Logging in, staying in, logging out."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed.harness import VCenter as Double
from tests.integration.vsphere.conftest import OUTSIDER, becomes, ended, sessions
from tests.integration.vsphere.test_machines import Site
from vsphere_operator.controllers.sessions import SessionUse
from vsphere_operator.observability.metrics import Metrics
from vsphere_operator.runtime.keys import Key, working_on
from vsphere_operator.vsphere import calls
from vsphere_operator.vsphere.answers import Absent
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import FaultClass, VSphereError
from vsphere_operator.vsphere.files.transfer import Reply
from vsphere_operator.vsphere.inventory import Change, Datacenter
from vsphere_operator.vsphere.metrics import NoMetrics
from vsphere_operator.vsphere.morefs import MoRef
from vsphere_operator.vsphere.session import soap
from vsphere_operator.vsphere.session.automation import Automation
from vsphere_operator.vsphere.session.gate import LoginGate
from vsphere_operator.vsphere.session.soap import SoapSession
from vsphere_operator.vsphere.tasks import Succeeded
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
    (call,) = double.calls(opID="userclusters-team-shop/workers-1")
    assert (call["method"], call["userAgent"]) == ("CreateFolder", "vsphere-operator/test")
    assert {c["method"] for c in double.calls(opID="userclusters-team-shop/workers-2")} >= {
        "com.vmware.cis.tagging.category.list"
    }


async def test_no_call_of_a_session_s_life_is_anonymous(
    endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test")
    try:
        vcenter = pool.get(endpoint, credentials)
        await becomes(lambda: vcenter.ready)
        await vcenter.tags.category("x", op_id="a/b")
        await vcenter.files.size_fresh("[LocalDS_0] x/y.iso", datacenter="DC0", op_id="a/b")
        await pool.check_login(endpoint, Credentials(*OUTSIDER))
        # A watch that begins anew gives back what the old one held, and goes on under its name.
        fault = {"method": "WaitForUpdatesEx", "fault": "NotAuthenticated", "count": 1}
        double.control("/faults", fault)
        await vcenter.folders.create(_vm_folder(vcenter), "y", op_id="a/b")
        await becomes(lambda: len(double.calls(method="CreateContainerView")) == 2)
        await becomes(lambda: vcenter.ready)
    finally:
        await pool.close()
    calls = double.calls()
    assert {"Login", "Logout", "WaitForUpdatesEx", "HEAD"} <= {c["method"] for c in calls}
    assert [c for c in calls if not c["userAgent"].startswith("vsphere-operator/test")] == []
    # The double logs no opID of file requests.
    named = [c for c in calls if c["protocol"] != "http"]
    assert [c for c in named if not c.get("opID", "").startswith("userclusters-")] == []


async def test_a_thousand_clusters_share_two_sessions(
    pool: VCenters, endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    use = SessionUse(pool)

    async def cluster(n: int) -> None:
        key = Key("Cluster", "team", f"shop-{n}")
        token = working_on.set(key)
        own = Credentials(credentials.username, credentials.password)
        vcenter = use.get(Endpoint(endpoint.url, endpoint.ca_bundle), own)
        assert isinstance(await vcenter.tags.category("x", op_id=f"team-shop-{n}"), Absent)
        use.settle(key)
        working_on.reset(token)

    await asyncio.gather(*(cluster(n) for n in range(1000)))
    assert len(sessions(double)) == 2
    assert len(double.calls(method="Login")) == 1
    assert len(double.calls(method="com.vmware.cis.session.create")) == 1


def test_a_password_that_the_automation_api_refuses_is_not_tried_again(
    endpoint: Endpoint, double: Double
) -> None:
    wrong = Credentials(double.username, "s3cret-but-wrong")
    now = [0.0]
    gate = LoginGate(clock=lambda: now[0])
    automation = Automation(endpoint, wrong, user_agent="vsphere-operator/test", gate=gate)
    session = SoapSession(endpoint, wrong, user_agent="vsphere-operator/test", gate=gate)
    for now[0] in (0.0, 1.0, 899.0):
        with pytest.raises(VSphereError) as caught:
            automation.call(lambda _: None, op_id="test", mutating=False)
        assert caught.value.fault.fault_class is FaultClass.CREDENTIALS
        assert caught.value.fault.reason == "InvalidLogin"
        with pytest.raises(VSphereError):
            session.open()
    assert len(double.calls(method="com.vmware.cis.session.create")) == 1
    assert double.calls(method="Login") == []
    now[0] = 901.0
    with pytest.raises(VSphereError):
        session.open()
    assert len(double.calls(method="Login")) == 1


async def test_a_session_that_an_administrator_ends_costs_one_login(
    vcenter: VCenter, double: Double, outsider: Any
) -> None:
    manager = outsider.content.sessionManager
    (ours,) = [s.key for s in manager.sessionList if s.userName != OUTSIDER[0]]
    manager.TerminateSession([ours])
    folder = _vm_folder(vcenter)
    made = await asyncio.gather(*(vcenter.folders.create(folder, f"f{n}", op_id="test") for n in range(4)))
    assert len(set(made)) == 4
    await becomes(lambda: len(double.calls(method="CreateContainerView")) == 2)
    await becomes(lambda: vcenter.ready)
    assert len(double.calls(method="Login", user=double.username)) == 2
    assert len(sessions(double)) == 1


async def test_an_upload_finds_its_session_ended_and_is_done_once_more(
    vcenter: VCenter, double: Double, outsider: Any
) -> None:
    manager = outsider.content.sessionManager
    (ours,) = [s.key for s in manager.sessionList if s.userName != OUTSIDER[0]]
    manager.TerminateSession([ours])
    found = await vcenter.files.size_fresh("[LocalDS_0] x/y.iso", datacenter="DC0", op_id="test")
    assert isinstance(found, Absent)
    assert len(double.calls(method="Login", user=double.username)) == 2


async def test_a_file_that_may_not_be_touched_costs_no_login(
    vcenter: VCenter, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vcenter.files, "_once", lambda *_: Reply(401, 0))
    with pytest.raises(VSphereError) as caught:
        await vcenter.files.upload("DC0", "LocalDS_0", "x/y.iso", b"x", op_id="test")
    assert caught.value.fault.fault_class is FaultClass.PERMISSION
    assert len(double.calls(method="Login")) == 1


@pytest.mark.parametrize("flags", [("-clone-ms=1500",)])
async def test_a_rotation_fails_nothing_that_is_under_way(
    endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test", retire_seconds=1.0)
    try:
        old = pool.get(endpoint, credentials)
        await becomes(lambda: old.ready)
        task = await old.vms.clone(await Site(old).request("rotated-1"), op_id="test")
        double.control("/latency", {"ms": 0, "methods": {"CreateFolder": 500}})
        running = asyncio.create_task(old.folders.create(_vm_folder(old), "in-flight", op_id="test"))
        await becomes(lambda: double.calls(method="CreateFolder"))
        new = pool.get(endpoint, Credentials(*OUTSIDER))
        pool.retain({new.id})
        new.tasks.follow(task)
        assert isinstance(await ended(new, task), Succeeded)
        made = await running
        await becomes(lambda: new.ready and new.inventory.get(made) is not None)
        await becomes(lambda: sessions(double) == [])  # what is left is the new user's
    finally:
        await pool.close()
    assert len(double.calls(method="CloneVM_Task")) == 1
    assert len(double.calls(method="CreateFolder")) == 1


async def test_logins_sessions_and_insecure_connections_are_counted(
    endpoint: Endpoint, credentials: Credentials, double: Double
) -> None:
    metrics = Metrics()
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test", metrics=metrics)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"vcenter": "127.0.0.1", **labels})

    try:
        vcenter = pool.get(Endpoint(endpoint.url, allow_insecure=True), credentials)
        await becomes(lambda: vcenter.ready)
        await vcenter.tags.category("x", op_id="test")
        await unavailable(pool.get(endpoint, Credentials(double.username, "wrong")))
        assert value("vcenter_logins_total", api="soap", outcome="ok") == 1
        assert value("vcenter_logins_total", api="automation", outcome="ok") == 1
        assert value("vcenter_logins_total", api="soap", outcome="InvalidLogin") == 1
        assert value("vcenter_sessions", api="soap") == 1
        assert value("vcenter_sessions", api="automation") == 1
        assert value("vcenter_insecure") == 1
        assert value("vcenter_circuit_state", api="soap") == 0
        unauthenticated = {
            "method": "com.vmware.cis.tagging.category.list",
            "fault": "unauthenticated",
            "count": 1,
        }
        double.control("/faults", unauthenticated)
        await vcenter.tags.category("y", op_id="test")
        assert value("vcenter_logins_total", api="automation", outcome="ok") == 2
        assert value("vcenter_sessions", api="automation") == 1
    finally:
        await pool.close()
    assert value("vcenter_sessions", api="soap") == 0
    assert value("vcenter_sessions", api="automation") == 0


def _vm_folder(vcenter: VCenter) -> MoRef:
    (datacenter,) = vcenter.inventory.all(Datacenter)
    assert isinstance(datacenter, Datacenter)
    assert datacenter.vm_folder is not None
    return datacenter.vm_folder


class Durations(NoMetrics):
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


async def test_a_new_login_that_hangs_does_not_hold_up_the_end(
    endpoint: Endpoint, credentials: Credentials, double: Double, outsider: Any
) -> None:
    pool = VCenters(on_change=lambda _, __: None, user_agent="vsphere-operator/test")
    vcenter = pool.get(endpoint, credentials)
    await becomes(lambda: vcenter.ready)
    double.control("/latency", {"ms": 0, "methods": {"Login": 40_000}})
    manager = outsider.content.sessionManager
    manager.TerminateSession([s.key for s in manager.sessionList if s.userName != OUTSIDER[0]])
    await becomes(lambda: len(double.calls(method="Login", user=double.username)) == 2, seconds=40)
    began = asyncio.get_running_loop().time()
    await pool.close()
    assert asyncio.get_running_loop().time() - began < 20
