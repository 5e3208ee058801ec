"""Metadata put into encoded files byte for byte.

libvips writes EXIF through libexif, which rounds numbers, drops what it does not know and moves
maker notes; so EXIF, XMP and texts are put into PNG, JPEG and WebP here, and libvips only writes
the colour profile and the density. AVIF and TIFF are left to libvips (`with_fields`).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import pyvips

from enlarge.errors import InputError
from enlarge.media.metadata import Metadata

_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_SEGMENT = 65_533
_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_MOST_TEXT = 1 << 22
"""Bytes, unpacked, of all texts of a picture that are kept."""
_MOST_UNPACKED = 1 << 26
"""And that a picture may have: libpng unpacks and holds them all before it gives the first row."""


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_insert(metadata: Metadata) -> bytes:
    """The chunks that go behind IHDR: texts, XMP, EXIF."""
    out = b""
    for key, value in metadata.text:
        word = key.encode("latin-1", "replace")[:79].strip() or b"Comment"
        try:
            out += png_chunk(b"tEXt", word + b"\0" + value.replace("\0", "").encode("ascii"))
        except UnicodeEncodeError:
            out += png_chunk(b"iTXt", word + b"\0\0\0\0\0" + value.replace("\0", "").encode())
    if metadata.xmp:
        out += png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp)
    if metadata.exif:
        out += png_chunk(b"eXIf", metadata.exif)
    return out


def png_texts(file: BinaryIO) -> tuple[list[tuple[str, str]], bool]:
    """The texts of a PNG (section 11.3.3 of its specification), by their keys and in their order,
    without XMP: tEXt and zTXt are in Latin-1, iTXt in UTF-8. The file's position stays. Beyond
    4 MiB in all they are left out, and the second value is False. Raises `InputError` where all of
    them, XMP too, take more than 64 MiB once they are unpacked.
    """
    found: list[tuple[str, str]] = []
    total, left = 0, _MOST_TEXT
    for kind, key, rest in _text_chunks(file):
        parts = []
        for part in _unpacked(kind, rest):
            parts.append(part)
            total += len(part)
            if total > _MOST_UNPACKED:
                raise InputError(
                    "the texts in this PNG take more than 64 MB; it was made to do harm, or its "
                    "texts have to be taken out of it"
                )
        if not parts or key == b"XML:com.adobe.xmp":
            continue
        text = b"".join(parts)
        left -= len(text)
        if left >= 0:
            coding = "utf-8" if kind == b"iTXt" else "latin-1"
            found.append((key.decode("latin-1"), text.decode(coding, "replace")))
    return found, left >= 0


def _text_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, key and what stands behind it, of every text; the file's position stays."""
    before = file.tell()
    file.seek(8)
    try:
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IEND":
                break
            if kind in _TEXTS:
                key, _, rest = file.read(length).partition(b"\0")
                yield kind, key, rest
                length = 0
            file.seek(length + 4, os.SEEK_CUR)
    finally:
        file.seek(before)


def _unpacked(kind: bytes, rest: bytes) -> Iterator[bytes]:
    """What stands behind a chunk's key, in parts of at most 1 MiB where it is packed; where it is
    damaged, it ends there.
    """
    packed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\1")
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":  # flags, language and the key in that language before it
        rest = b"\0".join(rest[2:].split(b"\0", 2)[2:])
    if not packed:
        yield rest
        return
    unpacking = zlib.decompressobj()
    while rest and not unpacking.eof:
        try:
            yield unpacking.decompress(rest, 1 << 20)
        except zlib.error:
            return
        rest = unpacking.unconsumed_tail


def jpeg_insert(metadata: Metadata, notes: list[str]) -> bytes:
    """The segments that a file begins with: JFIF (libvips leaves it and the density out), EXIF,
    XMP, comments. What is too long is noted.
    """
    unit, across, down = 0, 1, 1
    if metadata.density and max(metadata.density) * 25.4 <= 65_535:
        unit, across, down = 1, *(max(1, round(value * 25.4)) for value in metadata.density)
    jfif = struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, unit, across, down, 0, 0)
    out = b"\xff\xe0" + struct.pack(">H", len(jfif) + 2) + jfif
    segments = [
        ("the EXIF data", 0xE1, metadata.exif and b"Exif\0\0" + metadata.exif),
        ("the XMP data", 0xE1, metadata.xmp and _XMP_JPEG + metadata.xmp),
        *((f"the text {k!r}", 0xFE, f"{k}: {v}".encode()) for k, v in metadata.text),
    ]
    for name, marker, data in segments:
        if data and len(data) > _MOST_SEGMENT:
            notes.append(
                f"JPEG holds at most 64 KB of it: {name} ({len(data):,} bytes) is left out"
            )
        elif data:
            out += struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
    return out


def with_insert(form: str, head: bytes, insert: bytes) -> bytes | None:
    """The file's first bytes with the insertion; None while they are too few to place it."""
    if form == "png":
        return head[:33] + insert + head[33:] if len(head) >= 33 else None
    if len(head) < 6:
        return None
    # Where libvips writes a JFIF segment of its own, ours takes its place.
    after = 4 + struct.unpack_from(">H", head, 4)[0] if head[2:4] == b"\xff\xe0" else 2
    return head[:2] + insert + head[after:] if len(head) >= after else None


def webp_with(data: bytes, metadata: Metadata, width: int, height: int, *, alpha: bool) -> bytes:
    """A WebP file with EXIF and XMP chunks behind the picture."""
    body = data[12:]
    if not (metadata.exif or metadata.xmp):
        return data
    if body[:4] != b"VP8X":
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"VP8X" + struct.pack("<II", 10, 0x10 if alpha else 0) + size + body
    flags = body[8] | (0x08 if metadata.exif else 0) | (0x04 if metadata.xmp else 0)
    body = body[:8] + bytes([flags]) + body[9:]
    for kind, block in ((b"EXIF", metadata.exif), (b"XMP ", metadata.xmp)):
        if block:
            body += kind + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def fits_a_segment(exif: bytes) -> bool:
    """Whether EXIF data fit into a segment of a JPEG, which libvips makes its tags from."""
    return len(exif) < _MOST_SEGMENT - 6


def with_fields(image: pyvips.Image, metadata: Metadata, *, exif: bool) -> pyvips.Image:
    """The image with the fields from which libvips writes profile, density, XMP and IPTC.

    With `exif` its EXIF too. libvips writes only those tags that it also has as fields; it makes
    them by loading a picture, so a JPEG of one pixel is loaded for them.
    """
    density = metadata.density or (72 / 25.4, 72 / 25.4)
    image = image.copy(xres=density[0], yres=density[1])
    blob = pyvips.GValue.blob_type
    for name, value in (
        ("icc-profile-data", metadata.icc),
        ("xmp-data", metadata.xmp),
        ("iptc-data", metadata.iptc),
    ):
        if value:
            image.set_type(blob, name, value)
    if exif and metadata.exif and fits_a_segment(metadata.exif):
        plain = pyvips.Image.black(1, 1).jpegsave_buffer(keep="none")
        carrier = plain[:2] + jpeg_insert(Metadata(exif=metadata.exif), []) + plain[2:]
        fields = pyvips.Image.jpegload_buffer(carrier)
        image.set_type(blob, "exif-data", b"Exif\0\0" + metadata.exif)
        for name in fields.get_fields():
            if name.startswith("exif-ifd"):
                image.set_type(pyvips.GValue.gstr_type, name, fields.get(name))
    return image
