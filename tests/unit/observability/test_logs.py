from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from vsphere_operator.observability import logs
from vsphere_operator.runtime.keys import Key, working_on

SECRET = "hunter2-and-more"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("vsphere_operator")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def logged(message: str, *, style: logs.LogFormat = "plain", error: Exception | None = None) -> str:
    stream = io.StringIO()
    logs.setup("info", style, stream)
    logging.getLogger("vsphere_operator.test").warning(message, exc_info=error)
    return stream.getvalue()


@pytest.mark.parametrize(
    "message",
    [
        f"login with password={SECRET} failed",
        f"login with password: '{SECRET}, x' failed",
        f'{{"password": "{SECRET}"}}',
        f"{{'vcenter_password': '{SECRET}'}}",
        f"Authorization: Bearer {SECRET}",
        f"sent bearer {SECRET}",
        f"<password>{SECRET}</password>",
        f'<vim25:password xsi:type="string">{SECRET}</vim25:password>',
        f"https://admin:{SECRET}@vcenter/sdk",
        f"api_key={SECRET}",
        f"vmware-api-session-id: {SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    ],
)
@pytest.mark.parametrize("style", ["plain", "json"])
def test_what_looks_like_a_credential_is_not_shown(message: str, style: logs.LogFormat) -> None:
    assert SECRET not in logged(message, style=style)
    assert SECRET not in logged("failed", style=style, error=ValueError(message))


@pytest.mark.parametrize(
    "message",
    [
        "the secret team-shop/shop-vsphere has no key `password`",
        "credentialsSecretRef: shop-vsphere",
        "the token of the lease is renewed",
        "vCenter refused the password of shop-ccm@vsphere.local",
        "https://vcenter.example.com:443/sdk answered",
    ],
)
def test_words_about_credentials_stay_readable(message: str) -> None:
    assert message in logged(message)


def test_a_hidden_value_is_shown_nowhere() -> None:
    logs.hide("p4ssphrase-of-shop")
    assert "p4ssphrase" not in logged("got p4ssphrase-of-shop in the middle")


def test_a_line_names_the_object_that_is_worked_on() -> None:
    token = working_on.set(Key("Machine", "team", "one"))
    try:
        assert "Machine team/one: cloned" in logged("cloned")
        line = json.loads(logged("cloned", style="json"))
    finally:
        working_on.reset(token)
    assert (line["kind"], line["namespace"], line["name"]) == ("Machine", "team", "one")
    assert (line["level"], line["message"]) == ("warning", "cloned")


def test_json_is_one_line_even_with_a_traceback() -> None:
    text = logged("failed\nbadly", style="json", error=ValueError("x"))
    assert text.count("\n") == 1
    assert "ValueError" in json.loads(text)["exception"]
