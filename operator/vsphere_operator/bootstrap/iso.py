"""An ISO 9660 image with Joliet and Rock Ridge, the same bytes for the same files, whenever and wherever it
is made.

pycdlib takes all its dates from the clock and the local time zone, the last ones while it writes. So they are
set afterwards, in the image: field offsets from ECMA-119 (8.4, 9.1), those of Rock Ridge from SUSP 1.12 and
RRIP 1.12.
"""

import io
from collections.abc import Iterator, Mapping

SECTOR = 2048
_FIRST_DESCRIPTOR = 16
_PRIMARY, _SUPPLEMENTARY, _TERMINATOR = 1, 2, 255
_DESCRIPTOR_DATES = 813  # creation, modification, expiration, effective: 17 bytes each
_ROOT_RECORD = 156
_RECORD_DATE = 18  # 7 bytes
# 2000-01-01T00:00:00Z; the expiration stays "not specified".
_LONG_DATE = b"2000010100000000\x00"
_NO_LONG_DATE = b"0" * 16 + b"\x00"
_SHORT_DATE = bytes([100, 1, 1, 0, 0, 0, 0])
# Root alone reads bootstrap data when somebody leaves the medium mounted.
_FILE_MODE = 0o100400


def image(*, volume_id: str, files: Mapping[str, bytes]) -> bytes:
    """An image with these files in its root directory, whatever the order they come in."""
    return _with_fixed_dates(_written(volume_id, files))


def _written(volume_id: str, files: Mapping[str, bytes]) -> bytes:
    import pycdlib  # late: a large module that a process with no image to make need not load

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=volume_id)
    try:
        for name in sorted(files):
            content = files[name]
            iso.add_fp(
                io.BytesIO(content),
                len(content),
                iso_path=f"/{_plain_name(name)}.;1",
                rr_name=name,
                joliet_path=f"/{name}",
                file_mode=_FILE_MODE,
            )
        out = io.BytesIO()
        iso.write_fp(out)
        return out.getvalue()
    finally:
        iso.close()


def _plain_name(name: str) -> str:
    # Only a reader without Joliet and Rock Ridge sees it: letters, digits and underscores.
    return name.upper().replace("-", "_")


def _with_fixed_dates(written: bytes) -> bytes:
    image = bytearray(written)
    for descriptor in _descriptors(image):
        dates = descriptor + _DESCRIPTOR_DATES
        image[dates : dates + 68] = _LONG_DATE + _LONG_DATE + _NO_LONG_DATE + _LONG_DATE
        root = descriptor + _ROOT_RECORD
        _fix_record(image, root)
        for record in _records(image, root):
            _fix_record(image, record)
    return bytes(image)


def _descriptors(image: bytearray) -> Iterator[int]:
    position = _FIRST_DESCRIPTOR * SECTOR
    while image[position] != _TERMINATOR:
        if image[position] in (_PRIMARY, _SUPPLEMENTARY):
            yield position
        position += SECTOR


def _records(image: bytearray, directory: int) -> Iterator[int]:
    start = _number(image, directory + 2) * SECTOR
    end = start + _number(image, directory + 10)
    position = start
    while position < end:
        length = image[position]
        if length == 0:  # a record never crosses a sector: the rest of this one is padding
            position = (position // SECTOR + 1) * SECTOR
            continue
        yield position
        position += length


def _fix_record(image: bytearray, record: int) -> None:
    date = record + _RECORD_DATE
    image[date : date + 7] = _SHORT_DATE
    name_length = image[record + 32]
    system_use = record + 33 + name_length + (1 - name_length % 2)
    _fix_system_use(image, system_use, record + image[record])


def _fix_system_use(image: bytearray, position: int, end: int) -> None:
    while position + 4 <= end and image[position + 2] >= 4:
        signature, length = bytes(image[position : position + 2]), image[position + 2]
        if signature == b"TF":  # seven-byte dates follow the flags; pycdlib never writes the long form
            image[position + 5 : position + length] = _SHORT_DATE * ((length - 5) // 7)
        if signature == b"CE":
            area = _number(image, position + 4) * SECTOR + _number(image, position + 12)
            _fix_system_use(image, area, area + _number(image, position + 20))
        position += length


def _number(image: bytearray, position: int) -> int:
    return int.from_bytes(image[position : position + 4], "little")
