"""JPEG (ITU-T T.81, T.871), and how strongly a file was compressed.

Baseline files stream; the decoder holds all coefficients of a progressive one. Metadata
is inserted byte for byte, as in PNG.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from enlarge.media.formats.format import Content, Format, Writer, begins_with
from enlarge.media.formats.gain_map import NOTE, jpeg_has_gain_map
from enlarge.media.formats.jpeg_metadata import metadata_segments, read_segments
from enlarge.media.formats.jpeg_segments import segments_of
from enlarge.media.metadata.metadata import Metadata

if TYPE_CHECKING:
    import pyvips

    from enlarge.media.decoding import LoadedImage
    from enlarge.media.output import Encoding, Output
    from enlarge.media.stored import PictureFile, StoredPicture

_PIXELS_PER_BYTE = 1024
"""Each 8×8 block needs at least a bit; with subsampling a block covers up to 16×16 pixels."""
_LUMA = 3688
"""The sum of the standard's example table for luminance (T.81, table K.1), which the Independent
JPEG Group's library scales by its quality."""
_TABLES = 0xDB


def read_jpeg(source: PictureFile) -> StoredPicture:
    """Open a JPEG. Raises `InputError` (without its name)."""
    from enlarge.media.decoding import libvips_errors, load, metadata_fields
    from enlarge.media.formats.mpf import pictures_within
    from enlarge.media.stored import choose_page

    pictures, held = pictures_within(source.file), 0
    pages = choose_page(source.page, len(pictures), word="picture")
    if pages.number > 1:
        source = source.part(*pictures[pages.number - 1])
        held = source.size
    quality = quality_of(source.file)
    source.file.seek(0)
    with libvips_errors("JPEG"):
        loaded = load(source, "JPEG", "jpegload_source")
        loaded.check_size(_PIXELS_PER_BYTE)
        progressive = loaded.interlaced
        metadata, notes = read_segments(source.file, metadata_fields(loaded.image))
        if jpeg_has_gain_map(source.file):
            notes.append(NOTE)
        decoded = _coefficient_bytes(loaded) if progressive else loaded.row_bytes(64)
        stored = loaded.stored(
            streams=not progressive,
            decoder_bytes=decoded + held,
            metadata=metadata,
            pages=pages,
            notes=notes,
        )
    metadata = _with_resolution(stored.metadata, source.head)
    return replace(stored, metadata=metadata, quality=quality)


def _with_resolution(metadata: Metadata, head: bytes) -> Metadata:
    """The metadata with the file's density; libvips says 72 dpi where there is none."""
    unit, across, down = 0, 0, 0
    if head[2:4] == b"\xff\xe0" and head[6:11] == b"JFIF\0":  # (T.871, 10.1)
        unit, across, down = struct.unpack_from(">BHH", head, 13)
    if unit in (1, 2) and across and down:
        return metadata
    if metadata.exif:
        from enlarge.media.metadata.tiff_exif import resolution_of

        if resolution_of(metadata.exif):
            return metadata
    aspect = (across, down) if unit == 0 and across != down and across and down else None
    return replace(metadata, density=None, aspect=aspect)


def _coefficient_bytes(loaded: LoadedImage) -> int:
    """All coefficients, 16 bits each; two chroma planes of a quarter, or whole ones."""
    halved = str(loaded.field("jpeg-chroma-subsample") or "").startswith("4:2:0")
    planes = loaded.bands if loaded.bands != 3 else 1.5 if halved else 3
    return int(loaded.width * loaded.height * 2 * planes) + (16 << 20)


def encode_jpeg(image: pyvips.Image, encoding: Encoding, output: Output) -> None:
    """Encode a JPEG with 4:4:4 colour, with its metadata at the beginning."""
    from enlarge.media.output import with_fields

    segments, notes = metadata_segments(encoding.metadata)
    output.notes += notes
    # `optimize_coding` would keep the whole picture's coefficients in memory.
    with_fields(image, encoding.metadata).jpegsave_target(
        output.target(lambda head: _with_segments(head, segments)),
        Q=encoding.quality,
        subsample_mode="off",
        keep="icc",
    )


def _with_segments(head: bytes, segments: bytes) -> bytes | None:
    """A file's first bytes with the segments; None if they are too few to insert them.

    If libvips wrote a JFIF segment of its own, ours replaces it.
    """
    if len(head) < 6:
        return None
    after = 4 + struct.unpack_from(">H", head, 4)[0] if head[2:4] == b"\xff\xe0" else 2
    return head[:2] + segments + head[after:] if len(head) >= after else None


def quality_of(file: BinaryIO) -> int | None:
    """The quality, 1 to 100, at which the Independent JPEG Group's library would use tables as
    coarse as those of a file (by their mean); None if it is no JPEG or holds no table.

    Only headers are read. Encoders count qualities differently; on this scale 75 is usual on the
    web, 90 to 98 in cameras.
    """
    try:
        for marker, _, length in segments_of(file):
            if marker == _TABLES and (body := file.read(length))[0] & 15 == 0:
                return _quality(body)
    except (struct.error, IndexError, ValueError):
        return None
    return None


def _quality(table: bytes) -> int | None:
    """From a table segment that begins with table 0: 64 bytes, or 64 words of 16 bits."""
    wide = table[0] >> 4
    steps = struct.unpack(">64H" if wide else ">64B", table[1 : 1 + (128 if wide else 64)])
    percent = 100.0 * sum(steps) / _LUMA
    quality = (200.0 - percent) / 2.0 if percent <= 100.0 else 5000.0 / percent
    return max(1, min(100, round(quality)))


JPEG = Format(
    name="jpeg",
    label="JPEG",
    media_type="image/jpeg",
    suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
    read_suffixes=(".mpo",),
    recognizes=begins_with(b"\xff\xd8\xff"),
    read=read_jpeg,
    writer=Writer(
        encode=encode_jpeg,
        content=Content(
            depths=("uint8",),
            alpha=False,
            metadata=frozenset({"icc", "exif", "xmp", "iptc", "text", "density", "aspect"}),
        ),
        max_side=65_535,
        bytes_per_value=0.5,
        quality=95,
    ),
)
