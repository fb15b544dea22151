import pytest

from vsphere_operator.bootstrap import BootstrapError, Family, family_of
from vsphere_operator.bootstrap.operating_systems import FAMILIES


@pytest.mark.parametrize("name", ["ubuntu", "centos", "rhel", "rockylinux", "amzn2", "debian"])
def test_everything_but_flatcar_reads_cloud_init(name: str) -> None:
    assert family_of(name) is Family.CLOUD_INIT


def test_flatcar_alone_reads_ignition() -> None:
    assert [name for name, family in FAMILIES.items() if family is Family.IGNITION] == ["flatcar"]
    assert family_of("flatcar") is Family.IGNITION


@pytest.mark.parametrize("name", ["windows", "Ubuntu", "", " ubuntu"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BootstrapError, match=r"amzn2, centos.*flatcar.*ubuntu") as refused:
        family_of(name)
    assert refused.value.reason == "UnknownOperatingSystem"
    assert repr(name) in str(refused.value)
