"""WebP (RFC 9649). Decoder and encoder hold the whole picture; EXIF and XMP chunks are appended."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from enlarge.media.formats.format import Content, EncoderMemory, Format, Writer

if TYPE_CHECKING:
    import pyvips

    from enlarge.media.output import Encoding, Output
    from enlarge.media.stored import PictureFile, StoredPicture


def read_webp(source: PictureFile) -> StoredPicture:
    """Open a WebP. Raises `InputError` (without its name)."""
    from enlarge.media.decoding import exif_orientation, libvips_errors, load_mapped

    with libvips_errors("WebP"):
        loaded = load_mapped(source, "WebP", "webpload_source", "frame")
        animated = loaded.pages.count > 1
        return loaded.stored(
            streams=False,
            # An animation is composed on a canvas of its own.
            decoder_bytes=loaded.width * loaded.height * 4 * (2 + animated) + (8 << 20),
            orientation=exif_orientation(loaded.image),
        )


def encode_webp(image: pyvips.Image, encoding: Encoding, output: Output) -> None:
    """Encode a WebP, lossless at a quality of 100."""
    from enlarge.media.output import with_fields

    lossless = encoding.quality == 100
    data: bytes = with_fields(image, encoding.metadata).webpsave_buffer(
        lossless=lossless,
        exact=lossless,
        smart_subsample=not lossless,
        effort=2,
        keep="icc",
        **({} if lossless else {"Q": encoding.quality}),
    )
    output.write(_with_metadata(data, encoding))


def _with_metadata(data: bytes, encoding: Encoding) -> bytes:
    """The file with EXIF and XMP chunks behind the picture."""
    exif, xmp = encoding.metadata.exif, encoding.metadata.xmp
    body = data[12:]
    if not (exif or xmp):
        return data
    if body[:4] != b"VP8X":
        alpha = encoding.channels in (2, 4)
        size = b"".join(
            (side - 1).to_bytes(3, "little") for side in (encoding.width, encoding.height)
        )
        body = b"VP8X" + struct.pack("<II", 10, 0x10 if alpha else 0) + size + body
    flags = body[8] | (0x08 if exif else 0) | (0x04 if xmp else 0)
    body = body[:8] + bytes([flags]) + body[9:]
    for kind, block in ((b"EXIF", exif), (b"XMP ", xmp)):
        if block:
            body += kind + struct.pack("<I", len(block)) + block + bytes(len(block) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


WEBP = Format(
    name="webp",
    label="WebP",
    media_type="image/webp",
    suffixes=(".webp",),
    recognizes=lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    read=read_webp,
    writer=Writer(
        encode=encode_webp,
        content=Content(
            depths=("uint8",),
            alpha=True,
            metadata=frozenset({"icc", "exif", "xmp"}),
            gray_profile=False,
        ),
        max_side=16_383,
        bytes_per_value=0.4,
        quality=95,
        # At 2400², lossy RGB took 17 bytes a pixel, lossless 35, lossy RGBA 43.
        memory=EncoderMemory(bytes_per_pixel=48, fixed=16 << 20),
    ),
)
