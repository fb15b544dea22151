from __future__ import annotations

from pathlib import Path

import pytest

from vsphere_operator.kube.credentials import CredentialsError, InCluster, KubeconfigFile, source_for

GOOD = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://api.example.com:6443/", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: sesame-open}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "kubeconfig"
    path.write_text(text)
    return path


async def test_a_kubeconfig_names_the_server_and_the_token(tmp_path: Path) -> None:
    credentials = await KubeconfigFile(written(tmp_path, GOOD)).current()
    assert credentials.server == "https://api.example.com:6443"
    assert credentials.authorization == "Bearer sesame-open"
    assert not credentials.verify


async def test_the_token_is_not_in_the_repr(tmp_path: Path) -> None:
    assert "sesame" not in repr(await KubeconfigFile(written(tmp_path, GOOD)).current())


async def test_a_changed_file_is_read_again_when_the_server_refused_the_old_token(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    source = KubeconfigFile(path)
    await source.current()
    path.write_text(GOOD.replace("sesame-open", "rotated-now"))
    assert (await source.current()).authorization == "Bearer sesame-open"
    assert (await source.current(renew=True)).authorization == "Bearer rotated-now"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not: [a, kubeconfig", "unusable"),
        ("", "unusable"),
        ("just text", "unusable"),
        (GOOD.replace("current-context: x", "current-context: y"), "name y"),
        (GOOD.replace('server: "https://api.example.com:6443/", ', ""), "names no server"),
    ],
)
async def test_a_bad_kubeconfig_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, words: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(CredentialsError, match=words) as caught:
        await KubeconfigFile(path).current()
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="nowhere is not a file"):
        await KubeconfigFile(tmp_path / "nowhere").current()


async def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "token").write_text("first\n")
    source = InCluster(tmp_path)
    credentials = await source.current()
    assert credentials.server == "https://[fd00::1]:443"
    assert credentials.authorization == "Bearer first"
    (tmp_path / "token").write_text("second\n")
    assert (await source.current(renew=True)).authorization == "Bearer second"


async def test_outside_of_a_pod_the_flag_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match="--kubeconfig"):
        await source_for(None).current()
