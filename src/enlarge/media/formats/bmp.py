"""BMP, uncompressed, read by a decoder of our own: libvips has none. It streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enlarge.media.formats.format import Format, begins_with
from enlarge.media.metadata.metadata import Metadata

if TYPE_CHECKING:
    from enlarge.media.stored import PictureFile, StoredPicture


def read_bmp(source: PictureFile) -> StoredPicture:
    """Open a BMP. Raises `InputError` (without its name)."""
    from enlarge.media.formats.bmp_decoder import BmpRows, read_header
    from enlarge.media.stored import StoredPicture

    header = read_header(source.file)
    return StoredPicture(
        rows=BmpRows(source.file, header),
        metadata=Metadata(icc=header.icc, density=header.density),
        kind="palette" if header.palette is not None else "RGB",
        decoder_bytes=header.stride * 64,
    )


BMP = Format(
    name="bmp",
    label="BMP",
    media_type="image/bmp",
    suffixes=(".bmp",),
    recognizes=begins_with(b"BM"),
    read=read_bmp,
)
