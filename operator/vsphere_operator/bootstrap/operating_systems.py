"""Which operating system reads its bootstrap data in which way. Names follow KKP's machine specifications."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from vsphere_operator.bootstrap.errors import UnknownOperatingSystemError


class Family(StrEnum):
    """The program in the guest that reads the bootstrap data."""

    CLOUD_INIT = "cloud-init"
    IGNITION = "ignition"


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "almalinux": Family.CLOUD_INIT,
        "amzn2": Family.CLOUD_INIT,
        "centos": Family.CLOUD_INIT,
        "debian": Family.CLOUD_INIT,
        "flatcar": Family.IGNITION,
        "oraclelinux": Family.CLOUD_INIT,
        "rhel": Family.CLOUD_INIT,
        "rockylinux": Family.CLOUD_INIT,
        "sles": Family.CLOUD_INIT,
        "ubuntu": Family.CLOUD_INIT,
    }
)


def family_of(operating_system: str) -> Family:
    """The family of an operating system, by its exact name; raises UnknownOperatingSystemError."""
    family = FAMILIES.get(operating_system)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise UnknownOperatingSystemError(
            f"operatingSystem {operating_system!r} is not known; use one of: {known}"
        )
    return family
