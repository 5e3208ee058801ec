"""The picture formats: a module for each family, and the table that names them."""

from __future__ import annotations

from enlarge.errors import OptionError, OutputError
from enlarge.media.formats.bmp import BMP
from enlarge.media.formats.deep_zoom import DZI, SZI
from enlarge.media.formats.format import Format, Writer
from enlarge.media.formats.gif import GIF
from enlarge.media.formats.heif import AVIF, HEIC
from enlarge.media.formats.jpeg import JPEG
from enlarge.media.formats.jpeg_2000 import JPEG_2000
from enlarge.media.formats.jpeg_xl import JPEG_XL
from enlarge.media.formats.png import PNG
from enlarge.media.formats.tiff import TIFF
from enlarge.media.formats.webp import WEBP

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        PNG,
        JPEG,
        WEBP,
        TIFF,
        AVIF,
        GIF,
        BMP,
        HEIC,
        JPEG_XL,
        JPEG_2000,
        DZI,
        SZI,
    )
}
"""Every format. Adding one means writing its module and naming it here."""
READABLE = {name: entry for name, entry in FORMATS.items() if entry.read}
WRITERS: dict[str, Writer] = {name: entry.writer for name, entry in FORMATS.items() if entry.writer}

CONTAINERS = {"mp4": "mp4", "m4v": "mp4", "mkv": "mkv", "mov": "mov", "webm": "webm"}
"""What `--format` and `-o` call files of video: a name or a suffix, without its dot, and the
container that it means."""


def format_of_file(head: bytes) -> Format | None:
    """The format of a file that begins with `head` (64 bytes suffice); None if it is unknown."""
    for entry in READABLE.values():
        if entry.recognizes is not None and entry.recognizes(head):
            return entry
    return None


def readable_formats() -> str:
    """The formats that are read, for a message: those of the base install, then the others."""
    base = [entry.label for entry in READABLE.values() if not entry.needs_extra]
    *extra, last = (entry.label for entry in READABLE.values() if entry.needs_extra)
    return f"{', '.join(base)}; {', '.join(extra)} and {last} with enlarge[formats]"


def format_of(suffix: str) -> str:
    """The name of the format that a suffix (".jpg") or a name ("jpeg") asks for when written.

    Raises `OptionError`.
    """
    for name in WRITERS:
        if suffix.lower() in FORMATS[name].suffixes or suffix.lower() == name:
            return name
    known = ", ".join(suffix for name in WRITERS for suffix in FORMATS[name].suffixes)
    given, videos = suffix or "a file without a suffix", ", .".join(CONTAINERS)
    raise OptionError(f"cannot write {given}: choose one of {known}; for a video, .{videos}")


def check_output(format: str, width: int, height: int) -> None:  # noqa: A002
    """Raise `OutputError` if the format cannot hold a picture of that size."""
    limit = WRITERS[format].max_side
    if max(width, height) > limit:
        raise OutputError(
            f"{FORMATS[format].label} holds at most {limit:,} pixels per side, but the result has "
            f"{width:,}×{height:,}; choose png or tiff, or a smaller scale"
        )


def estimate_bytes(
    format: str,  # noqa: A002
    width: int,
    height: int,
    channels: int,
    itemsize: int,
    *,
    pyramid: bool = False,
) -> int:
    """Roughly the largest size of the file, for the disk check; noise can take a little more.

    `pyramid`: with its smaller copies, which take a third more and are in temporary files at first.
    """
    writer = WRITERS[format]
    if "uint16" not in writer.content.depths:
        itemsize = 1
    elif "float32" not in writer.content.depths:
        itemsize = min(itemsize, 2)
    size = int(width * height * channels * itemsize * writer.bytes_per_value) + 65_536
    return size * 5 // 3 if pyramid else size


def encoder_bytes(
    format: str,  # noqa: A002
    width: int,
    height: int,
    channels: int,
    itemsize: int,
    *,
    pyramid: bool = False,
) -> int:
    """The memory that the encoder holds at its peak, beyond the few rows that every plan counts."""
    writer = WRITERS[format]
    memory = writer.pyramid_memory if pyramid and writer.pyramid_memory else writer.memory
    return memory.total(width, height, channels * itemsize)
