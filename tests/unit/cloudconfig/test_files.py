"""The files that CCM and CSI read: byte for byte, and read back by a parser that is not ours to please."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cloudconfig import gcfg
from tests.unit.cloudconfig.samples import AWKWARD, a_config
from vsphere_operator.cloudconfig import UnwritableError, ccm, cluster_id, csi

GOLDEN = Path(__file__).parent / "golden"
IN_CLUSTER = ccm.SecretName("kube-system", "vsphere-cloud-secret")

FORMS = {
    "ccm.yaml": lambda: ccm.as_yaml(a_config()),
    "ccm-with-secret.yaml": lambda: ccm.as_yaml(a_config(), IN_CLUSTER),
    "ccm.conf": lambda: ccm.as_ini(a_config()),
    "csi-vsphere.conf": lambda: csi.as_ini(a_config()),
    "csi-vsphere-insecure.conf": lambda: csi.as_ini(
        a_config(insecure=True, ca_file=None, topology_categories=(), host="2001:db8::7", port=8443)
    ),
}

CARRIED = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), include_characters="\t"))


@pytest.mark.parametrize("name", FORMS)
def test_the_file_is_the_golden_one(name: str) -> None:
    assert FORMS[name]().decode() == (GOLDEN / name).read_text()


def read_ini(content: bytes) -> gcfg.Sections:
    return gcfg.parse(content.decode())


@given(CARRIED.filter(bool))
def test_any_password_is_read_back_from_each_form(password: str) -> None:
    config = a_config(password=password)
    vcenter = ("VirtualCenter", "vcenter.example.com")
    assert read_ini(csi.as_ini(config))[vcenter]["password"] == password
    assert read_ini(ccm.as_ini(config))[vcenter]["password"] == password
    assert yaml.safe_load(ccm.as_yaml(config))["vcenter"]["vcenter.example.com"]["password"] == password


@given(CARRIED.filter(lambda name: name and "," not in name))
def test_any_inventory_name_is_read_back(name: str) -> None:
    config = a_config(datacenter=name, default_datastore=name, folder=name, topology_categories=(name, "b"))
    sections = read_ini(ccm.as_ini(config))
    assert sections["Workspace", None]["folder"] == name
    assert sections["Labels", None] == {"region": name, "zone": "b"}
    assert read_ini(csi.as_ini(config))["Labels", None]["topology-categories"] == f"{name},b"
    assert yaml.safe_load(ccm.as_yaml(config))["vcenter"]["vcenter.example.com"]["datacenters"] == [name]


def test_the_awkward_password_is_one_of_those() -> None:
    assert all(character in AWKWARD for character in "\"\\#;%'=[ \t")
    assert AWKWARD.startswith(" ")


@pytest.mark.parametrize("bad", ["a\nb", "a\rb", "a\0b", "a\x7fb", "a\x85b", "a\u2028b", "a\ud800b"])
def test_what_a_form_cannot_carry_is_refused_without_being_quoted(bad: str) -> None:
    for write in (ccm.as_yaml, ccm.as_ini, csi.as_ini):
        with pytest.raises(UnwritableError, match="the password") as raised:
            write(a_config(password=bad))
        assert bad not in str(raised.value)


@pytest.mark.parametrize(
    "username", ["ccm", "ccm@", "@vsphere.local", "c c@vsphere.local", "ccm+1@vsphere.local"]
)
def test_a_user_name_that_ends_the_csi_driver_is_refused_for_csi_alone(username: str) -> None:
    with pytest.raises(UnwritableError, match="user@domain"):
        csi.as_ini(a_config(username=username))
    assert ccm.as_yaml(a_config(username=username))


@pytest.mark.parametrize("username", ["ccm@vsphere.local", r"EXAMPLE\ccm"])
def test_both_spellings_with_a_domain_are_taken(username: str) -> None:
    sections = read_ini(csi.as_ini(a_config(username=username)))
    assert sections["VirtualCenter", "vcenter.example.com"]["user"] == username


@pytest.mark.parametrize("changes", [{"datacenter": "a,b"}, {"topology_categories": ("a,b",)}])
def test_a_comma_would_make_two_names_of_one(changes: dict[str, Any]) -> None:
    with pytest.raises(UnwritableError, match="comma"):
        csi.as_ini(a_config(**changes))


def test_more_categories_than_the_driver_takes_are_refused() -> None:
    assert csi.as_ini(a_config(topology_categories=tuple("abcde")))
    with pytest.raises(UnwritableError, match="at most 5"):
        csi.as_ini(a_config(topology_categories=tuple("abcdef")))


def test_one_category_alone_labels_no_node_through_ccm() -> None:
    assert b"labels" not in ccm.as_yaml(a_config(topology_categories=("a",)))
    assert b"[Labels]" not in ccm.as_ini(a_config(topology_categories=("a",)))


def test_with_a_secret_neither_user_nor_password_is_in_the_configuration() -> None:
    content = ccm.as_yaml(a_config(password="sesame"), IN_CLUSTER)
    assert b"sesame" not in content
    assert b"shop-ccm" not in content
    assert ccm.credentials(a_config(password="sesame")) == {
        "vcenter.example.com.username": b"shop-ccm@vsphere.local",
        "vcenter.example.com.password": b"sesame",
    }


def test_ccms_secret_cannot_name_an_ipv6_address() -> None:
    with pytest.raises(UnwritableError, match="IPv6"):
        ccm.credentials(a_config(host="2001:db8::7"))


def test_no_datastore_is_written_where_none_is_known() -> None:
    assert (
        "default-datastore" not in read_ini(ccm.as_ini(a_config(default_datastore=None)))["Workspace", None]
    )


def test_the_cluster_id_fits_and_never_changes() -> None:
    assert cluster_id("7d1c9c7e-6a3f-4a4e-9d0c-0f7a2b1c3d4e") == "65cb4f25382cd17481c6f8c62f3c8abaed694243"
    assert len(cluster_id("x" * 300)) <= 64


def test_the_password_is_in_no_repr() -> None:
    assert "sesame" not in repr(a_config(password="sesame"))
