"""Pixels of TIFFs that libvips does not read, or reads wrongly.

What can be read all the same is given to libvips with a directory that says something simpler: CIE
Lab as RGB, samples of 12 bits or of 64 as plain bytes. A true sentence is said about the others.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.floats import check_range
from enlarge.media.metadata.tiff_tags import (
    LONG,
    SHORT,
    Directory,
    TiffHeader,
    Value,
    directory_bytes,
)
from enlarge.media.rows import Rows

WIDTH, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 258, 259, 262, 277
PLANES, PREDICTOR, TILE_WIDTH, EXTRA, FORMAT = 284, 317, 322, 338, 339
_SEPARATE, _NONE, _JPEG = 2, 1, {6, 7}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5
_CIE_LAB, _ICC_LAB, _ITU_LAB = 8, 9, 10
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_CODECS = {
    1: "no", 2: "CCITT RLE", 3: "CCITT Group 3", 4: "CCITT Group 4", 5: "LZW", 6: "old-style JPEG",
    7: "JPEG", 8: "deflate", 32773: "PackBits", 32809: "ThunderScan", 32946: "deflate",
    33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI LogLuv",
    34677: "SGI LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34892: "lossy JPEG of a DNG",
    34925: "LZMA", 34926: "Zstandard", 34927: "WebP", 34933: "PNG", 34934: "JPEG XR",
    50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_ALWAYS_READ = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}
_SAVE_DEPTH = "save it with 8 or 16 bits per channel"


@dataclass(frozen=True)
class Packed:
    """Pixels that are read as bytes: `samples` of `bits` for each of `width` pixels in a row,
    `kind` 1 unsigned or 3 float, in the byte order `order`. `inverted`: white is 0.
    """

    width: int
    samples: int
    bits: int
    kind: int
    order: str
    inverted: bool

    @property
    def row_bytes(self) -> int:
        """Bytes in a row."""
        return -(-self.width * self.samples * self.bits // 8)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels that come out."""
        small = np.uint8 if self.bits <= 8 else np.uint16
        return np.dtype(np.float32 if self.kind == _FLOAT else small)


def refusal(directory: Directory) -> str | None:
    """What a TIFF is that cannot be read, and what to do; None if it is not known to be one."""
    bits = directory.integers(BITS) or (1,)
    photometric = directory.integer(PHOTOMETRIC)
    codec = directory.integer(COMPRESSION, _NONE)
    kind = directory.integer(FORMAT, _UNSIGNED)
    channels = directory.integer(SAMPLES, 1)
    if photometric in (32803, 34892):
        return "holds a camera's raw data; develop it into a 16-bit TIFF first"
    if photometric == 4:
        return "holds a transparency mask, not a picture; save it as gray of 8 bits"
    if photometric in (32844, 32845) or codec in (34676, 34677):
        return "holds HDR light (LogLuv) without a level for white; tone-map it and " + _SAVE_DEPTH
    if len(set(bits)) > 1:
        listed = ", ".join(map(str, bits))
        return f"its channels have different depths ({listed} bits); {_SAVE_DEPTH}"
    if kind in (5, 6):
        return "holds complex numbers, which are no picture; save their magnitude as float"
    if kind == _SIGNED:
        return f"its samples are signed integers of {bits[0]} bits, whose black is not known; " + (
            _SAVE_DEPTH + ", unsigned"
        )
    if kind != _FLOAT and bits[0] > 16:
        return (
            f"its samples are integers of {bits[0]} bits, whose white is not known; {_SAVE_DEPTH}"
        )
    if (
        channels > 1
        and directory.integer(PLANES, 1) == _SEPARATE
        and TILE_WIDTH in (directory.entries)
    ):
        return (
            "its channels are stored in tiles of their own, which are not read; save it with the "
            "channels of each pixel together (PlanarConfiguration 1)"
        )
    if photometric not in (_CMYK, _ITU_LAB) and channels > 4:
        return (
            f"it has {channels} channels; expected gray or RGB, with or without alpha; save the "
            "channels to be enlarged as a separate picture"
        )
    return None


def has_unmarked_alpha(directory: Directory) -> bool:
    """Whether there is a channel more than colour needs, of which the file does not say that it is
    transparency (ExtraSamples 0); it can be that, or infrared.
    """
    photometric, samples = directory.integer(PHOTOMETRIC), directory.integer(SAMPLES, 1)
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _PALETTE: 1, _CMYK: 4}.get(photometric, 3)
    return samples == colours + 1 and directory.integer(EXTRA) == 0


