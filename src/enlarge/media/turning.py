"""Rotate and mirror pictures by their orientation, in memory or through a temporary file.

EXIF's orientations 1 to 8: 5 to 8 swap the axes; then rows, columns or both are reversed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError, OutputError
from enlarge.media.rows import ArrayRows, Rows

BAND_BYTES = 8 << 20
"""Size of a block of a temporary file, and so of a band in memory."""


def swaps_axes(orientation: int) -> bool:
    """Whether an orientation swaps width and height."""
    return orientation >= 5


def in_order(orientation: int) -> bool:
    """Whether the upright rows are in the order of the file's rows."""
    return orientation in (1, 2)


def turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """An upright view of an array (H, W, C), of any dtype, that is stored in an orientation."""
    if swaps_axes(orientation):
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


class MirroredRows:
    """Rows with left and right swapped (orientation 2). Owns the rows it reads from."""

    def __init__(self, rows: Rows) -> None:
        self.width, self.height = rows.width, rows.height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows = rows

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        return self._rows.read(count)[:, ::-1]

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()


def _bands(rows: Rows, band: int) -> Iterator[tuple[int, NDArray[Any]]]:
    for start in range(0, rows.height, band):
        yield start, rows.read(band)


def _band_rows(rows: Rows) -> int:
    return max(1, BAND_BYTES // (rows.width * rows.channels * rows.dtype.itemsize))


def turned_in_memory(rows: Rows, orientation: int) -> ArrayRows:
    """All rows, upright, in one array. Closes the source. Raises `InputError`."""
    height, width = rows.height, rows.width
    shape = (width, height) if swaps_axes(orientation) else (height, width)
    upright = np.empty((*shape, rows.channels), rows.dtype)
    # Turning is its own inverse but for 6 and 8, which undo each other.
    stored = turned(upright, {6: 8, 8: 6}.get(orientation, orientation))
    for start, band in _bands(rows, _band_rows(rows)):
        stored[start : start + len(band)] = band
    rows.close()
    return ArrayRows(upright)


class FileRows:
    """All rows of another picture, upright, in a temporary file that is deleted when closed.

    If the axes are swapped, the file holds one block for each band of the source, already rotated;
    a band of the result is then a piece of every block. Peak memory: one block (`BAND_BYTES`) while
    it is filled, the requested band while it is read.
    """

    def __init__(self, rows: Rows, orientation: int, folder: Path | None = None) -> None:
        self.channels, self.dtype = rows.channels, rows.dtype
        self.height, self.width = rows.height, rows.width
        self._blocks = [(0, self.width)]  # first column and columns of each block, in file order
        self._next = 0
        if swaps_axes(orientation):
            self.height, self.width = self.width, self.height
        band = _band_rows(rows)
        try:
            self._file = tempfile.TemporaryFile(  # noqa: SIM115
                dir=folder, prefix="enlarge-", buffering=0
            )
        except OSError as error:
            raise OutputError(
                f"cannot create a temporary file: {error}; set TMPDIR to another folder"
            ) from error
        try:
            self._fill(rows, orientation, band)
        except BaseException:
            self._file.close()
            raise
        finally:
            rows.close()

    def _fill(self, rows: Rows, orientation: int, band: int) -> None:
        swapped = swaps_axes(orientation)
        if swapped:
            self._blocks = []
        pixel = self.channels * self.dtype.itemsize
        for start, part in _bands(rows, band):
            block = np.ascontiguousarray(turned(part, orientation))
            backwards = orientation in (3, 4, 6, 7)
            first = rows.height - start - len(part) if backwards else start
            if swapped:
                self._blocks.append((first, len(part)))
                offset = start * rows.width * pixel
            else:
                offset = first * rows.width * pixel
            self._write(offset, block)

    def _write(self, offset: int, block: NDArray[Any]) -> None:
        data = block.data.cast("B")
        try:
            self._file.seek(offset)
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise OutputError(
                f"cannot write the temporary file in {tempfile.gettempdir()}: {error}; free some "
                "space, set TMPDIR to another folder, or allow more memory"
            ) from error

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        start, self._next = self._next, min(self._next + count, self.height)
        count = self._next - start
        band = np.empty((count, self.width, self.channels), self.dtype)
        pixel = self.channels * self.dtype.itemsize
        offset = 0
        for first, columns in self._blocks:
            piece = band if columns == self.width else np.empty_like(band[:, :columns])
            self._read(offset + start * columns * pixel, piece)
            if piece is not band:
                band[:, first : first + columns] = piece
            offset += self.height * columns * pixel
        return band

    def _read(self, offset: int, piece: NDArray[Any]) -> None:
        if not piece.size:
            return
        data = piece.data.cast("B")
        self._file.seek(offset)
        while data:
            got = self._file.readinto(data)
            if not got:
                raise InputError("the temporary file is incomplete; the disk may be full")
            data = data[got:]

    def close(self) -> None:
        """Close the file, which deletes it."""
        self._file.close()
