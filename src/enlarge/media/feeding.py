"""Pass rows to libvips as they are made, as an uncompressed BigTIFF that is never stored.

libvips has no loader for raw pixels in a stream. An uncompressed TIFF is raw pixels behind a
directory, needs no checksum (unlike PNG) and holds 8, 16 and 32 bits; so libvips is given such a
file piece by piece. It calls `read` and `seek` from its own threads and ignores what a callback
raises: the exception is kept in `failure`, libvips sees the end of the file and fails, and the
caller raises the exception.
"""

from __future__ import annotations

import io
import struct
import sys
import threading
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

_STRIP_ROWS = 16
_SHORT, _LONG, _LONG8 = 3, 4, 16
_NOTHING = memoryview(b"")


def tiff_header(width: int, height: int, channels: int, dtype: np.dtype[Any]) -> bytes:
    """The bytes before the pixels of an uncompressed BigTIFF in this machine's byte order.

    Strips of 16 rows follow directly, one after the other.
    """
    order = "<" if sys.byteorder == "little" else ">"
    row = width * channels * dtype.itemsize
    rows_each = min(_STRIP_ROWS, height)
    strips = -(-height // rows_each)
    counts = np.full(strips, row * rows_each, np.uint64)
    counts[-1] = row * (height - rows_each * (strips - 1))
    colour = 2 if channels >= 3 else 1
    entries: list[tuple[int, int, list[int]]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [dtype.itemsize * 8] * channels),
        (259, _SHORT, [1]),
        (262, _SHORT, [colour]),
        (273, _LONG8, []),
        (277, _SHORT, [channels]),
        (278, _LONG, [rows_each]),
        (279, _LONG8, []),
        (284, _SHORT, [1]),
        (339, _SHORT, [3 if dtype == np.float32 else 1] * channels),
    ]
    if channels in (2, 4):
        entries.insert(-1, (338, _SHORT, [2]))  # straight alpha; tags stay sorted
    arrays_at = 16 + 8 + 20 * len(entries) + 8
    listed = 8 * strips if strips > 1 else 0
    pixels_at = arrays_at + 2 * listed
    offsets = pixels_at + np.arange(strips, dtype=np.uint64) * np.uint64(row * rows_each)
    out = struct.pack(order + "2sHHHQ", b"II" if order == "<" else b"MM", 43, 8, 0, 16)
    out += struct.pack(order + "Q", len(entries))
    for tag, kind, values in entries:
        if tag in (273, 279):
            array = offsets if tag == 273 else counts
            at = arrays_at if tag == 273 else arrays_at + listed
            field = struct.pack(order + "Q", int(array[0]) if strips == 1 else at)
            count = strips
        else:
            code = {_SHORT: "H", _LONG: "I"}[kind]
            field = struct.pack(order + code * len(values), *values).ljust(8, b"\0")
            count = len(values)
        out += struct.pack(order + "HHQ", tag, kind, count) + field
    out += bytes(8)
    if strips > 1:
        out += offsets.tobytes() + counts.tobytes()
    return out


class Feed:
    """A pipe of rows: `put` in one thread, read by libvips in others. At most one band waits."""

    def __init__(self, width: int, height: int, channels: int, dtype: np.dtype[Any]) -> None:
        self.failure: BaseException | None = None
        self._header = tiff_header(width, height, channels, dtype)
        self._length = len(self._header) + width * height * channels * dtype.itemsize
        self._at = 0  # where libvips reads next
        self._given = len(self._header)  # how far the pixels were handed out
        self._waiting: memoryview | None = None
        self._current = _NOTHING
        self._open = True
        self._changed = threading.Condition()

    def image(self) -> pyvips.Image:
        """The picture for libvips, to be read once, from top to bottom."""
        # Kept: libvips calls into this object even when Python has no other reference to it.
        self._source = pyvips.SourceCustom()
        self._source.on_read(self._read)
        self._source.on_seek(self._seek)
        # `unlimited`: libtiff must not refuse the size of what we ourselves describe.
        return pyvips.Image.tiffload_source(
            self._source, access="sequential", fail_on="error", unlimited=True
        )

    def put(self, band: NDArray[Any]) -> bool:
        """Pass rows (contiguous, not changed afterwards) on; blocks while another band waits.

        False if libvips stopped reading: the rows were not taken.
        """
        data = band.data.cast("B")
        with self._changed:
            self._changed.wait_for(lambda: self._waiting is None or not self._open)
            if not self._open:
                return False
            self._waiting = data
            self._changed.notify_all()
            return True

    def close(self) -> None:
        """End the pipe: `put` returns False, libvips reads the end of the file."""
        with self._changed:
            self._open = False
            self._waiting, self._current = None, _NOTHING
            self._changed.notify_all()

    def _read(self, size: int) -> bytes | memoryview:
        try:
            piece = self._next(size)
        except BaseException as error:  # libvips would swallow it
            self.failure = error
            return b""
        self._at += len(piece)
        return piece

    def _next(self, size: int) -> bytes | memoryview:
        if self._at < len(self._header):
            return self._header[self._at : self._at + size]
        if self._at >= self._length:
            return b""
        if self._at != self._given:
            raise io.UnsupportedOperation(f"rows are read at {self._at}, not at {self._given}")
        if not self._current:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or not self._open)
                if self._waiting is None:
                    return b""
                self._current, self._waiting = self._waiting, None
                self._changed.notify_all()
        piece, rest = self._current[:size], self._current[size:]
        # An empty piece of a band would keep the band, for as long as pyvips and this object, which
        # know each other, wait for the collector.
        self._current = rest or _NOTHING
        self._given += len(piece)
        return piece

    def _seek(self, offset: int, whence: int) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        self._at = base + offset
        return self._at
