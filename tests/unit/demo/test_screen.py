"""The view keeps to its terminal's size and loses nothing that matters."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from testbed.demo.kubernetes_view import rows
from testbed.demo.picture import Caption, Check, Picture
from testbed.demo.screen import render, save_capture

from .pictures import a_picture, an_object, objects

ADVICE = (
    "Look around:",
    f"export KUBECONFIG=/tmp/{'k' * 38}/1/admin.kubeconfig",
    "kubectl get userclusters -A",
)


def shown(picture: Picture, caption: Caption, width: int = 80, height: int = 24) -> list[str]:
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(render(picture, caption, width, height), height=height)
    return console.export_text().splitlines()


def test_all_that_matters_is_on_80_columns_and_24_lines() -> None:
    lines = shown(a_picture(), Caption(headline="all is Ready", done=True, log="/tmp/x.log", lines=ADVICE))
    text = "\n".join(lines)
    for words in (
        "all is Ready",
        "Cluster shop",
        "Reconciled",
        "2/2 Running",
        "workers-0d7222ea-00001",
        "/DC0/vm/kubernetes/team-shop-shop",
        "k8c:env-prod, owner:team-shop",
        "10.20.0.1 4G iso",
        "workers-0d7222ea-00001/cloud-init.iso",
        "3,967.0 of 4,096 GiB free",
        "61, 9 tasks",
        *ADVICE,
        "/tmp/x.log",
    ):
        assert words in text


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("height", [5, 12, 24, 50])
@pytest.mark.parametrize("workers", [0, 2, 60])
def test_no_size_breaks_the_frame(width: int, height: int, workers: int) -> None:
    checks = tuple(Check(True, f"check {n}") for n in range(20))
    caption = Caption(headline="h" * 300, lines=ADVICE, checks=checks, log="/tmp/x.log")
    lines = shown(a_picture(workers), caption, width, height)
    assert len(lines) <= height
    assert max(len(line) for line in lines) <= width


def test_what_does_not_fit_is_counted() -> None:
    text = "\n".join(shown(a_picture(60), Caption(lines=ADVICE)))
    assert "more" in text


def test_a_line_of_advice_that_is_too_long_goes_on_in_the_next() -> None:
    command = "kubectl " + "x" * 100
    lines = shown(a_picture(), Caption(lines=(command,)))
    assert command in "".join(line.rstrip() for line in lines)


def test_messages_are_shown_while_there_is_room() -> None:
    found = objects()
    found["Cluster"] = [
        an_object("Cluster", "shop", ready="False", reason="Refused", message="wrong password")
    ]
    picture = replace(a_picture(), rows=rows(found))
    assert "wrong password" in "\n".join(shown(picture, Caption()))
    assert "wrong password" not in "\n".join(shown(picture, Caption(), height=7))


def test_a_long_message_is_told_whole_when_there_is_room() -> None:
    message = "the template nonsense is not in the datacenter DC0: name another one in spec.vsphere.template"
    found = objects()
    found["Machine"][0] = an_object(
        "Machine", "workers-x", ready="False", reason="No", message=message, owner="workers-0d7222ea"
    )
    left = [line[:37].strip() for line in shown(replace(a_picture(), rows=rows(found)), Caption())]
    assert message in " ".join(left)


def test_a_failed_check_is_shown_with_what_was_found() -> None:
    text = "\n".join(shown(a_picture(), Caption(checks=(Check(False, "three VMs", "there are 2"),))))
    assert "FAIL  three VMs: there are 2" in text


def test_the_capture_needs_nothing_from_the_network(tmp_path: Path) -> None:
    file = tmp_path / "images" / "demo.svg"
    save_capture(file, a_picture(), Caption(headline="all is Ready", done=True, lines=ADVICE))
    svg = file.read_text()
    assert "@font-face" not in svg
    assert "url(http" not in svg
    assert "all&#160;is&#160;Ready" in svg