def packed(directory: Directory) -> Packed | None:
    """How the pixels are read as bytes; None if libvips reads them itself. Raises `InputError`."""
    bits, kind = directory.integer(BITS, 1), directory.integer(FORMAT, _UNSIGNED)
    photometric, samples = directory.integer(PHOTOMETRIC), directory.integer(SAMPLES, 1)
    known = (8, 16, 32) if kind == _FLOAT or samples > 1 else (1, 2, 4, 8, 16)
    if bits in known or (kind == _FLOAT and bits == 16):
        return None
    codec = directory.integer(COMPRESSION, _NONE)
    mixed = samples > 1 and directory.integer(PLANES, 1) == _SEPARATE
    is_float = kind == _FLOAT and bits == 64
    plain = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and 1 <= samples <= 4
    if (
        not plain
        or mixed
        or codec in _JPEG
        or directory.integer(PREDICTOR, 1) != 1
        or not (is_float or (kind == _UNSIGNED and bits < 16))
    ):
        what = "floats" if kind == _FLOAT else "samples"
        raise InputError(
            f"it holds {what} of {bits} bits, stored in a way that is not supported; "
            f"{_SAVE_DEPTH}, or as float of 32"
        )
    return Packed(
        width=directory.integer(WIDTH),
        samples=samples,
        bits=bits,
        kind=kind,
        order=directory.order,
        inverted=photometric == _WHITE_IS_ZERO,
    )


def as_bytes(directory: Directory, layout: Packed) -> Directory:
    """A directory that describes the same pixels as gray bytes."""
    entries = {
        tag: found
        for tag, found in directory.entries.items()
        if tag not in (EXTRA, FORMAT, 280, 281)
    }
    order = directory.order
    for tag, value in ((BITS, 8), (PHOTOMETRIC, _BLACK_IS_ZERO), (SAMPLES, 1), (PLANES, 1)):
        entries[tag] = Value(SHORT, 1, struct.pack(order + "H", value))
    widths = {WIDTH: layout.row_bytes}
    if tile := directory.integer(TILE_WIDTH):
        widths[TILE_WIDTH] = tile * layout.samples * layout.bits // 8
    for tag, value in widths.items():
        entries[tag] = Value(LONG, 1, struct.pack(order + "I", value))
    return Directory(order, entries, directory.following)


class PackedRows:
    """Rows of packed pixels, unpacked. Owns the rows of bytes that it reads from."""

    def __init__(self, rows: Rows, layout: Packed, name: str) -> None:
        self.width, self.height, self.channels = layout.width, rows.height, layout.samples
        self.dtype = layout.dtype
        self._rows, self._layout, self._name = rows, layout, name

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        data = self._rows.read(count)[:, :, 0]  # (n, bytes)
        layout = self._layout
        shape = (len(data), self.width, self.channels)
        if layout.kind == _FLOAT:
            floats = np.ascontiguousarray(data).view(f"{layout.order}f8").reshape(shape)
            try:
                check_range(floats, otherwise=_SAVE_DEPTH)
            except InputError as error:
                raise InputError(f"{self._name}: {error}") from error
            return floats.clip(0.0, 1.0).astype(np.float32)
        band = np.empty(shape, self.dtype)
        for at, row in enumerate(data):  # a row at a time: its bits take eight times its bytes
            band[at] = unpacked(row, layout.bits, self.width * self.channels).reshape(shape[1:])
        return np.iinfo(self.dtype).max - band if layout.inverted else band

    def close(self) -> None:
        """Close the rows it reads from."""
        self._rows.close()


