"""What a format's module is given to read, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from enlarge.media.metadata import Metadata
from enlarge.media.rows import Rows

_START = 1 << 16


@dataclass(frozen=True)
class PictureFile:
    """An open picture file, at its start. `name`: for messages; `head`: its first 64 bytes; `size`
    in bytes.
    """

    file: BinaryIO
    name: str
    head: bytes
    size: int

    def start(self) -> bytes:
        """The first 64 KiB; the file is at its start again afterwards."""
        data = self.file.read(_START)
        self.file.seek(0)
        return data


@dataclass(frozen=True)
class StoredPicture:
    """A picture as its file stores it.

    `rows` own the file. `kind`: how the file stores colour ("RGB", "palette", …). `decoder_bytes`:
    what the decoder holds at its peak, besides the rows that it gives. `streams`: whether rows are
    decoded as they are read. `orientation`: 1 to 8, still to be applied. `pages`: pictures in the
    file. `notes`: a line for each thing that is lost or converted.
    """

    rows: Rows
    metadata: Metadata
    kind: str
    decoder_bytes: int
    streams: bool = True
    orientation: int = 1
    pages: int = 1
    notes: tuple[str, ...] = ()
