"""Damaged PNGs: written anew from what can be inflated."""

from __future__ import annotations

import os
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.bounded import read_at_most
from enlarge.media.formats.png_chunks import SIGNATURE, chunks_of, png_chunk
from enlarge.media.repair.repair import Box, Repair, Repaired
from enlarge.media.stored import PictureFile

_END = png_chunk(b"IEND", b"")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
           (0, 1, 1, 2))  # fmt: skip
"""Adam7: first column, first row, and the steps between columns and between rows."""
_GRIDS = ((8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
"""Of each pass but the first: the steps between the pixels that the passes before it bring."""
_NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS"})
_NAME = re.compile(rb"[A-Za-z]{4}")
_PIECE, _OUTPUT = 4096, 1 << 16
_LAST_FILTER = 4
_CHECKSUM = 16
"""Bytes that can follow the pixels' own: the end of the last block, an empty one, the checksum."""
_MOST_PER_BYTE = 1040


class PngRepair(Repair):
    """See `Repair`."""

    end = "its last chunk (IEND)"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether chunk follows chunk up to an intact IEND."""
        file = source.file
        try:
            file.seek(-len(_END), os.SEEK_END)
            if file.read() == _END:
                return True
            return any(
                kind == b"IEND" and length == 0 and file.read(4) == _END[8:]
                for kind, _, length in chunks_of(file)
            )
        finally:
            file.seek(0)

    def salvage(self, source: PictureFile) -> Repaired:
        """The file, written anew, as far as it can be inflated; the rest is filled with zeros."""
        layout = _layout(source.head[16:29])
        total = layout.total
        if total > _MOST_PER_BYTE * source.size:
            raise InputError(
                f"this PNG claims {total:,} bytes of pixels, which {source.size:,} bytes cannot "
                "hold; it is truncated or malicious"
            )
        out: BinaryIO = tempfile.TemporaryFile(dir=source.scratch, prefix="enlarge-")  # noqa: SIM115
        try:
            out.write(SIGNATURE)
            stream, is_doubtful = _Pixels(out, layout), False
            for kind, data, is_sound in _chunks(source.file):
                if kind == b"IDAT":
                    # Zeros at the end of a damaged chunk are of a file that had its full size
                    # before its content came.
                    stream.write(data if is_sound else data.rstrip(b"\0"))
                    is_doubtful = is_doubtful or not is_sound
                elif kind != b"IEND" and (is_sound or kind in _NEEDED):
                    stream.pause()
                    out.write(png_chunk(kind, data))
            rows = layout.complete_rows(stream.inflated)
            is_complete = stream.is_complete(doubtful=is_doubtful)
            stream.finish()
            out.write(_END)
        except BaseException:
            out.close()
            raise
        first = rows[0] * (8 if layout.interlaced else 1)
        missing: tuple[Box, ...] = ()
        if first < layout.height:
            missing = ((0, first, layout.width, layout.height - first),)
        fill = partial(_coarse, rows=rows) if layout.interlaced and not is_complete else None
        return Repaired(out, missing, fill=fill, is_complete=is_complete)


class _Pixels:
    """The pixels' stream, inflated as far as it can be and deflated again."""

    def __init__(self, out: BinaryIO, layout: _Layout) -> None:
        self.inflated = 0
        self._out, self._layout, self._total = out, layout, layout.total
        self._inflate = zlib.decompressobj()
        self._deflate = zlib.compressobj(1)
        self._waiting = bytearray()
        self._ended = False
        self._over = self._has_failed = False
        self._behind = 0  # bytes behind those that the pixels need

    def is_complete(self, *, doubtful: bool) -> bool:
        """Whether all pixels were inflated, and their checksum is right, or is all that is missing.
        `doubtful`: a chunk has a wrong checksum, or none.
        """
        if self.inflated < self._total:
            return False
        is_cut = doubtful and not self._has_failed and self._behind <= _CHECKSUM
        return self._inflate.eof or is_cut

    def write(self, data: bytes) -> None:
        """The data of the next IDAT chunk."""
        if self.inflated >= self._total:
            self._behind += len(data)
        for at in range(0, len(data), _PIECE):
            if self._over:
                return
            piece, before = data[at : at + _PIECE], self._inflate.copy()
            left = self._total - self.inflated
            try:
                self._add(self._inflate.decompress(piece))
            except zlib.error:  # the bytes before the error are given one by one
                self._add_bytes(before, piece)
                self._over = self._has_failed = True
                return
            if left > 0 and self.inflated >= self._total:
                self._behind = len(data) - at - _bytes_needed(before, piece, left)

    def _add_bytes(self, inflate: Any, piece: bytes) -> None:
        for byte in piece:
            try:
                self._add(inflate.decompress(bytes([byte])))
            except zlib.error:
                return
            if self._over:
                return

    def _add(self, data: bytes) -> None:
        data = data[: self._total - self.inflated]
        for at in self._layout.row_starts(self.inflated, self.inflated + len(data)):
            if data[at - self.inflated] > _LAST_FILTER:  # damaged data that can be inflated
                data, self._over = data[: at - self.inflated], True
                break
        self.inflated += len(data)
        self._put(self._deflate.compress(data))

    def _put(self, data: bytes) -> None:
        if self._ended:
            return
        self._waiting += data
        if len(self._waiting) >= _OUTPUT:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._out.write(png_chunk(b"IDAT", bytes(self._waiting)))
            self._waiting.clear()

    def pause(self) -> None:
        """Another chunk comes. IDAT chunks must follow each other, so that behind the first the
        stream ends here.
        """
        if self.inflated and not self._ended:
            self.finish()
            self._over = True

    def finish(self) -> None:
        """Fill up with zeros, and end the stream."""
        left = self._total - self.inflated
        while left > 0 and not self._ended:
            count = min(left, 1 << 20)
            self._put(self._deflate.compress(bytes(count)))
            left -= count
        self._put(self._deflate.flush() if not self._ended else b"")
        self._flush()
        self._ended = True


def _bytes_needed(inflate: Any, piece: bytes, size: int) -> int:
    """The bytes of a piece from which so many are inflated."""
    for number, byte in enumerate(piece, 1):
        size -= len(inflate.decompress(bytes([byte])))
        if size <= 0:
            return number
    return len(piece)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, data and whether the checksum is right, of every chunk; of the last, what there is.

    Where no chunk can begin, the next pixel data are looked for.
    """
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        start = file.tell()
        if not _NAME.fullmatch(kind) or length >= 1 << 31:
            if not _seek_pixels(file, start - 8):
                return
            continue
        data = read_at_most(file, length)
        checksum = file.read(4) if len(data) == length else b""
        is_sound = checksum == struct.pack(">I", zlib.crc32(kind + data))
        if not is_sound and kind == b"IDAT" and (at := data.find(b"IDAT", 4)) > 0:
            # The length is wrong: another chunk begins within.
            data = data[: max(at - 8, 0)]
            file.seek(start + at - 4)
        yield kind, data, is_sound
        if kind == b"IEND":
            return
        if len(data) < length and kind != b"IDAT":
            return


def _seek_pixels(file: BinaryIO, start: int) -> bool:
    """Go to the next chunk of pixels from `start` on; False if there is none."""
    file.seek(start)
    data = file.read()
    at = data.find(b"IDAT", 5)
    if at < 0:
        return False
    file.seek(start + at - 4)
    return True


@dataclass(frozen=True)
class _Layout:
    """The rows of the pixels' stream: of each pass, bytes of a row and the number of rows."""

    width: int
    height: int
    interlaced: bool
    passes: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        """Bytes of the stream."""
        return sum(size * rows for size, rows in self.passes)

    def row_starts(self, start: int, stop: int) -> Iterator[int]:
        """The places of rows' first bytes from `start` to `stop` in the stream."""
        begun = 0
        for size, rows in self.passes:
            if size and begun < stop and begun + size * rows > start:
                first = begun + max(-(-(start - begun) // size), 0) * size
                yield from range(first, min(stop, begun + size * rows), size)
            begun += size * rows

    def complete_rows(self, count: int) -> list[int]:
        """The rows of each pass that the first `count` bytes bring."""
        found = []
        for size, rows in self.passes:
            found.append(min(count // size, rows) if size else rows)
            count = max(count - size * rows, 0)
        return found


def _layout(header: bytes) -> _Layout:
    """From the data of IHDR. Raises `InputError`."""
    if len(header) < 13:
        raise InputError("this PNG ends within its header")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or interlaced > 1:
        raise InputError("this PNG's header is damaged: it does not say how pixels are stored")
    bits = depth * _CHANNELS[colour]
    passes = []
    for x, y, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        is_empty = columns < 1 or rows < 1
        passes.append((0, 0) if is_empty else (1 + (columns * bits + 7) // 8, rows))
    return _Layout(width, height, bool(interlaced), tuple(passes))


def _coarse(pixels: NDArray[Any], rows: list[int]) -> None:
    """Give the pixels of passes of which only the first `rows` are there the colour of the pixel
    above and to the left that an earlier pass brought.
    """
    height, width = pixels.shape[:2]
    for (x, y, across, down), (step_x, step_y), count in zip(
        _PASSES[1:], _GRIDS, rows[1:], strict=True
    ):
        columns, lines = np.arange(x, width, across), np.arange(y + count * down, height, down)
        pixels[lines[:, None], columns] = pixels[
            (lines // step_y * step_y)[:, None], columns // step_x * step_x
        ]
