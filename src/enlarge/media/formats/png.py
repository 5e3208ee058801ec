"""PNG (ISO/IEC 15948, third edition).

Streams, except for interlaced files, which the decoder holds whole. EXIF, XMP and texts are
inserted behind the header byte for byte: libvips would write EXIF through libexif, which rounds
numbers, drops what it does not know and moves maker notes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, BinaryIO

from enlarge.errors import InputError
from enlarge.media.bounded import position_kept, read_at_most
from enlarge.media.formats.format import Content, Format, Writer, begins_with
from enlarge.media.formats.png_chunks import SIGNATURE, chunks_of, png_chunk
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.prefixes import without_prefix

if TYPE_CHECKING:
    import pyvips

    from enlarge.media.output import Encoding, Output
    from enlarge.media.stored import PictureFile, StoredPicture

_HEADER_END = 33
"""Bytes of the signature and of IHDR, which has to be the first chunk."""
_PIXELS_PER_BYTE = 1040 * 8
"""Deflate gives at most 1032 bytes for one, and a byte is up to 8 pixels."""
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf"})
_RESOLUTION = b"pHYs"
_XMP_KEY = b"XML:com.adobe.xmp"
_MAX_TEXT_KEPT = 1 << 22
"""Bytes of all texts of a picture, uncompressed, that are kept."""
_MAX_TEXT = 1 << 26
"""Bytes that a picture may have: libpng decompresses and holds all texts before the first row."""

_LEVEL, _FILTER = 2, "up"
"""Of libvips: level 2 takes a third less room than level 1 for half as much time again, level 6 a
sixth less again for four times the time.
"""


def read_png(source: PictureFile) -> StoredPicture:
    """Open a PNG. Raises `InputError` (without its name)."""
    from enlarge.media.decoding import libvips_errors, load, metadata_fields
    from enlarge.media.formats.apng import FrameRows, frame_bytes, read_animation
    from enlarge.media.formats.png_colour import read_colour
    from enlarge.media.formats.raw_profiles import with_raw_profiles
    from enlarge.media.stored import choose_page

    _check_header(source.head)
    animation = read_animation(source.file)
    pages = choose_page(source.page, animation.pages, word="frame")
    colour, notes = read_colour(source.file)
    notes += animation.notes()
    found = read_texts(source.file)  # before libpng decompresses them all
    if not found.complete:
        notes.append("texts beyond 4 MB are left out")
    resolution = _resolution(source.file)
    with position_kept(source.file):
        has_profile = any(kind == b"iCCP" for kind, _, _ in chunks_of(source.file))
    with libvips_errors("PNG"):
        # libvips' limit on texts is checked above. It would take Latin-1 for damaged UTF-8.
        loaded = load(source, "PNG", "pngload_source", unlimited=True)
        loaded.check_size(_PIXELS_PER_BYTE)
        metadata, lines = with_raw_profiles(
            replace(metadata_fields(loaded.image), text=found.texts, xmp=found.xmp, exif=found.exif)
        )
        notes += lines
        if has_profile and metadata.icc is None:
            notes.append(
                "the colour profile is damaged, or is not for this kind of picture, and is left out"
            )
        decoded = loaded.width * loaded.height * loaded.pixel_bytes + (8 << 20)
        stored = loaded.stored(
            streams=not loaded.interlaced,
            decoder_bytes=decoded if loaded.interlaced else loaded.row_bytes(64),
            orientation=_orientation(metadata.exif),
            metadata=replace(
                metadata, density=resolution.density, aspect=resolution.aspect, colour=colour
            ),
            pages=pages,
            notes=notes,
        )
    if pages.number == 1:
        return stored
    number = pages.number - 1 - animation.has_still
    rows = FrameRows(source.file, source.name, animation, number, stored.rows)
    return replace(stored, rows=rows, streams=False, decoder_bytes=frame_bytes(stored.rows))


def _orientation(exif: bytes | None) -> int:
    if not exif:
        return 1
    from enlarge.media.metadata.exif import orientation_of

    return orientation_of(exif)


def _resolution(file: BinaryIO) -> Metadata:
    """The density in a PNG (11.3.4.3), or the ratio of its two values; nothing but those.
    The file's position stays.
    """
    across = down = unit = 0
    with position_kept(file):
        for kind, _, length in chunks_of(file):
            if kind == b"IDAT":
                break
            if kind == _RESOLUTION and length == 9:
                across, down, unit = struct.unpack(">IIB", file.read(9).ljust(9, b"\0"))
                break
    if not across or not down or (unit != 1 and across == down):
        return Metadata()
    if unit == 1:
        return Metadata(density=(across / 1000, down / 1000))
    return Metadata(aspect=(across, down))


def _check_header(head: bytes) -> None:
    """Refuse a wrong header here: libvips gives no reason at all."""
    if len(head) < _HEADER_END or head[12:16] != b"IHDR":
        raise InputError("this PNG ends within its header; copy or download it again")
    width, height = struct.unpack_from(">II", head, 16)
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        raise InputError(f"this PNG claims a size of {width}×{height}; it is damaged")


@dataclass(frozen=True)
class FoundTexts:
    """The texts of a PNG by their keys and in their order, whether that is all of them, and its XMP
    and EXIF, wherever in the file they stand (libvips looks no further than the pixels).
    """

    texts: tuple[tuple[str, str], ...]
    complete: bool
    xmp: bytes | None
    exif: bytes | None


def read_texts(file: BinaryIO) -> FoundTexts:
    """The texts of a PNG (section 11.3.3 of its specification): tEXt and zTXt are in Latin-1, iTXt
    in UTF-8. The file's position stays. Beyond 4 MiB in all they are left out. Raises `InputError`
    if all of them, including XMP, take more than 64 MiB when decompressed.
    """
    found: list[tuple[str, str]] = []
    xmp: bytes | None = None
    exif: bytes | None = None
    total, left = 0, _MAX_TEXT_KEPT
    for kind, data in _text_chunks(file):
        if kind == b"eXIf":
            exif = exif or without_prefix(data)
            continue
        key, _, rest = data.partition(b"\0")
        parts = []
        for part in _decompressed(kind, rest):
            parts.append(part)
            total += len(part)
            if total > _MAX_TEXT:
                raise InputError(
                    "the texts in this PNG take more than 64 MB when decompressed; it may be "
                    "malicious; if not, remove its texts with another program"
                )
        text = b"".join(parts)
        if key == _XMP_KEY:
            xmp = xmp or text or None
        elif parts:
            left -= len(text)
            if left >= 0:
                coding = "utf-8" if kind == b"iTXt" else "latin-1"
                found.append((key.decode("latin-1"), text.decode(coding, "replace")))
    return FoundTexts(tuple(found), left >= 0, xmp, exif)


def _text_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and contents of every chunk with a text or EXIF. The file's position stays."""
    with position_kept(file):
        for kind, _, length in chunks_of(file):
            if kind in _TEXT_CHUNKS:
                yield kind, read_at_most(file, length)


