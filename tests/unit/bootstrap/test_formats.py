import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.bootstrap.errors import (
    BootstrapError,
    DataTooLargeError,
    EmptyDataError,
    InvalidCloudConfigError,
    UndecodableDataError,
    UnknownFormatError,
)
from vsphere_operator.bootstrap.formats import (
    MIME,
    USER_DATA_LIMIT,
    check_cloud_config,
    content_type_of,
    fill_in,
    unpack,
)

SECRET = "s3cr3t-t0ken"


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"#cloud-config\n", "text/cloud-config"),
        (b"\n\n  #Cloud-Config\nx: 1", "text/cloud-config"),
        (b"#cloud-config-archive\n- x", "text/cloud-config-archive"),
        (b"#cloud-config-jsonp\n[]", "text/cloud-config-jsonp"),
        (b"#!/bin/sh\n", "text/x-shellscript"),
        (b"## template: jinja\n#cloud-config\n", "text/jinja2"),
        (b"#include\nhttps://x\n", "text/x-include-url"),
        (b"#include-once\nhttps://x\n", "text/x-include-once-url"),
        (b"#cloud-boothook\n#!/bin/sh", "text/cloud-boothook"),
        (b"#part-handler\n", "text/part-handler"),
        (b'Content-Type: multipart/mixed; boundary="x"\nMIME-Version: 1.0\n\n--x--', MIME),
        (b"Mime-version: 1.0\nContent-Type: text/cloud-config\n\n#cloud-config\n", MIME),
    ],
)
def test_a_format_is_recognised_as_cloud_init_does(data: bytes, content_type: str) -> None:
    assert content_type_of(data) == content_type


@pytest.mark.parametrize(
    "data", [b"hello", b"\xef\xbb\xbf#cloud-config\n", b"# cloud-config\n", b"users: []"]
)
def test_what_cloud_init_would_skip_is_refused(data: bytes) -> None:
    with pytest.raises(UnknownFormatError, match="begin with #cloud-config or #!"):
        content_type_of(data)


def test_ignition_for_a_cloud_init_system_is_named_as_such() -> None:
    with pytest.raises(UnknownFormatError, match="look like Ignition"):
        content_type_of(b' {"ignition": {"version": "3.3.0"}}')


@pytest.mark.parametrize("data", [b"", b" \n\t", gzip.compress(b"", mtime=0), gzip.compress(b"\n", mtime=0)])
def test_no_data_are_refused(data: bytes) -> None:
    with pytest.raises(EmptyDataError, match="put the user data into the Secret"):
        unpack(data)


def test_gzip_is_unpacked() -> None:
    assert unpack(gzip.compress(b"#!/bin/sh\n", mtime=0)) == b"#!/bin/sh\n"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe#\x00!\x00",
        b"#!/bin/sh\n\xe9",
        b"\x1f\x8bnot gzip",
        gzip.compress(b"#!/bin/sh\n" * 50, mtime=0)[:-12],
        gzip.compress(gzip.compress(b"#!/bin/sh\n", mtime=0), mtime=0),
    ],
)
def test_what_is_not_text_is_refused(data: bytes) -> None:
    with pytest.raises(UndecodableDataError):
        unpack(data)


def test_one_byte_less_than_16_mib_is_taken_and_16_mib_are_not() -> None:
    assert len(unpack(b"a" * (USER_DATA_LIMIT - 1))) == USER_DATA_LIMIT - 1
    with pytest.raises(DataTooLargeError, match="fetch the rest by URL"):
        unpack(b"a" * USER_DATA_LIMIT)


def test_gzip_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(DataTooLargeError):
        unpack(gzip.compress(b"a" * (USER_DATA_LIMIT * 2), mtime=0))


@pytest.mark.parametrize(
    "placeholder",
    [
        b"<MACHINE_NAME>",
        b"%3CMACHINE_NAME%3E",
        b"%3cMACHINE_NAME%3e",
        rb"\u003cMACHINE_NAME\u003e",
        rb"\u003CMACHINE_NAME\u003E",
    ],
)
def test_each_spelling_of_the_placeholder_is_filled_in_everywhere(placeholder: bytes) -> None:
    data = b"a " + placeholder + b" b " + placeholder
    assert fill_in(data, machine_name="md-1") == b"a md-1 b md-1"


@pytest.mark.parametrize("text", [b"<machine_name>", b"MACHINE_NAME", b"<MACHINE_NAME", b"$MACHINE_NAME"])
def test_what_only_resembles_the_placeholder_stays(text: bytes) -> None:
    assert fill_in(text, machine_name="md-1") == text


@given(st.binary(max_size=200))
def test_data_without_the_placeholder_are_untouched(data: bytes) -> None:
    if b"MACHINE_NAME" not in data:
        assert fill_in(data, machine_name="md-1") == data


@pytest.mark.parametrize(
    "data",
    [
        b"#cloud-config\n",
        b"#cloud-config\nusers: [{name: a}]\n",
        b"#cloud-config\n{}\n",
        b"#cloud-config\n---\n",
        b"#cloud-config\n--- ~\n...\n",
        b"#cloud-config\nx: !!python/unicode y\n",
        b"#cloud-config\na: &x {b: 1}\nc: *x\nd: {<<: *x}\n",
        b"#cloud-config\na: " + b"[" * 99 + b"]" * 99,
    ],
)
def test_a_mapping_or_nothing_is_a_cloud_config(data: bytes) -> None:
    check_cloud_config(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (f"#cloud-config\nruncmd: [ {SECRET}\n", "line 3, column 1"),
        (f"#cloud-config\na: b: {SECRET}\n", "line 2, column 5"),
        (f"#cloud-config\n- {SECRET}\n", "not a YAML mapping"),
        (f"#cloud-config\n{SECRET}\n", "not a YAML mapping"),
        (f"#cloud-config\na: 1\n--- \n{SECRET}: 1\n", "line 3, column 1"),
        (f"#cloud-config\na: *{SECRET}\n", "anchor that is not set at line 2, column 4"),
        (f"#cloud-config\na: {SECRET}\x00\n", "control characters"),
        ("#cloud-config\na: " + "[" * 100_000, "more than 100 levels"),
        ("#cloud-config\n" + "".join(" " * n + "a:\n" for n in range(200)), "more than 100 levels"),
    ],
)
def test_an_invalid_cloud_config_is_refused_with_the_place_and_without_the_data(data: str, says: str) -> None:
    with pytest.raises(InvalidCloudConfigError) as refused:
        check_cloud_config(data.encode())
    assert says in str(refused.value)
    assert_no_trace_of(SECRET, refused.value)


@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"", b"#cloud-config\n", b"{", b"\x1f\x8b\x08"]))
def test_any_bytes_are_taken_or_refused_in_words(data: bytes, start: bytes) -> None:
    error = refusal(start + data)
    if error is not None:
        assert error.__context__ is None
        assert len(str(error)) > 40


def refusal(data: bytes) -> BootstrapError | None:
    try:
        text = unpack(data)
        if content_type_of(text) == "text/cloud-config":
            check_cloud_config(text)
    except BootstrapError as error:
        return error
    return None


def assert_no_trace_of(secret: str, error: BaseException) -> None:
    assert secret not in str(error)
    # A chained parser error would carry its whole input into any traceback.
    assert error.__cause__ is None
    assert error.__context__ is None
