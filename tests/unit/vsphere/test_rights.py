"""Whether a right on the root folder holds for all below it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from vsphere_operator.vsphere.rights import propagates


@dataclass
class Permission:
    principal: str
    propagate: bool
    group: bool = False


ADMINS = Permission("VSPHERE.LOCAL\\Administrators", True, group=True)
OURS, OURS_ALONE = Permission("infra@vsphere.local", True), Permission("VSPHERE.LOCAL\\infra", False)

CASES = [
    ("by a group, all propagate", [ADMINS], True),
    ("by a group, one does not", [ADMINS, Permission("VSPHERE.LOCAL\\k8s", False, group=True)], False),
    ("its own", [Permission("VSPHERE.LOCAL\\k8s", False, group=True), OURS], True),
    ("its own, of the root alone", [ADMINS, OURS_ALONE], False),
    ("a group of its name is another", [Permission("VSPHERE.LOCAL\\infra", False, group=True), OURS], True),
    ("of another domain", [ADMINS, Permission("CORP\\infra", False)], False),
]


@pytest.mark.parametrize(("permissions", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
@pytest.mark.parametrize("user", ["VSPHERE.LOCAL\\infra", "infra@vsphere.local", "Infra@VSPHERE.LOCAL"])
def test_a_right_reaches_what_is_below(permissions: list[Permission], expected: bool, user: str) -> None:
    assert propagates(permissions, user) is expected
