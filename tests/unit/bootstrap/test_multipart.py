import email
import email.policy
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsphere_operator.bootstrap.formats import MIME
from vsphere_operator.bootstrap.multipart import archive

NESTED = (
    b'Content-Type: multipart/mixed; boundary="B"\nMIME-Version: 1.0\n\n'
    b"--B\nContent-Type: text/cloud-config\n\n#cloud-config\na: 1\n"
    b"--B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho\n--B--\n"
)


def leaves(message: bytes) -> list[tuple[str, bytes]]:
    parsed: Message = email.message_from_bytes(message)
    assert not parsed.defects
    parts = [part for part in parsed.walk() if not part.is_multipart()]
    return [(part.get_content_type(), bytes(part.get_payload(decode=True))) for part in parts]


def made(user_data: bytes, user_type: str) -> bytes:
    return archive(
        own_part=b"#cloud-boothook\n",
        own_type="text/cloud-boothook",
        own_name="own",
        user_data=user_data,
        user_type=user_type,
    )


@pytest.mark.parametrize("user_type", ["text/cloud-config", "text/x-shellscript", "text/jinja2"])
@given(user_data=st.binary(min_size=1, max_size=500))
def test_the_users_data_come_out_as_they_went_in(user_type: str, user_data: bytes) -> None:
    own, users = leaves(made(user_data, user_type))
    assert own == ("text/cloud-boothook", b"#cloud-boothook\n")
    assert users == (user_type, user_data)


def test_cloud_init_sees_a_mime_message_at_once() -> None:
    assert made(b"#!", "text/x-shellscript").startswith(b"MIME-Version: 1.0\n")


def test_the_own_part_has_a_file_name_and_comes_first() -> None:
    parsed = email.message_from_bytes(made(b"#!", "text/x-shellscript"))
    first = next(part for part in parsed.walk() if not part.is_multipart())
    assert first.get_filename() == "own"


def test_a_users_archive_is_nested_verbatim() -> None:
    message = made(NESTED, MIME)
    assert NESTED in message
    assert [kind for kind, _ in leaves(message)] == [
        "text/cloud-boothook",
        "text/cloud-config",
        "text/x-shellscript",
    ]


def test_a_users_single_mime_part_is_a_leaf() -> None:
    single = b"MIME-Version: 1.0\nContent-Type: text/cloud-config\n\n#cloud-config\nb: 2\n"
    assert leaves(made(single, MIME))[1][0] == "text/cloud-config"


def test_an_archive_in_an_archive_of_ours_keeps_all_its_parts() -> None:
    inner = made(b"#!/bin/sh\n", "text/x-shellscript")
    kinds = [kind for kind, _ in leaves(made(inner, MIME))]
    assert kinds == ["text/cloud-boothook", "text/cloud-boothook", "text/x-shellscript"]


def test_the_same_parts_make_the_same_message() -> None:
    assert made(NESTED, MIME) == made(NESTED, MIME)
