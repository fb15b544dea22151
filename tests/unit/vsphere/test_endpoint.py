"""Addresses, certificates and credentials."""

from __future__ import annotations

import ssl

import pytest

from vsphere_operator.vsphere import morefs
from vsphere_operator.vsphere.endpoint import Credentials, Endpoint


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://vc.example.com", "vc.example.com:443"),
        ("https://vc.example.com:8443/sdk", "vc.example.com:8443"),
        ("vc.example.com", "vc.example.com:443"),
        ("https://[2001:db8::1]", "[2001:db8::1]:443"),
    ],
)
def test_an_address_is_read(url: str, authority: str) -> None:
    assert Endpoint(url).authority == authority


@pytest.mark.parametrize(
    "url", ["http://vc", "https://", "https://user:s3cret@vc", "https://vc:port", "ftp://vc", ""]
)
def test_what_is_no_https_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="vCenter address") as caught:
        Endpoint(url)
    assert "s3cret" not in str(caught.value)


def test_certificates_are_verified_unless_told_otherwise() -> None:
    assert Endpoint("vc").tls_context().verify_mode is ssl.CERT_REQUIRED
    assert Endpoint("vc").tls_context().check_hostname is True
    assert Endpoint("vc", allow_insecure=True).tls_context().verify_mode is ssl.CERT_NONE


def test_a_bundle_without_a_certificate_is_an_error() -> None:
    with pytest.raises(ssl.SSLError):
        Endpoint("vc", ca_bundle="no certificate").tls_context()


def test_a_password_shows_nowhere() -> None:
    credentials = Credentials("user", "s3cret")
    assert "s3cret" not in f"{credentials!r} {credentials.version}"


def test_a_version_names_user_and_password() -> None:
    version = Credentials("user", "s3cret").version
    assert version == Credentials("user", "s3cret").version
    assert version not in (Credentials("user", "other").version, Credentials("other", "s3cret").version)


@pytest.mark.parametrize("text", ["VirtualMachine:vm-42", "Folder:group-v3", "Task:task-1"])
def test_a_moref_is_read(text: str) -> None:
    moref = morefs.parse(text)
    assert morefs.join(morefs.kind_of(moref), morefs.id_of(moref)) == text


@pytest.mark.parametrize(
    "text", ["", "vm-42", ":vm-42", "VirtualMachine:", "virtual machine:x", "VirtualMachine: x"]
)
def test_what_is_no_moref_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="managed object reference"):
        morefs.parse(text)


def test_one_address_is_one_endpoint_however_it_is_written() -> None:
    ways = [
        "https://vc.example.com",
        "vc.example.com",
        "https://VC.example.com:443/",
        "https://vc.example.com/sdk",
    ]
    assert len({Endpoint(way) for way in ways}) == 1
    assert len({Endpoint(ways[0]), Endpoint(ways[0], "pem"), Endpoint(ways[0], allow_insecure=True)}) == 3
