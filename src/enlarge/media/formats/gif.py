"""GIF (89a), read through libvips, which holds the whole picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from enlarge.media.formats.format import Format, begins_with

if TYPE_CHECKING:
    from enlarge.media.stored import PictureFile, StoredPicture

_PIXELS_PER_BYTE = 4096
"""LZW gives at most 4095 pixels for one code."""


def read_gif(source: PictureFile) -> StoredPicture:
    """Open a GIF. Raises `InputError` (without its name)."""
    from enlarge.media.decoding import libvips_errors, load_mapped, metadata_fields
    from enlarge.media.formats.gif_metadata import read_metadata

    with libvips_errors("GIF"):
        found = read_metadata(source.file)
        loaded = load_mapped(source, "GIF", "gifload_source", "frame")
        loaded.check_size(_PIXELS_PER_BYTE)
        decoded = loaded.width * loaded.height * 4 * 3 + (8 << 20)
        metadata = replace(
            metadata_fields(loaded.image), icc=found.icc, xmp=found.xmp, text=found.text
        )
        return loaded.stored(streams=False, decoder_bytes=decoded, metadata=metadata)


GIF = Format(
    name="gif",
    label="GIF",
    media_type="image/gif",
    suffixes=(".gif",),
    recognizes=begins_with(b"GIF87a", b"GIF89a"),
    read=read_gif,
)
