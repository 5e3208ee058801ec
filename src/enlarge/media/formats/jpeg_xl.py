"""JPEG XL (ISO/IEC 18181), read through Pillow, which holds the whole picture."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from enlarge.errors import InputError
from enlarge.media.bounded import position_kept
from enlarge.media.formats.boxes import boxes_of
from enlarge.media.formats.format import Format, begins_with

if TYPE_CHECKING:
    from enlarge.media.stored import PictureFile, StoredPicture

_CODESTREAM = b"\xff\x0a"
_GAIN_MAP = b"jhgm"


def read_jpeg_xl(source: PictureFile) -> StoredPicture:
    """Open a JPEG XL. Raises `InputError` (without its name)."""
    from enlarge.media.formats.box_metadata import with_boxes
    from enlarge.media.formats.gain_map import NOTE
    from enlarge.media.pillow import import_plugin, open_image, stored

    import_plugin("pillow_jxl", "JPEG XL")
    header = jpeg_xl_header(source.start())
    image = open_image(source, "JPEG XL")
    # The decoder applies the orientation of the file's own header, which EXIF repeats. A JPEG
    # inside a JPEG XL comes as it is stored.
    upright = image.format == "JXL" and not getattr(image, "jpeg", 0)
    found = stored(image, source, "JPEG XL", bits=header.bits, upright=upright)
    metadata, notes = with_boxes(source.file, found.metadata)
    found = replace(found, metadata=metadata, notes=(*found.notes, *notes))
    with position_kept(source.file):
        if any(kind == _GAIN_MAP for kind, _, _ in boxes_of(source.file)):
            found = replace(found, notes=(*found.notes, NOTE))
    if not header.is_animated:
        return found
    convert = f"djxl {Path(source.name).name} frames.apng makes a file whose frames can all be used"
    if source.page is not None:
        raise InputError(f"this JPEG XL is an animation, whose frames cannot be chosen; {convert}")
    # The plug-in decodes all frames, and gives what is there at the end.
    note = f"is an animation; only its last frame is used ({convert})"
    return replace(found, notes=(*found.notes, note))


class JpegXlHeader(NamedTuple):
    """What the codestream's headers say: bits of a sample, and whether frames follow the first."""

    bits: int = 8
    is_animated: bool = False


def jpeg_xl_header(start: bytes) -> JpegXlHeader:
    """The codestream's headers (SizeHeader and ImageMetadata of ISO/IEC 18181-1); the defaults if
    they are not in the first bytes.
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

    def skip_preview() -> None:
        lengths = (0, 0, 5, 9) if take(1) else (6, 8, 10, 12)
        for first in (True, False):
            if first or not take(3):
                take(lengths[take(2)])

    def skip_animation() -> None:
        take((0, 0, 10, 30)[take(2)])  # ticks
        take((0, 0, 8, 10)[take(2)])  # per second
        take((0, 3, 16, 32)[take(2)])  # loops
        take(1)  # time codes

    if not stream.startswith(_CODESTREAM):
        return JpegXlHeader()
    skip_size()
    if take(1):  # all by default
        return JpegXlHeader()
    is_animated = False
    if take(1):
        take(3)  # orientation
        if take(1):
            skip_size()
        if take(1):
            skip_preview()
        if is_animated := bool(take(1)):
            skip_animation()
    choices = (32, 16, 24) if take(1) else (8, 10, 12)
    choice = take(2)
    sample = choices[choice] if choice < len(choices) else 1 + take(6)
    return JpegXlHeader(sample, is_animated)


def _codestream(start: bytes) -> bytes:
    """A file's first bytes from the codestream's beginning on, which is bare or in boxes."""
    for kind, inside, _ in boxes_of(io.BytesIO(start)) if start[4:8] == b"JXL " else ():
        if kind in (b"jxlc", b"jxlp"):
            return start[inside + 4 * (kind == b"jxlp") :]
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
