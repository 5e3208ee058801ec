"""What a format's module is given to read, and what it returns."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from enlarge.errors import OptionError
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.rows import Rows

_START = 1 << 16


@dataclass(frozen=True)
class PictureFile:
    """An open picture file, at its start. `name`: for messages; `head`: its first 64 bytes; `size`
    in bytes. `page`: which of its pictures to read, from 1; None: the main one. `scratch`: the
    folder for temporary files (None: the system's). `fail_on`: which faults of the pixels' data end
    libvips' decoding ("none", "error", "warning"). `advice`: what to do about a damaged file.
    """

    file: BinaryIO
    name: str
    head: bytes
    size: int
    page: int | None = None
    scratch: Path | None = None
    fail_on: str = "error"
    advice: str = "copy or download it again"

    def start(self) -> bytes:
        """The first 64 KiB; the file is at its start again afterwards."""
        data = self.file.read(_START)
        self.file.seek(0)
        return data

    def part(self, offset: int, size: int) -> PictureFile:
        """A picture file inside this one, in memory; this one is closed."""
        self.file.seek(offset)
        data = self.file.read(size)
        self.file.close()
        head = data[: len(self.head)]
        return replace(self, file=io.BytesIO(data), head=head, size=len(data), page=None)


@dataclass(frozen=True)
class Pages:
    """How many pictures a file holds, and which of them is read, from 1. `word`: what the format
    calls one of them. `asked`: whether that one was asked for.
    """

    count: int = 1
    number: int = 1
    word: str = "page"
    asked: bool = False

    def notes(self) -> tuple[str, ...]:
        """A line about the pictures that are left out, unless one was asked for."""
        if self.count == 1 or self.asked:
            return ()
        used = "the first" if self.number == 1 else f"number {self.number}, the main one,"
        return (f"has {self.count:,} {self.word}s; only {used} is used",)


def choose_page(page: int | None, count: int, *, word: str = "page", main: int = 1) -> Pages:
    """The picture that is read of the `count` in a file. `page`: as asked for, from 1 (None: the
    file's `main` one); `word`: what the format calls one. Raises `OptionError` (without the file's
    name) where there is no such picture.
    """
    if page is None:
        return Pages(count, main, word)
    if not 1 <= page <= count:
        raise OptionError(
            f"there is no page {page}: it has {count:,} {word}s; --page takes 1 to {count}, or all"
            if count > 1
            else f"there is no page {page}: it has one picture; leave out --page"
        )
    return Pages(count, page, word, asked=True)


@dataclass(frozen=True)
class StoredPicture:
    """A picture as its file stores it.

    `rows` own the file. `kind`: how the file stores colour ("RGB", "palette", …). `decoder_bytes`:
    what the decoder holds at its peak, besides the rows that it gives. `streams`: whether rows are
    decoded as they are read. `orientation`: 1 to 8, still to be applied. `pages`: the pictures in
    the file. `notes`: a line for each thing that is lost or converted. `quality`: of a JPEG, 1 to
    100 (see `jpeg.quality_of`).
    """

    rows: Rows
    metadata: Metadata
    kind: str
    decoder_bytes: int
    streams: bool = True
    orientation: int = 1
    pages: Pages = Pages()
    notes: tuple[str, ...] = ()
    quality: int | None = None
