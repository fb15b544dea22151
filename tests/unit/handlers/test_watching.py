from __future__ import annotations

from itertools import islice

from vsphere_operator.handlers.watching import Backoffs, _settings


def test_kopf_never_gives_up_reaching_the_api() -> None:
    backoffs = Backoffs()
    pauses = list(islice(backoffs, 500))
    assert all(0.5 <= pause <= 30 for pause in pauses)
    assert pauses[0] <= 1
    assert next(iter(backoffs)) <= 1, "each outage begins with a short pause"


def test_kopf_writes_nothing_and_obeys_no_peer() -> None:
    settings = _settings()
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled
    assert settings.process.ultimate_exiting_timeout is None
