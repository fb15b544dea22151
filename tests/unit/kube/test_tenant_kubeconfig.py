"""What a tenant may write into a kubeconfig, and what is refused with words."""

from __future__ import annotations

import base64
import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from vsphere_operator.kube.tenant_kubeconfig import LONGEST, KubeconfigError, read


def a_kubeconfig(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "other", "cluster": {"server": "https://other.example.com"}},
            {"name": "c", "cluster": {"server": "https://api.example.com:6443/", **(cluster or {})}},
        ],
        "users": [{"name": "u", "user": {"token": "sesame-open"} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def document(config: Any) -> bytes:
    return yaml.safe_dump(config).encode()


def test_the_current_context_names_server_and_token() -> None:
    login = read(document(a_kubeconfig()))
    assert (login.server, login.authorization) == ("https://api.example.com:6443", "Bearer sesame-open")
    assert login.verify
    assert "sesame" not in repr(login)


def test_an_unverified_server_is_the_tenants_own_word() -> None:
    assert not read(document(a_kubeconfig(cluster={"insecure-skip-tls-verify": True}))).verify


EXEC = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/touch", "args": ["{}"]}}


@pytest.mark.parametrize(
    ("user", "word"),
    [
        (EXEC, "exec runs a login plug-in"),
        ({"token": "t", **EXEC}, "exec runs"),
        ({"auth-provider": {"name": "gcp", "config": {"cmd-path": "/bin/touch"}}}, "auth-provider runs"),
        ({"tokenFile": "/etc/passwd"}, "tokenFile names a file"),
        ({"client-certificate": "/etc/a", "client-key": "/etc/b"}, "put its content into client-cert"),
        ({"client-certificate-data": "YQ==", "client-key": "/etc/b"}, "put its content into client-key-data"),
        ({"username": "admin", "password": "x"}, "user name and password"),
        ({"token": "t", "as": "system:admin"}, "acts as another user"),
        ({"token": "t", "as-groups": ["system:masters"]}, "acts as another user"),
        ({"token": "a\nHost: b"}, "no token has"),
        ({"token": ["a"]}, "not a text"),
        ({}, "neither a token nor"),
        ({"client-certificate-data": "YQ=="}, "one is missing"),
        ({"client-certificate-data": "%%%", "client-key-data": "YQ=="}, "not a PEM text"),
    ],
)
def test_a_user_that_makes_this_process_run_read_or_be_another_is_refused(
    user: dict[str, Any], word: str
) -> None:
    with pytest.raises(KubeconfigError, match=word):
        read(document(a_kubeconfig(user)))


@pytest.mark.parametrize(
    ("cluster", "word"),
    [
        ({"certificate-authority": "/etc/ca.crt"}, "put its content into certificate-authority-data"),
        ({"proxy-url": "socks5://10.0.0.1"}, "names a proxy"),
        ({"server": "http://api.example.com"}, "https://host:port"),
        ({"server": "file:///etc/passwd"}, "https://host:port"),
        ({"server": "https://user:pass@api.example.com"}, "https://host:port"),
        ({"server": "https://api.example.com:99999"}, "https://host:port"),
        ({"server": "https://api.example.com/?x=y"}, "https://host:port"),
        ({"server": ""}, "does not say the cluster's server"),
    ],
)
def test_a_cluster_that_leads_elsewhere_is_refused(cluster: dict[str, Any], word: str) -> None:
    with pytest.raises(KubeconfigError, match=word):
        read(document(a_kubeconfig(cluster=cluster)))


def changed(**changes: Any) -> bytes:
    return document(copy.deepcopy(a_kubeconfig()) | changes)


BOMB = b"a: &a {k: v}\nb: &b {<<: [*a, *a, *a, *a, *a, *a, *a, *a, *a]}\nc: {<<: [*b, *b, *b, *b, *b, *b]}\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"", "not a YAML document"),
        (b"just words", "not a YAML document"),
        (b"users: [{token: sesame-open}", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"[" * 20000, "not valid YAML"),
        (b"#" * (LONGEST + 1), "longer than"),
        (BOMB, "aliases"),
        (changed(**{"current-context": "y"}), 'no context named "y"'),
        (changed(**{"current-context": None}), "no context named|current-context"),
        (changed(users=None), 'no user named "u"'),
        (changed(contexts=[{"name": "x", "context": {"user": "u"}}]), "the context's cluster"),
        (changed(clusters=["c"]), 'no cluster named "c"'),
    ],
)
def test_a_broken_document_is_refused_with_words_that_quote_no_token(text: bytes, word: str) -> None:
    with pytest.raises(KubeconfigError, match=word) as raised:
        read(text)
    assert "sesame" not in str(raised.value)


def _pair(directory: Path, *options: str) -> tuple[str, str]:
    key, certificate = directory / "key", directory / "certificate"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=x", "-days", "2", *options]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return tuple(base64.b64encode(file.read_bytes()).decode() for file in (certificate, key))  # type: ignore[return-value]


def test_a_client_certificate_in_the_document_is_used(tmp_path: Path) -> None:
    certificate, key = _pair(tmp_path, "-nodes")
    user = {"client-certificate-data": certificate, "client-key-data": key}
    login = read(document(a_kubeconfig(user, {"certificate-authority-data": certificate})))
    assert login.tls().get_ca_certs()
    assert "PRIVATE" not in repr(login)


def test_an_encrypted_key_asks_nobody_for_a_password(tmp_path: Path) -> None:
    certificate, key = _pair(tmp_path, "-passout", "pass:sesame")
    user = {"client-certificate-data": certificate, "client-key-data": key}
    with pytest.raises(KubeconfigError, match="unencrypted key"):
        read(document(a_kubeconfig(user))).tls()


def test_a_ca_that_is_none_is_refused() -> None:
    words = base64.b64encode(b"words").decode()
    with pytest.raises(KubeconfigError, match="certificate-authority-data"):
        read(document(a_kubeconfig(cluster={"certificate-authority-data": words}))).tls()
