"""A reader of ISO 9660 written from ECMA-119 and RRIP for the tests: it shares nothing with the writer's
library.
"""

from collections.abc import Iterator
from dataclasses import dataclass

SECTOR = 2048


@dataclass(frozen=True, kw_only=True)
class Volume:
    kind: int
    volume_id: bytes
    escape: bytes
    dates: tuple[bytes, ...]
    block_count: int
    # name as this volume spells it -> content
    files: dict[str, bytes]
    # Rock Ridge name -> content, and -> mode
    rock_ridge: dict[str, bytes]
    modes: dict[str, int]


def volumes(image: bytes) -> list[Volume]:
    found: list[Volume] = []
    sector = 16
    while True:
        descriptor = image[sector * SECTOR : (sector + 1) * SECTOR]
        assert descriptor[1:6] == b"CD001"
        if descriptor[0] == 255:
            return found
        found.append(_volume(image, descriptor))
        sector += 1


def files_of(image: bytes) -> dict[str, bytes]:
    """By their Rock Ridge names, which is what Linux shows."""
    return volumes(image)[0].rock_ridge


def _volume(image: bytes, descriptor: bytes) -> Volume:
    joliet = descriptor[0] == 2
    files, rock_ridge, modes = {}, {}, {}
    for record in _records(image, descriptor[156:190]):
        identifier = record[33 : 33 + record[32]]
        if identifier in (b"\0", b"\1"):
            continue
        content = _extent(image, record)
        files[identifier.decode("utf-16-be" if joliet else "ascii")] = content
        for signature, entry in _system_use(record):
            if signature == b"NM":
                name = entry[5:].decode()
                rock_ridge[name] = content
            if signature == b"PX":
                modes[identifier.decode()] = int.from_bytes(entry[4:8], "little")
    return Volume(
        kind=descriptor[0],
        volume_id=descriptor[40:72],
        escape=descriptor[88:91],
        dates=tuple(descriptor[813 + 17 * i : 830 + 17 * i] for i in range(4)),
        block_count=int.from_bytes(descriptor[80:84], "little"),
        files=files,
        rock_ridge=rock_ridge,
        modes=modes,
    )


def _extent(image: bytes, record: bytes) -> bytes:
    start = int.from_bytes(record[2:6], "little") * SECTOR
    return image[start : start + int.from_bytes(record[10:14], "little")]


def _records(image: bytes, directory: bytes) -> Iterator[bytes]:
    content = _extent(image, directory)
    position = 0
    while position < len(content) and content[position]:
        yield content[position : position + content[position]]
        position += content[position]


def _system_use(record: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 33 + record[32] + (1 - record[32] % 2)
    while position + 4 <= len(record) and record[position + 2]:
        yield record[position : position + 2], record[position : position + record[position + 2]]
        position += record[position + 2]
