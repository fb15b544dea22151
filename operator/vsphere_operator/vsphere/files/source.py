"""What is uploaded: something of a known size that can be read again from its beginning."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vsphere_operator.vsphere.faults import invalid

CHUNK = 256 * 1024
"""Bytes in memory at a time."""


@dataclass(frozen=True, slots=True)
class Source:
    """`size` in bytes; `open` gives a new stream each time, which is closed after use."""

    size: int
    open: Callable[[], BinaryIO] = field(repr=False)

    @classmethod
    def of(cls, data: bytes | Path | Source) -> Source:
        """Bytes, or the file at a path as large as it is now. A terminal `VSphereError` for an unreadable one."""
        if isinstance(data, Source):
            return data
        if isinstance(data, bytes):
            return cls(len(data), lambda: io.BytesIO(data))
        path = data
        try:
            return cls(path.stat().st_size, lambda: path.open("rb"))
        except OSError as error:
            raise invalid("SourceUnreadable", f"{path} cannot be read ({error.strerror}).") from error

    def chunks(self) -> Iterator[bytes]:
        """Exactly `size` bytes, or a terminal `VSphereError` when there are fewer."""
        left = self.size
        with self.open() as stream:
            while left:
                chunk = stream.read(min(CHUNK, left))
                if not chunk:
                    words = (
                        f"What was to be uploaded ended {left} bytes before its size of {self.size} bytes."
                    )
                    raise invalid("SourceTooShort", words)
                left -= len(chunk)
                yield chunk
