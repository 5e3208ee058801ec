"""JPEG 2000 (ISO/IEC 15444-1), read through Pillow, which holds the whole picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from enlarge.media.formats.format import Format, begins_with

if TYPE_CHECKING:
    from enlarge.media.stored import PictureFile, StoredPicture

_CODESTREAM = b"\xff\x4f\xff\x51"
"""The markers SOC and SIZ, with which a codestream begins."""


def read_jpeg_2000(source: PictureFile) -> StoredPicture:
    """Open a JPEG 2000. Raises `InputError` (without its name)."""
    from enlarge.media.formats.box_metadata import with_boxes
    from enlarge.media.metadata.exif import orientation_of
    from enlarge.media.pillow import import_plugin, open_image, stored

    import_plugin("PIL.Jpeg2KImagePlugin", "JPEG 2000")
    bits = _sample_bits(source.start())
    picture = stored(open_image(source, "JPEG 2000"), source, "JPEG 2000", bits=bits)
    metadata, notes = with_boxes(source.file, picture.metadata)
    return replace(
        picture,
        metadata=metadata,
        orientation=orientation_of(metadata.exif) if metadata.exif else 1,
        notes=(*picture.notes, *notes),
    )


def _sample_bits(start: bytes) -> int:
    """Bits of a sample, from the codestream's SIZ (A.5.1); 8 if it is not in the first bytes."""
    at = start.find(_CODESTREAM) + 42
    return (start[at] & 127) + 1 if 42 <= at < len(start) else 8


JPEG_2000 = Format(
    name="jp2",
    label="JPEG 2000",
    media_type="image/jp2",
    suffixes=(".jp2",),
    recognizes=begins_with(b"\0\0\0\x0cjP  \r\n\x87\n", _CODESTREAM),
    read=read_jpeg_2000,
    needs_extra=True,
)