def _decompressed(kind: bytes, rest: bytes) -> Iterator[bytes]:
    """The text behind a chunk's key, in parts of at most 1 MiB if it is compressed; it ends where
    it is damaged.
    """
    compressed = kind == b"zTXt" or (kind == b"iTXt" and rest[:1] == b"\1")
    if kind == b"zTXt":
        rest = rest[1:]
    elif kind == b"iTXt":  # flags, language and the key in that language come first
        rest = b"\0".join(rest[2:].split(b"\0", 2)[2:])
    if not compressed:
        yield rest
        return
    stream = zlib.decompressobj()
    while rest and not stream.eof:
        try:
            yield stream.decompress(rest, 1 << 20)
        except zlib.error:
            return
        rest = stream.unconsumed_tail


def encode_png(image: pyvips.Image, encoding: Encoding, output: Output) -> None:
    """Encode a PNG, with its metadata behind the header; with libvips where ISA-L is not
    installed.
    """
    chunks = metadata_chunks(encoding.metadata)
    if find_spec("isal") is None:
        _encode_with_libvips(image, encoding, output, chunks)
        return
    from enlarge.media.formats.png_pixels import header_chunk, pixel_chunks

    chunks += _profile_and_density(encoding.metadata)
    output.write(SIGNATURE + header_chunk(encoding) + chunks)
    for chunk in pixel_chunks(image, encoding):
        output.write(chunk)
    output.write(png_chunk(b"IEND", b""))


