"""Pictures that say what their numbers mean, made for tests byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.media.formats import format_of
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from tests.media.exiftool import exiftool

PQ_CHUNK = (b"cICP", bytes([9, 16, 0, 1]))
HLG_CHUNK = (b"cICP", bytes([9, 18, 0, 1]))
SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
ADOBE_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
MDCV = struct.pack(
    ">8H2I", 35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450, 10_000_000, 50
)  # BT.2020 primaries; 1000 and 0.005 cd/m²
CLLI = struct.pack(">2I", 10_000_000, 4_000_000)
"""1000 and 400 cd/m²."""


def gama(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", value)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    """Those of a PNG before its pixels."""
    found, at = {}, 8
    while (kind := data[at + 4 : at + 8]) != b"IDAT":
        (length,) = struct.unpack_from(">I", data, at)
        found[kind] = data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def png(path: Path, image: Image.Image, *chunks: tuple[bytes, bytes], **options: Any) -> Path:
    """A PNG with chunks behind its header."""
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    data = file.getvalue()
    added = b"".join(_png_chunk(*chunk) for chunk in chunks)
    path.write_bytes(data[:33] + added + data[33:])
    return path


def png16(path: Path, pixels: np.ndarray[Any, Any], *chunks: tuple[bytes, bytes]) -> Path:
    """An RGB PNG of 16 bits, (H, W, 3) of uint16."""
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    listed = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in listed))
    return path


def heic(path: Path, image: Image.Image, primaries: int, transfer: int, **options: Any) -> Path:
    """A HEIC with an nclx box."""
    module = pytest.importorskip("pillow_heif", reason='pip install "enlarge[formats]"')
    module.register_heif_opener()
    file = io.BytesIO()
    image.save(
        file, "HEIF", quality=100, chroma=444, matrix_coefficients=6, full_range_flag=1,
        color_primaries=primaries, transfer_characteristics=transfer, **options,
    )  # fmt: skip
    path.write_bytes(file.getvalue())
    return path


def jxl(path: Path, pixels: np.ndarray[Any, Any], primaries: int, transfer: int) -> Path:
    """A JPEG XL of 8-bit RGB whose header names colours by number (ISO/IEC 18181-1, annex E): 11
    stands for P3 primaries, the others are as in H.273. The plugin only writes sRGB, whose header
    is a single bit.
    """
    pytest.importorskip("pillow_jxl", reason='pip install "enlarge[formats]"')
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JXL", lossless=True)
    data = file.getvalue()
    bits = [byte >> at & 1 for byte in data[2:] for at in range(8)]
    at = 9 + 9  # a small size; the header's bits up to the colour
    assert bits[0] == 1
    assert bits[9:20] == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    colour = [0, 0, *_enum(0), *_enum(1), *_enum(primaries), 0, *_enum(transfer), *_enum(1)]
    head = [*bits[:at], *colour, 0, 0, 1]
    head += [0] * (-len(head) % 8) + bits[24:]
    packed = (head[first : first + 8] for first in range(0, len(head), 8))
    path.write_bytes(data[:2] + bytes(sum(bit << at for at, bit in enumerate(x)) for x in packed))
    return path


def _enum(value: int) -> list[int]:
    """U32(0, 1, 2 + u(4), 18 + u(6))."""
    if value < 2:
        return [value, 0]
    first, count = (2, 4) if value < 18 else (18, 6)
    selector = [0, 1] if value < 18 else [1, 1]
    return selector + [value - first >> at & 1 for at in range(count)]


def copied(source: Path, target: Path, **options: Any) -> list[str]:
    """The picture, read and written by enlarge as it is; the notes on it."""
    with open_picture(source) as picture:
        facts, rows = picture.facts, picture.rows()
        spec = PictureSpec(facts.width, facts.height, rows.channels, rows.dtype)
        how = WriteOptions(format_of(target.suffix), **options)
        with create_picture(target, spec, how, metadata=picture.metadata) as sink:
            sink.write(rows.read(facts.height))
            sink.finish()
            return [*facts.notes, *sink.notes]


def profile_in(path: Path) -> bytes | None:
    """The ICC profile of a file, as Pillow finds it."""
    with Image.open(path) as image:
        icc: bytes | None = image.info.get("icc_profile")
        return icc


def exiftool_values(path: Path, *tags: str) -> list[str]:
    """The values of tags as ExifTool reads them, without those that are missing."""
    wanted = [f"-{tag}" for tag in tags]
    return exiftool("-s3", "-n", *wanted, path).decode().split("\n")[:-1]
