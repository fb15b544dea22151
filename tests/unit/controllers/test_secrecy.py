"""No password and no bootstrap data reaches a status, an event, a log line or an exception, whatever goes wrong."""

from __future__ import annotations

import json
import logging

import pytest

from tests.unit.controllers.fakes import samples
from tests.unit.controllers.fakes.samples import BOOTSTRAP, NAMESPACE, PASSWORD
from tests.unit.controllers.fakes.site import Site
from tests.unit.controllers.fakes.vcenter import fault
from vsphere_operator.vsphere.faults import FaultClass

BROKEN = {
    "no cloud-config": f"{BOOTSTRAP}",
    "broken YAML": f"#cloud-config\na: [{BOOTSTRAP}",
    "no mapping": f"#cloud-config\n- {BOOTSTRAP}\n",
    "broken JSON": '{"ignition": {"version": "3.3.0"}, "x": "' + BOOTSTRAP,
}


def _everything(site: Site, caplog: pytest.LogCaptureFixture) -> str:
    return json.dumps(site.api.written) + str(site.events()) + caplog.text


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
@pytest.mark.parametrize("call", ["clone", "upload", "attach iso", "power on"])
async def test_nothing_secret_is_written_when_calls_fail(
    site: Site, caplog: pytest.LogCaptureFixture, call: str, system: str
) -> None:
    caplog.set_level(logging.DEBUG)
    site.world.refuse[call] = [fault(FaultClass.TERMINAL)]
    await site.with_machine(operating_system=system)
    await site.run(patience=600)
    assert site.is_ready("Machine", "worker-1")
    assert PASSWORD not in _everything(site, caplog)
    assert BOOTSTRAP not in _everything(site, caplog)


@pytest.mark.parametrize("system", ["ubuntu", "flatcar"])
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_nothing_of_broken_bootstrap_data_is_shown(
    site: Site, caplog: pytest.LogCaptureFixture, data: str, system: str
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("boot", "boot-flatcar"):
        site.api.secret(NAMESPACE, name, value=data)
    await site.with_machine(operating_system=system)
    assert not site.is_ready("Machine", "worker-1")
    assert f"{NAMESPACE}/boot" in site.condition("Machine", "worker-1")["message"]
    assert BOOTSTRAP not in _everything(site, caplog)


async def test_the_objects_on_the_way_show_no_secret(site: Site) -> None:
    await site.with_machine()
    ((endpoint, credentials), *_) = site.process.vcenters.asked
    assert credentials.password == PASSWORD
    assert PASSWORD not in f"{endpoint!r} {credentials!r} {site.process.vcenters!r}"
    assert samples.PASSWORD