def _profile_and_density(metadata: Metadata) -> bytes:
    """The chunks that libvips would write of its own."""
    out = b""
    if metadata.icc:
        out += png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(metadata.icc))
    if metadata.density:
        across, down = (round(value * 1000) for value in metadata.density)
        out += png_chunk(_RESOLUTION, struct.pack(">IIB", across, down, 1))
    return out


def _encode_with_libvips(
    image: pyvips.Image, encoding: Encoding, output: Output, chunks: bytes
) -> None:
    """Encode a PNG in one thread, with `chunks` behind the header."""
    from enlarge.media.output import with_fields

    def with_chunks(head: bytes) -> bytes | None:
        if encoding.metadata.density is None:
            head = _without_resolution(head)
        enough = len(head) >= _HEADER_END
        return head[:_HEADER_END] + chunks + head[_HEADER_END:] if enough else None

    with_fields(image, encoding.metadata).pngsave_target(
        output.target(with_chunks), compression=_LEVEL, filter=_FILTER, keep="icc"
    )


def _without_resolution(head: bytes) -> bytes:
    """A file's first bytes without libvips' own pHYs; none while the pixels have not begun."""
    out = head[: len(SIGNATURE)]
    for kind, at, length in chunks_of(io.BytesIO(head)):
        if kind == b"IDAT":
            return out + head[at - 8 :]
        if kind != _RESOLUTION:
            out += head[at - 8 : at + length + 4]
    return b""


def metadata_chunks(metadata: Metadata) -> bytes:
    """The chunks that go behind IHDR: colour, ratio of a pixel's sides, texts, XMP, EXIF, IPTC (as
    ImageMagick and ExifTool write it: PNG has no place of its own).
    """
    out = b""
    if metadata.colour:
        from enlarge.media.formats.png_colour import colour_chunks

        out = b"".join(png_chunk(kind, data) for kind, data in colour_chunks(metadata.colour))
    if metadata.aspect and not metadata.density:
        out += png_chunk(_RESOLUTION, struct.pack(">IIB", *metadata.aspect, 0))
    for key, value in metadata.text:
        word = key.encode("latin-1", "replace")[:79].strip() or b"Comment"
        try:
            out += png_chunk(b"tEXt", word + b"\0" + value.replace("\0", "").encode("ascii"))
        except UnicodeEncodeError:
            out += png_chunk(b"iTXt", word + b"\0\0\0\0\0" + value.replace("\0", "").encode())
    if metadata.xmp:
        out += png_chunk(b"iTXt", _XMP_KEY + b"\0\0\0\0\0" + metadata.xmp)
    if metadata.exif:
        out += png_chunk(b"eXIf", metadata.exif)
    if metadata.iptc:
        from enlarge.media.formats.raw_profiles import raw_profile

        keyword, profile = raw_profile("iptc", metadata.iptc)
        out += png_chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(profile))
    return out


PNG = Format(
    name="png",
    label="PNG",
    media_type="image/png",
    suffixes=(".png",),
    read_suffixes=(".apng",),
    recognizes=begins_with(SIGNATURE),
    read=read_png,
    writer=Writer(
        encode=encode_png,
        content=Content(
            depths=("uint8", "uint16"),
            alpha=True,
            metadata=frozenset(
                {
                    *("icc", "cicp", "gamma", "mastering", "light"),
                    *("exif", "xmp", "iptc", "text", "density", "aspect"),
                }
            ),
        ),
        max_side=2**31 - 1,
        bytes_per_value=1.0,
        provenance=frozenset({"xmp", "text"}),
    ),
)
