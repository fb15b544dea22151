"""A refused password is tried once, then rarely."""

from __future__ import annotations

import pytest

from vsphere_operator.vsphere.endpoint import Credentials, Endpoint
from vsphere_operator.vsphere.faults import (
    REJECTED_LOGIN_PAUSE,
    FaultClass,
    VSphereError,
    from_transport,
    from_vim,
)
from vsphere_operator.vsphere.session.gate import LoginGate
from vsphere_operator.vsphere.vmomi import vim

VC, USER = Endpoint("https://vc"), Credentials("user", "wrong")


class VCenter:
    def __init__(self, error: VSphereError | None = None) -> None:
        self.error = error
        self.logins = 0

    def login(self) -> str:
        self.logins += 1
        if self.error is not None:
            raise self.error
        return "session"


def refused() -> VSphereError:
    return VSphereError(from_vim(vim.fault.InvalidLogin()))


def test_a_refused_password_is_not_tried_again_within_15_minutes() -> None:
    now = [0.0]
    gate, vcenter = LoginGate(clock=lambda: now[0]), VCenter(refused())
    for second in (0, 1, 60, 899):
        now[0] = second
        with pytest.raises(VSphereError) as caught:
            gate.attempt(VC, USER, vcenter.login)
        assert caught.value.fault.fault_class is FaultClass.CREDENTIALS
    assert vcenter.logins == 1
    assert caught.value.fault.retry_after == pytest.approx(1)
    now[0] = 901
    vcenter.error = None
    assert gate.attempt(VC, USER, vcenter.login) == "session"


def test_other_credentials_and_other_vcenters_are_tried_at_once() -> None:
    gate, vcenter = LoginGate(), VCenter(refused())
    for endpoint, user in ((VC, USER), (VC, Credentials("user", "right")), (Endpoint("https://vc2"), USER)):
        with pytest.raises(VSphereError):
            gate.attempt(endpoint, user, vcenter.login)
    assert vcenter.logins == 3


def test_a_vcenter_that_did_not_answer_is_tried_again() -> None:
    gate = LoginGate()
    vcenter = VCenter(VSphereError(from_transport(ConnectionRefusedError(), where="vc")))
    for _ in range(2):
        with pytest.raises(VSphereError):
            gate.attempt(VC, USER, vcenter.login)
    assert vcenter.logins == 2


def test_refusals_of_the_past_take_no_room() -> None:
    now = [0.0]
    gate = LoginGate(lambda: now[0])
    for password in ("old", "older"):
        with pytest.raises(VSphereError):
            gate.attempt(VC, Credentials("u", password), VCenter(refused()).login)
    assert len(gate._doors) == 2
    now[0] += REJECTED_LOGIN_PAUSE + 1
    gate.attempt(VC, Credentials("u", "new"), VCenter().login)
    assert not gate._doors
