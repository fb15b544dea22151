import json
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.bootstrap import ignition, offload
from vsphere_operator.bootstrap.errors import InvalidIgnitionError

SECRET = "s3cr3t-t0ken"


def user_config(version: str, **more: Any) -> bytes:
    return json.dumps({"ignition": {"version": version}, **more}, indent=1).encode()


def wrapped(version: str, *, offload_off: bool = True, **more: Any) -> dict[str, Any]:
    data = user_config(version, **more)
    made = ignition.config(data, hostname="node-1", disable_network_offload=offload_off)
    parsed: dict[str, Any] = json.loads(made)
    return parsed


def content_of(url: str) -> bytes:
    scheme, content = url.split(",", 1)
    assert scheme == "data:"
    return unquote_to_bytes(content)


@pytest.mark.parametrize(
    ("version", "key", "enable"),
    [
        ("2.0.0", "append", "enable"),
        ("2.2.0", "append", "enabled"),
        ("2.3.0", "append", "enabled"),
        ("3.0.0", "merge", "enabled"),
        ("3.3.0", "merge", "enabled"),
        ("3.6.0-experimental", "merge", "enabled"),
    ],
)
def test_the_users_config_is_referred_to_in_its_own_version_and_verbatim(
    version: str, key: str, enable: str
) -> None:
    wrapper = wrapped(version)
    assert wrapper["ignition"]["version"] == version
    assert list(wrapper["ignition"]["config"]) == [key]
    [reference] = wrapper["ignition"]["config"][key]
    assert content_of(reference["source"]) == user_config(version)
    [unit] = wrapper["systemd"]["units"]
    assert unit == {"name": offload.UNIT_NAME, enable: True, "contents": offload.UNIT}


@pytest.mark.parametrize("version", ["2.3.0", "3.3.0"])
def test_the_wrapper_writes_the_host_name_and_the_udev_rule(version: str) -> None:
    files = {file["path"]: file for file in wrapped(version)["storage"]["files"]}
    contents = {path: content_of(file["contents"]["source"]) for path, file in files.items()}
    assert contents == {"/etc/hostname": b"node-1\n", offload.RULE_PATH: offload.UDEV_RULE.encode()}
    assert {file["mode"] for file in files.values()} == {0o644}


def test_version_2_names_the_filesystem_and_version_3_overwrites() -> None:
    v2, v3 = wrapped("2.3.0")["storage"]["files"][0], wrapped("3.3.0")["storage"]["files"][0]
    assert (v2.get("filesystem"), v2.get("overwrite")) == ("root", None)
    assert (v3.get("filesystem"), v3.get("overwrite")) == (None, True)


def test_without_the_offload_fix_only_the_host_name_is_added() -> None:
    wrapper = wrapped("3.3.0", offload_off=False)
    assert [file["path"] for file in wrapper["storage"]["files"]] == ["/etc/hostname"]
    assert "systemd" not in wrapper


def test_a_config_that_sets_the_host_name_itself_is_passed_on_as_it_is() -> None:
    data = user_config("3.3.0", storage={"files": [{"path": "/etc/hostname"}]})
    assert ignition.config(data, hostname="node-1", disable_network_offload=False) == data


def test_a_users_own_host_name_file_stays_the_only_one_beside_the_offload_fix() -> None:
    wrapper = wrapped("3.3.0", storage={"files": [{"path": "/etc/hostname"}]})
    assert [file["path"] for file in wrapper["storage"]["files"]] == [offload.RULE_PATH]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (f'{{"ignition": {SECRET}}}', "no valid JSON at line 1, column 14"),
        (f"#cloud-config\nx: {SECRET}", "reads Ignition, not cloud-init"),
        (f"variant: flatcar\nx: {SECRET}", "translate Butane's YAML with `butane`"),
        (f'["{SECRET}"]', "must be a JSON object with a version"),
        (f'{{"x": "{SECRET}"}}', "must be a JSON object with a version"),
        (f'{{"ignition": "{SECRET}"}}', "must be a JSON object with a version"),
        (f'{{"ignition": {{"x": "{SECRET}"}}}}', "must be a JSON object with a version"),
        ('{"ignition": {"version": 3}}', "must be a JSON object with a version"),
        (f'{{"ignitionVersion": 1, "x": "{SECRET}"}}', "must be a JSON object with a version"),
        (f'{{"ignition": {{"version": "{SECRET}"}}}}', "none of 2.x.y or 3.x.y"),
        ('{"ignition": {"version": "1.0.0"}}', "none of 2.x.y or 3.x.y"),
        ('{"ignition": {"version": "3.3"}}', "none of 2.x.y or 3.x.y"),
        ('{"ignition": {"version": "3.3.0\\n"}}', "none of 2.x.y or 3.x.y"),
        ("[" * 100_000, "nested too deeply"),
        ('\ufeff{"ignition": {"version": "3.3.0"}}', "byte-order mark"),
        ("1" * 10_000, "no valid JSON"),
    ],
)
def test_what_is_no_ignition_is_refused_with_the_place_and_without_the_data(data: str, says: str) -> None:
    with pytest.raises(InvalidIgnitionError) as refused:
        ignition.parse(data.encode())
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("storage", [None, [], {"files": None}, {"files": {}}, {"files": ["x", {"path": 1}]}])
def test_an_odd_storage_section_is_left_for_ignition_to_judge(storage: Any) -> None:
    assert wrapped("3.3.0", storage=storage)["ignition"]["version"] == "3.3.0"


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_any_users_config_survives_the_wrapping_to_the_byte(extra: dict[str, str]) -> None:
    data = json.dumps({"ignition": {"version": "3.3.0"}, "x": extra}, ensure_ascii=False).encode()
    wrapper = json.loads(ignition.config(data, hostname="n", disable_network_offload=True))
    assert content_of(wrapper["ignition"]["config"]["merge"][0]["source"]) == data
