"""JPEG XL (ISO/IEC 18181), read through Pillow, which holds the whole picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from enlarge.media.formats.format import Format, begins_with

if TYPE_CHECKING:
    from enlarge.media.stored import PictureFile, StoredPicture

_CODESTREAM = b"\xff\x0a"


def read_jpeg_xl(source: PictureFile) -> StoredPicture:
    """Open a JPEG XL. Raises `InputError` (without its name)."""
    from enlarge.media.pillow import import_plugin, open_image, stored

    import_plugin("pillow_jxl", "JPEG XL")
    bits = jpeg_xl_bits(source.start())
    image = open_image(source, "JPEG XL")
    # The decoder applies the orientation of the file's own header, which EXIF repeats. A JPEG
    # inside a JPEG XL comes as it is stored.
    upright = image.format == "JXL" and not getattr(image, "jpeg", 0)
    return stored(image, source, "JPEG XL", bits=bits, upright=upright)


def jpeg_xl_bits(start: bytes) -> int:
    """Bits of a sample, from the codestream's headers (SizeHeader and ImageMetadata of ISO/IEC
    18181-1); 8 if they are not in the first bytes.
    """
    stream = _codestream(start)
    bits, at = int.from_bytes(stream[2:66], "little"), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        return bits >> (at - count) & ((1 << count) - 1)

    def skip_size() -> None:
        small = take(1)
        for first in (True, False):
            if first or not take(3):  # a ratio stands for the width
                take(5 if small else (9, 13, 18, 30)[take(2)])

    if not stream.startswith(_CODESTREAM):
        return 8
    skip_size()
    if take(1):  # all by default
        return 8
    if take(1):
        take(3)  # orientation
        if take(1):
            skip_size()
        if take(1) or take(1):  # a preview or an animation, whose headers come first
            return 8
    choices = (32, 16, 24) if take(1) else (8, 10, 12)
    choice = take(2)
    return choices[choice] if choice < len(choices) else 1 + take(6)


def _codestream(start: bytes) -> bytes:
    """A file's first bytes from the codestream's beginning on, which is bare or in boxes."""
    at = 0 if start[4:8] == b"JXL " else len(start)
    while at + 8 <= len(start):
        size, kind = int.from_bytes(start[at : at + 4]), start[at + 4 : at + 8]
        inside = 16 if size == 1 else 8
        if kind in (b"jxlc", b"jxlp"):
            return start[at + inside + 4 * (kind == b"jxlp") :]
        size = int.from_bytes(start[at + 8 : at + 16]) if size == 1 else size
        at += max(size, 8) if size else len(start)
    return start


JPEG_XL = Format(
    name="jxl",
    label="JPEG XL",
    media_type="image/jxl",
    suffixes=(".jxl",),
    recognizes=begins_with(_CODESTREAM, b"\0\0\0\x0cJXL \r\n\x87\n"),
    read=read_jpeg_xl,
    needs_extra=True,
)
