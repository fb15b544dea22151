"""What is remembered of tags' names, and for how long."""

from __future__ import annotations

from vsphere_operator.vsphere.tags.models import Tag
from vsphere_operator.vsphere.tags.names import HIT_SECONDS, MISS_SECONDS, NEGATIVE_SECONDS, Names


def a_tag(name: str, tag_id: str | None = None) -> Tag:
    return Tag(tag_id or f"id-{name}", name, "", "c")


def knowing(*names: str) -> Names[Tag]:
    cache: Names[Tag] = Names()
    for name in names:
        cache.remember(a_tag(name), 0.0)
    return cache


def test_a_name_is_believed_for_ten_minutes_and_then_worth_one_look() -> None:
    names = knowing("a")
    assert names.find("a", HIT_SECONDS - 1) == a_tag("a")
    assert names.find("a", HIT_SECONDS) is None
    assert names.candidate("a") == "id-a"


def test_an_absent_name_is_not_looked_for_for_a_minute_unless_somebody_makes_it() -> None:
    names = knowing()
    assert not names.is_absent("a", 0.0)
    names.missed("a", 0.0)
    assert names.is_absent("a", NEGATIVE_SECONDS - 1)
    assert not names.is_absent("a", NEGATIVE_SECONDS)
    names.missed("a", 0.0)
    names.expect("a")
    assert not names.is_absent("a", 1.0)


def test_only_new_ids_are_read_for_hours_however_many_others_there_are() -> None:
    names = knowing("a", "b")
    assert names.to_read(["id-a", "id-b", "new"], "wanted", HIT_SECONDS + 1) == ["new"]
    assert set(names.to_read(["id-a", "id-b", "new"], "wanted", MISS_SECONDS)) == {"id-a", "id-b", "new"}


def test_what_had_the_name_before_is_read_first() -> None:
    names = knowing("a", "b")
    assert names.to_read(["new", "id-b", "id-a"], "a", MISS_SECONDS) == ["id-a", "new", "id-b"]


def test_a_hint_leads_to_an_id_until_it_proves_wrong() -> None:
    names = knowing()
    names.hint("id-a", "a")
    assert names.candidate("a") == "id-a"
    assert names.find("a", 0.0) is None
    names.drop("id-a")
    assert names.candidate("a") is None


def test_a_renamed_tag_has_its_new_name_only() -> None:
    names = knowing("before")
    names.remember(a_tag("after", "id-before"), 1.0)
    assert names.find("before", 1.0) is None
    assert names.find("after", 1.0) == a_tag("after", "id-before")


def test_distrust_costs_a_look_at_what_is_wanted_and_none_at_all_the_others() -> None:
    names = knowing("a", "b")
    names.missed("c", 0.0)
    names.distrust()
    assert names.find("a", 1.0) is None
    assert names.candidate("a") == "id-a"
    assert not names.is_absent("c", 1.0)
    assert names.to_read(["id-a", "id-b"], "c", 1.0) == []


def test_what_left_the_category_is_forgotten() -> None:
    names = knowing("a", "b")
    names.keep_only({"id-b"})
    assert names.get("id-a") is None
    assert names.candidate("a") is None
    assert names.get("id-b") == a_tag("b")


def test_names_that_were_missed_long_ago_take_no_room() -> None:
    names = Names[Tag]()
    for n in range(10):
        names.missed(f"gone-{n}", now=0.0)
    names.missed("gone", now=NEGATIVE_SECONDS + 1)
    assert list(names._absent_until) == ["gone"]
