"""What is common to damaged pictures of all formats: what a repair is, and what may be missing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.rows import Rows
from enlarge.media.stored import PictureFile, StoredPicture

Box = tuple[int, int, int, int]
"""A rectangle (x, y, width, height) in pixels as they are stored, before the orientation."""
_AT_ONCE = 8
_MOST_LACKING, _TIMES = 1 << 27, 64


@dataclass(frozen=True)
class Repaired:
    """A copy of a damaged file that its decoder can read to the end.

    `missing`: rectangles of which the file has nothing; the decoder gives something arbitrary
    there. `fail_on`: see `PictureFile`. `fill`: changes the decoded picture
    (height, width, channels) where there is only a part of what a pixel needs. `is_complete`: the
    file has all pixels after all.
    """

    file: BinaryIO
    missing: tuple[Box, ...] = ()
    fail_on: str = "error"
    fill: Callable[[NDArray[Any]], None] | None = None
    is_complete: bool = False

    def completed(self) -> BinaryIO | None:
        """The file if it has all pixels; if not, it is closed."""
        if self.is_complete:
            return self.file
        self.file.close()
        return None


class Repair(Protocol):
    """How the damaged files of one format are read.

    `end`: what its files end with, in words. `can_salvage`: whether its decoder gives anything of a
    picture that is cut off. `is_certain`: whether a file that is not whole lacks pixels even where
    its decoder reports no error. `fail_on`: the faults (see `PictureFile`) that count as damage in
    a file whose structure is whole.
    """

    end: str
    can_salvage: bool = True
    is_certain: bool = False
    fail_on: str = "error"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the file's structure reaches to its end. Pixels are not decoded."""
        ...

    def complete(self, source: PictureFile) -> BinaryIO | None:
        """A copy with the end that the file lacks; None if more than that is missing: what can be
        salvaged, if that is all of it.

        That it decodes without an error is not checked. Raises `InputError`.
        """
        return self.salvage(source).completed()

    def salvage(self, source: PictureFile) -> Repaired:
        """A copy that can be decoded, and what is missing. Raises `InputError` if that is all."""
        ...


def temporary_copy(source: PictureFile, size: int | None = None) -> BinaryIO:
    """A temporary file with the first `size` bytes of the source (default: all), at its end."""
    copy: BinaryIO = tempfile.TemporaryFile(dir=source.scratch, prefix="enlarge-")  # noqa: SIM115
    try:
        source.file.seek(0)
        shutil.copyfileobj(source.file, copy, 1 << 20)
        source.file.seek(0)
        if size is not None:
            copy.truncate(size)
        copy.seek(0, 2)
    except BaseException:
        copy.close()
        raise
    return copy


def most_lacking(source: PictureFile) -> int:
    """The bytes that are made up at most for what a file lacks."""
    return min(_MOST_LACKING, _TIMES * source.size)


class Kept:
    """A file that stays open when its reader closes it."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
        self.fileno, self.flush = file.fileno, file.flush

    def close(self) -> None:
        """Nothing is closed."""


def reopened(file: BinaryIO | Kept, source: PictureFile, *, fail_on: str = "error") -> PictureFile:
    """A copy of the source as a picture file at its start. Whoever reads it closes `file`."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(len(source.head) or 64)
    file.seek(0)
    return replace(source, file=cast(BinaryIO, file), head=head, size=size, fail_on=fail_on)


def read_copy(
    read: Callable[[PictureFile], StoredPicture],
    copy: BinaryIO,
    source: PictureFile,
    *,
    fail_on: str = "error",
) -> StoredPicture:
    """Open a copy of the source, which is closed with its rows, or if it cannot be opened."""
    try:
        return read(reopened(copy, source, fail_on=fail_on))
    except BaseException:
        copy.close()
        raise


def whole_rows(stored: StoredPicture) -> tuple[int, InputError | None]:
    """Decode a picture and close it: the number of rows before an error, and the error."""
    rows = stored.rows
    count = 0
    try:
        while count < rows.height:
            count += len(rows.read(min(_AT_ONCE, rows.height - count)))
    except InputError as error:
        return count, error
    finally:
        rows.close()
    return count, None


def zeros(size: int) -> bytes:
    """So many zero bytes."""
    return bytes(size)


def noise(size: int) -> bytes:
    """So many pseudo-random bytes, the same ones every time."""
    return np.random.default_rng(20).bytes(size)


def ones(size: int) -> bytes:
    """So many bytes of ones."""
    return b"\xff" * size


@dataclass(frozen=True)
class Padding:
    """What of a picture depends on bytes that its file lacks: `missing`, the rectangle in which the
    decodings of copies differ that are padded with different bytes. `fill`: a padding that can be
    decoded. `is_certain`: every padding could.
    """

    missing: tuple[Box, ...]
    fill: Callable[[int], bytes]
    is_certain: bool


def compare_paddings(
    read: Callable[[PictureFile], StoredPicture],
    source: PictureFile,
    padded: Callable[[Callable[[int], bytes]], BinaryIO],
) -> Padding:
    """Decode copies of a file, made by `padded(fill)`, with different bytes for what it lacks.

    Two pictures are held in memory. Raises `InputError` if fewer than two can be decoded.
    """
    first: NDArray[Any] | None = None
    differs: NDArray[np.bool_] | None = None
    usable, failure = [], None
    for fill in (zeros, noise, ones):
        try:
            pixels = all_pixels(read_copy(read, padded(fill), source))
        except InputError as error:
            failure = error
            continue
        usable.append(fill)
        if first is None:
            first = pixels
            continue
        found = (first != pixels).any(axis=2)
        differs = found if differs is None else differs | found
    if differs is None:
        assert failure is not None
        raise failure
    missing: tuple[Box, ...] = ()
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if len(rows):
        left, top = int(columns[0]), int(rows[0])
        missing = ((left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top),)
    return Padding(missing, usable[0], failure is None)


def all_pixels(stored: StoredPicture) -> NDArray[Any]:
    """The whole picture, (height, width, channels), which is closed then. Raises `InputError`."""
    try:
        return stored.rows.read(stored.rows.height)
    finally:
        stored.rows.close()


def missing_share(boxes: tuple[Box, ...], width: int, height: int) -> float:
    """The share of the picture, 0 to 1, that the rectangles (which do not overlap) cover."""
    return sum(box[2] * box[3] for box in boxes) / (width * height)


class GrayRows:
    """Other rows, which it owns, with mid-gray (opaque) in the rectangles `boxes`."""

    def __init__(self, rows: Rows, boxes: tuple[Box, ...]) -> None:
        self.width, self.height = rows.width, rows.height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows
        self._boxes = boxes
        self._next = 0

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        band = self._rows.read(count)
        start, self._next = self._next, self._next + len(band)
        colours = self.channels - (self.channels in (2, 4))
        is_float = self.dtype == np.float32
        top = 1.0 if is_float else float(np.iinfo(self.dtype).max)
        copied = False
        for x, y, width, height in self._boxes:
            first, last = max(y, start), min(y + height, self._next)
            if first >= last:
                continue
            if not copied:
                band, copied = band.copy(), True
            part = band[first - start : last - start, x : x + width]
            part[..., :colours] = 0.5 if is_float else int(top) // 2 + 1
            part[..., colours:] = top
        return band

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()
