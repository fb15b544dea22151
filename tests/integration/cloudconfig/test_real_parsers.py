"""The files, read by the parsers that CCM and the CSI driver are built with: gcfg and yaml.v2 (`readers`, in Go)."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from testbed.builds import cache_root, show_progress
from testbed.toolchain import go_environment, go_program
from tests.unit.cloudconfig.samples import AWKWARD, a_config
from vsphere_operator.cloudconfig import CloudConfig, ccm, csi

HERE = Path(__file__).parent / "readers"
HOST = "vcenter.example.com"
ALPHABET = " \t\"'\\#;%=[]{}:,&*!|>@`~$-?aZ0äß語😀\u00a0\ufeff\u200b"


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program; Go keeps what it compiled, so that only the first build takes some seconds."""
    program = tmp_path_factory.mktemp("readers") / "readers"
    go = go_program(cache_root(), show_progress)
    command = [str(go), "build", "-mod=readonly", "-buildvcs=false", "-o", str(program), "."]
    subprocess.run(command, cwd=HERE, env=go_environment(cache_root()), check=True)
    return program


def read(readers: Path, documents: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    text = json.dumps([{"form": form, "text": content.decode()} for form, content in documents])
    answer = subprocess.run([readers], input=text.encode(), capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr.decode()
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def forms(config: CloudConfig) -> list[tuple[str, bytes]]:
    return [
        ("ccm.yaml", ccm.as_yaml(config)),
        ("ccm.conf", ccm.as_ini(config)),
        ("csi-vsphere.conf", csi.as_ini(config)),
    ]


def test_they_read_every_setting(readers: Path) -> None:
    as_yaml, as_ini, for_csi = read(readers, forms(a_config()))
    inline = {
        "User": "shop-ccm@vsphere.local",
        "Password": AWKWARD,
        "CAFile": "/etc/cloud/ca.crt",
        "Insecure": False,
    }
    access = {**inline, "Port": "443", "Datacenters": "DC0"}
    assert as_yaml["Vcenter"][HOST] == {
        **inline,
        "Server": HOST,
        "Port": 443,
        "Datacenters": ["DC0"],
        "SecretName": "",
        "SecretNamespace": "",
    }
    assert as_yaml["Labels"] == as_ini["Labels"] == {"Region": "k8s-region", "Zone": "k8s-zone"}
    assert (as_ini["Global"], as_ini["VirtualCenter"]) == (access, {HOST: access})
    assert for_csi["VirtualCenter"] == {HOST: access}
    assert for_csi["Global"]["ClusterID"] == a_config().cluster_id
    assert for_csi["Global"]["CAFile"] == "/etc/cloud/ca.crt"
    assert for_csi["Labels"] == {"Categories": "k8s-region,k8s-zone"}


def test_they_read_any_password_as_it_was(readers: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - the same ones each time
    passwords = ["".join(chance.choices(ALPHABET, k=chance.randint(1, 24))) for _ in range(400)]
    documents = [form for password in passwords for form in forms(a_config(password=password))]
    results = iter(read(readers, documents))
    for password in passwords:
        as_yaml, as_ini, for_csi = next(results), next(results), next(results)
        assert as_yaml["Vcenter"][HOST]["Password"] == password
        assert as_ini["VirtualCenter"][HOST]["Password"] == password
        assert for_csi["VirtualCenter"][HOST]["Password"] == password


def test_with_a_secret_the_file_names_it(readers: Path) -> None:
    secret = ccm.SecretName("kube-system", "vsphere-cloud-secret")
    (found,) = read(readers, [("ccm.yaml", ccm.as_yaml(a_config(), secret))])
    vcenter = found["Vcenter"][HOST]
    assert (vcenter["SecretNamespace"], vcenter["SecretName"]) == ("kube-system", "vsphere-cloud-secret")
    assert (vcenter["User"], vcenter["Password"]) == ("", "")


def test_an_ipv6_address_is_one_vcenter(readers: Path) -> None:
    for result in read(readers, forms(a_config(host="2001:db8::7"))):
        assert list(result.get("Vcenter") or result["VirtualCenter"]) == ["2001:db8::7"]