def unpacked(data: NDArray[np.uint8], bits: int, count: int) -> NDArray[Any]:
    """`count` samples of `bits` each, the highest bit first, scaled to 8 bits, or to 16 if they
    have more than 8.
    """
    stream = np.unpackbits(data)[: count * bits].reshape(count, bits)
    levels = (stream.astype(np.uint32) << np.arange(bits - 1, -1, -1, dtype=np.uint32)).sum(axis=1)
    top, white = (1 << bits) - 1, 255 if bits <= 8 else 65_535
    scaled: NDArray[Any] = (levels.astype(np.uint64) * white + top // 2) // top
    return scaled.astype(np.uint8 if bits <= 8 else np.uint16)


def lab_of(directory: Directory) -> int | None:
    """The encoding of CIE Lab (8 CIE, 9 ICC, 10 ITU) that is read as RGB; None for others.

    Raises `InputError` for a depth of which the encodings say nothing.
    """
    photometric = directory.integer(PHOTOMETRIC)
    if photometric not in (_CIE_LAB, _ICC_LAB, _ITU_LAB):
        return None
    bits, samples = directory.integer(BITS, 1), directory.integer(SAMPLES, 1)
    if directory.integer(FORMAT, _UNSIGNED) == _FLOAT and photometric == _CIE_LAB and samples == 3:
        return None  # as libvips reads it
    if bits not in (8, 16) or not 3 <= samples <= 4 or (photometric == _ITU_LAB and bits != 8):
        raise InputError(
            f"holds CIE Lab in {samples} channels of {bits} bits; save it as RGB with 8 or 16 bits "
            "per channel"
        )
    return photometric


def as_rgb(directory: Directory) -> Directory:
    """A directory that describes Lab as RGB; its colour profile, which is for Lab, is left out."""
    entries = {tag: found for tag, found in directory.entries.items() if tag not in (FORMAT, 34675)}
    entries[PHOTOMETRIC] = Value(SHORT, 1, struct.pack(directory.order + "H", _RGB))
    return Directory(directory.order, entries, directory.following)


def lab_to_srgb(image: pyvips.Image, encoding: int) -> pyvips.Image:
    """CIE Lab that was read as RGB, in sRGB, with its alpha.

    Encodings: TIFF 6.0 section 23, ICC.1:2001-04 6.3.4 (ICCLab), ITU-T T.42 (ITULab). The white is
    that of ICC's connection space, D50.
    """
    is_deep = image.format == "ushort"
    top = 65_535 if is_deep else 255
    light, across, along = image[0], image[1], image[2]
    if encoding == _CIE_LAB:  # a* and b* are signed
        signed, unit = ("short", 1 / 256) if is_deep else ("char", 1.0)
        parts = [
            light * (100 / top),
            *(part.copy(format=signed) * unit for part in (across, along)),
        ]
    elif encoding == _ICC_LAB:
        unit = 1 / 256 if is_deep else 1.0
        white = 65_280 if is_deep else 255
        parts = [light * (100 / white), *(part * unit - 128 for part in (across, along))]
    else:
        parts = [light * (100 / top), (across - 128) * (170 / top), (along - 96) * (200 / top)]
    lab = parts[0].bandjoin(parts[1:]).cast("float").copy(interpretation="lab")
    rgb = lab.icc_export(
        output_profile="srgb", intent="relative", pcs="lab", depth=16 if is_deep else 8
    )
    return rgb.bandjoin(image[3:]) if image.bands > 3 else rgb


class ChangedFile(io.RawIOBase):
    """A TIFF whose first directory is another one, without copying the file: what is added stands
    behind its end. Closes the file that it is made of.
    """

    def __init__(self, file: BinaryIO, header: TiffHeader, directory: Directory) -> None:
        self._file = file
        self._end = file.seek(0, os.SEEK_END)
        start = self._end + self._end % 2
        added, place = directory_bytes(directory, header, start)
        self._tail = bytes(start - self._end) + added
        self._head = TiffHeader(header.order, header.big, place).bytes()
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        end = self._end + len(self._tail)
        stop = end if size < 0 else min(self._at + size, end)
        out = b""
        if self._at < self._end:
            self._file.seek(self._at)
            out = self._file.read(min(stop, self._end) - self._at)
            if self._at < len(self._head):
                ours = self._head[self._at : self._at + len(out)]
                out = ours + out[len(ours) :]
        if stop > self._end:
            out += self._tail[max(0, self._at - self._end) : stop - self._end]
        self._at += len(out)
        return out

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position."""
        end = self._end + len(self._tail)
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        return self._at

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def check_codec(directory: Directory, first_pixel: Callable[[], object]) -> None:
    """Raise `InputError` if the compression cannot be decoded here. `first_pixel` decodes one, as
    libvips comes with more codecs or fewer; it is called only for those that may be missing.
    """
    codec = directory.integer(COMPRESSION, _NONE)
    if codec in _ALWAYS_READ:
        return
    try:
        first_pixel()
    except pyvips.Error as error:
        name = _CODECS.get(codec, f"an unknown method ({codec})")
        raise InputError(
            f"is compressed with {name}, which cannot be decoded here; save it uncompressed, or "
            "with LZW or deflate compression"
        ) from error


KINDS: Mapping[int, str] = {_CIE_LAB: "CIE Lab", _ICC_LAB: "ICC Lab", _ITU_LAB: "ITU Lab"}
