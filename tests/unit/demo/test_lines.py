"""Without a terminal there is a line for every change, and none without one."""

import io
from dataclasses import replace

from testbed.demo.lines import PlainLines, changes
from testbed.demo.picture import Caption, Check

from .pictures import a_picture


def test_what_is_new_different_and_gone_is_told_once() -> None:
    assert changes({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == [
        "b: 2",
        "d: 1",
        "c: gone",
    ]


def test_nothing_is_written_while_nothing_changes() -> None:
    stream = io.StringIO()
    display = PlainLines(stream)
    caption = Caption(headline="waiting", checks=(Check(True, "first"),), lines=("kubectl get",))
    display.show(a_picture(), caption)
    once = stream.getvalue()
    display.show(replace(a_picture(), seconds=99.0), caption)
    assert stream.getvalue() == once
    assert once.count("ok    first") == once.count("kubectl get") == once.count("== waiting") == 1


def test_a_further_worker_is_told_from_both_sides() -> None:
    stream = io.StringIO()
    display = PlainLines(stream)
    display.show(a_picture(2), Caption())
    stream.truncate(0)
    display.show(a_picture(3), Caption())
    text = stream.getvalue()
    assert "Machine team-shop/workers-0d7222ea-00002: Running" in text
    assert "vCenter VM workers-0d7222ea-00002: poweredOn, 2 CPUs, 4096 MiB, 10.20.0.2" in text
    assert "vCenter file [LocalDS_0] workers-0d7222ea-00002/cloud-init.iso: there" in text
    assert "00001" not in text
