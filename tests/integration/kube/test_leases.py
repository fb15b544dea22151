from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vsphere_operator.kube.client import KubeApi
from vsphere_operator.kube.credentials import KubeconfigFile
from vsphere_operator.kube.leases import KubeLease
from vsphere_operator.runtime.leadership import Elector

from .conftest import until

pytestmark = pytest.mark.testbed


class Candidate:
    """What one process would have: its own connection, its own elector."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str) -> None:
        self.api = KubeApi(KubeconfigFile(kubeconfig))
        self.leads = False
        self.elector = Elector(
            KubeLease(self.api, namespace, "election"),
            name,
            on_started=self._start,
            on_stopped=self._stop,
            lease_duration=4.0,
            renew_deadline=2.0,
            retry_period=0.3,
        )
        self.task = asyncio.create_task(self.elector.run())

    async def _start(self) -> None:
        self.leads = True
        await asyncio.Event().wait()

    def _stop(self) -> None:
        self.leads = False

    async def leading(self) -> bool:
        return self.leads


async def test_a_stopped_leader_hands_over_and_a_killed_one_is_followed(
    api: KubeApi, namespace: str, kubeconfig: Path
) -> None:
    one = Candidate(kubeconfig, namespace, "one")
    await until(one.leading, "the first leads")
    two = Candidate(kubeconfig, namespace, "two")
    await asyncio.sleep(1.5)  # renewals go on meanwhile
    assert (one.leads, two.leads) == (True, False)

    one.elector.stop()
    assert await one.task is True
    await until(two.leading, "the second follows at once", seconds=2)
    spec = (await api.get("Lease", namespace, "election"))["spec"]
    assert (spec["holderIdentity"], spec["leaseTransitions"]) == ("two", 1)

    three = Candidate(kubeconfig, namespace, "three")
    two.task.cancel()
    await until(three.leading, "the third follows when the lease has run out", seconds=8)
    three.task.cancel()
    await asyncio.gather(two.task, three.task, return_exceptions=True)
    for candidate in (one, two, three):
        await candidate.api.close()


async def test_a_leader_whose_lease_is_taken_stops(api: KubeApi, namespace: str, kubeconfig: Path) -> None:
    one = Candidate(kubeconfig, namespace, "one")
    await until(one.leading, "the first leads")
    await api.merge_patch("Lease", namespace, "election", {"spec": {"holderIdentity": "thief"}})
    assert await asyncio.wait_for(one.task, 5) is False
    assert not one.leads
    spec = (await api.get("Lease", namespace, "election"))["spec"]
    assert spec["holderIdentity"] == "thief"
    await one.api.close()
