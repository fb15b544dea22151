"""A MIME archive of the operator's own part and the user's data, which stay what they are, to the byte.

Written by hand, not with `email`: that package re-encodes and re-wraps what it is given, and its boundaries
are random.
"""

import base64

from vsphere_operator.bootstrap.formats import MIME


def archive(*, own_part: bytes, own_type: str, own_name: str, user_data: bytes, user_type: str) -> bytes:
    """One multipart message: the own part first, then the user's.

    User data that are a MIME message themselves become a nested one, verbatim; all else is a base64 part, so
    that line ends, long lines and a missing last newline survive.
    """
    disposition = f'Content-Disposition: attachment; filename="{own_name}"\n'.encode("ascii")
    user_part = user_data if user_type == MIME else _leaf(user_data, user_type)
    parts = [_leaf(own_part, own_type, disposition), user_part]
    boundary = _boundary_outside(parts)
    message = [f'MIME-Version: 1.0\nContent-Type: {MIME}; boundary="{boundary}"\n\n'.encode("ascii")]
    message += [b"--%s\n%s\n" % (boundary.encode("ascii"), part) for part in parts]
    message.append(f"--{boundary}--\n".encode("ascii"))
    return b"".join(message)


def _leaf(payload: bytes, content_type: str, extra_headers: bytes = b"") -> bytes:
    headers = (
        f'Content-Type: {content_type}; charset="utf-8"\nMIME-Version: 1.0\n'
        "Content-Transfer-Encoding: base64\n"
    ).encode("ascii")
    return headers + extra_headers + b"\n" + base64.encodebytes(payload)


def _boundary_outside(parts: list[bytes]) -> str:
    number = 0
    while any(_boundary(number).encode("ascii") in part for part in parts):
        number += 1
    return _boundary(number)


def _boundary(number: int) -> str:
    # The closing character keeps number 1 from being the beginning of number 10.
    return f"===vsphere-operator-{number}==="
