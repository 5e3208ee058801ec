"""A decoder of uncompressed BMP: 1, 4 and 8 bits with a palette, 16, 24 and 32 bits, in either
row order.

libvips does not read BMP. Layout: [MS-WMF] 2.2.2 and Windows' BITMAPV5HEADER.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError

_RGB, _RLE8, _RLE4, _BITFIELDS, _ALPHABITFIELDS = 0, 1, 2, 3, 6
_COMPRESSED = {_RLE8: "run-length", _RLE4: "run-length", 4: "JPEG", 5: "PNG"}


@dataclass(frozen=True)
class Header:
    """A BMP's header. `palette`: uint8 (n, 3) RGB; `masks`: of red, green, blue and alpha in pixels
    of 16 or 32 bits; `stride`: bytes per row; `density`: pixels per millimetre.
    """

    width: int
    height: int
    bits: int
    top_down: bool
    pixels_at: int
    stride: int
    palette: NDArray[np.uint8] | None
    masks: tuple[int, int, int, int] | None
    icc: bytes | None
    density: tuple[float, float] | None

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, without its padding."""
        return (self.width * self.bits + 7) // 8

    @property
    def channels(self) -> int:
        """1 for a gray palette, 4 where there is an alpha mask, else 3."""
        if self.palette is not None:
            gray = (self.palette == self.palette[:, :1]).all()
            return 1 if gray else 3
        return 4 if self.masks is not None and self.masks[3] else 3


def read_header(file: BinaryIO, *, cut: bool = False) -> Header:
    """Read the header and check that the file holds all pixels, unless it may be `cut` off. Raises
    `InputError` (without the file's name).
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(14 + 124)
    try:
        pixels_at, size = struct.unpack_from("<II", head, 10)
        if size == 12:
            width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
            compression, used, density = _RGB, 0, None
        else:
            width, height, _, bits, compression, _, across, down, used = struct.unpack_from(
                "<iiHHIIiiI", head, 18
            )
            density = (across / 1000, down / 1000) if across > 0 and down > 0 else None
        masks = _masks(head, size, bits, compression)
    except struct.error as error:
        raise InputError("this BMP ends within its header; copy or download it again") from error
    if compression in _COMPRESSED:
        raise InputError(
            f"this BMP is compressed ({_COMPRESSED[compression]}), which is not "
            "supported; save it uncompressed, or as PNG"
        )
    known = compression in (_RGB, _BITFIELDS, _ALPHABITFIELDS)
    if bits not in (1, 4, 8, 16, 24, 32) or not known:
        raise InputError(
            f"this BMP has {bits} bits per pixel and compression {compression}, which is not "
            "supported; save it as PNG"
        )
    top_down, height = height < 0, abs(height)
    if width < 1 or height < 1:
        raise InputError(f"this BMP claims a size of {width}×{height}")
    palette = _palette(file, size, bits, used) if bits <= 8 else None
    stride = (width * bits + 31) // 32 * 4
    need = pixels_at + stride * height
    if need - stride + (width * bits + 7) // 8 > length and not cut:
        raise InputError(
            f"this BMP of {width}×{height} pixels needs {need:,} bytes, but the file has "
            f"{length:,}; it is truncated; copy or download it again"
        )
    return Header(
        width, height, bits, top_down, pixels_at, stride, palette, masks, _icc(file, head), density
    )


def _masks(head: bytes, size: int, bits: int, compression: int) -> tuple[int, int, int, int] | None:
    if bits not in (16, 32):
        return None
    if compression in (_BITFIELDS, _ALPHABITFIELDS):
        red, green, blue, alpha = struct.unpack_from("<IIII", head, 54)
        # Before version 3 of the header nothing follows the blue mask but the pixels.
        alpha = alpha if size >= 56 or compression == _ALPHABITFIELDS else 0
        return red, green, blue, alpha
    return (0x7C00, 0x3E0, 0x1F, 0) if bits == 16 else (0xFF0000, 0xFF00, 0xFF, 0)


def _palette(file: BinaryIO, size: int, bits: int, used: int) -> NDArray[np.uint8]:
    entry = 3 if size == 12 else 4
    count = min(used or 1 << bits, 1 << bits)
    file.seek(14 + size)
    data = file.read(count * entry)
    if len(data) < count * entry:
        raise InputError("this BMP ends within its palette; copy or download it again")
    table = np.zeros((1 << bits, 3), np.uint8)
    table[:count] = np.frombuffer(data, np.uint8).reshape(count, entry)[:, 2::-1]
    return table


def _icc(file: BinaryIO, head: bytes) -> bytes | None:
    if len(head) < 138 or struct.unpack_from("<I", head, 14)[0] < 124 or head[70:74] != b"DEBM":
        return None
    offset, size = struct.unpack_from("<II", head, 126)
    file.seek(14 + offset)
    return file.read(min(size, 1 << 26)) or None


class BmpRows:
    """A BMP's rows from top to bottom, in whichever order they are stored. Owns the file."""

    def __init__(self, file: BinaryIO, header: Header) -> None:
        self.width, self.height, self.channels = header.width, header.height, header.channels
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._file = file
        self._header = header
        self._next = 0

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        header = self._header
        start, self._next = self._next, min(self._next + count, self.height)
        count = self._next - start
        first = start if header.top_down else self.height - self._next
        self._file.seek(header.pixels_at + first * header.stride)
        data = self._file.read(count * header.stride)
        if len(data) < count * header.stride - 3:  # the last row may lack its padding
            raise InputError("this BMP became shorter while it was read")
        rows = np.frombuffer(data.ljust(count * header.stride, b"\0"), np.uint8)
        rows = rows.reshape(count, header.stride)
        if not header.top_down:
            rows = rows[::-1]
        return self._pixels(rows)

    def _pixels(self, rows: NDArray[np.uint8]) -> NDArray[Any]:
        header, width = self._header, self.width
        if header.palette is not None:
            per_byte = 8 // header.bits
            shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * np.uint8(header.bits)
            index = (rows[:, :, None] >> shifts) & np.uint8((1 << header.bits) - 1)
            index = index.reshape(len(rows), header.stride * per_byte)[:, :width]
            out: NDArray[Any] = header.palette[index]
            return out[:, :, :1] if self.channels == 1 else out
        if header.masks is None:
            return np.ascontiguousarray(
                rows[:, : width * 3].reshape(len(rows), width, 3)[:, :, ::-1]
            )
        words = rows[:, : width * header.bits // 8].copy().view(f"<u{header.bits // 8}")
        return np.stack([_field(words, mask) for mask in header.masks[: self.channels]], axis=-1)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _field(words: NDArray[Any], mask: int) -> NDArray[np.uint8]:
    """The bits under a mask, (n, width), scaled to 0–255."""
    if not mask:
        return np.zeros(words.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    top = mask >> shift
    value = (words.astype(np.uint64) & np.uint64(mask)) >> np.uint64(shift)
    return ((value * np.uint64(255) + np.uint64(top // 2)) // np.uint64(top)).astype(np.uint8)
