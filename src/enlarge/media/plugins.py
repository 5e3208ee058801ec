"""HEIC, JPEG XL and JPEG 2000, through Pillow and its plugins (the extra `[formats]`).

Whole pictures in memory: none of the three decoders gives rows.
"""

from __future__ import annotations

import importlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.exif import orientation_of, without_prefix
from enlarge.media.metadata import Metadata

INSTALL = 'pip install "enlarge[formats]"'
_PLUGINS = {"heic": "pillow_heif", "jxl": "pillow_jxl", "jp2": "PIL.Jpeg2KImagePlugin"}
_NAMES = {"heic": "HEIC", "jxl": "JPEG XL", "jp2": "JPEG 2000"}
INSTALLED_BY_EXTRA = frozenset(_PLUGINS)
_MODES = {"1": "L", "P": "RGBA", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB"}


def open_plugin(file: BinaryIO, format: str) -> Any:  # noqa: A002
    """The Pillow image, its header read. Raises `InputError` (without a path)."""
    try:
        module = importlib.import_module(_PLUGINS[format])
        image_module: Any = importlib.import_module("PIL.Image")
    except ImportError as error:
        raise InputError(
            f"this is a {_NAMES[format]} picture, which needs an extra: {INSTALL}"
        ) from error
    if format == "heic":
        module.register_heif_opener()
    limit = image_module.MAX_IMAGE_PIXELS
    image_module.MAX_IMAGE_PIXELS = None  # memory is counted by our caller
    try:
        return image_module.open(file)
    except Exception as error:  # decoders raise whatever they like
        raise InputError(f"this {_NAMES[format]} picture cannot be read ({error})") from error
    finally:
        image_module.MAX_IMAGE_PIXELS = limit


def shape_of(image: Any) -> tuple[int, np.dtype[Any]]:
    """Channels and dtype that `pixels` will give."""
    mode = _MODES.get(image.mode, image.mode)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)
    deep = {"I": np.uint16, "F": np.float32}
    return channels, np.dtype(deep.get(mode[:1], np.uint8))


def pixels(image: Any) -> NDArray[Any]:
    """Decode it: (H, W, C) of `shape_of`. Raises `InputError` (without a path)."""
    channels, dtype = shape_of(image)
    mode = _MODES.get(image.mode, image.mode)
    try:
        array: NDArray[Any] = np.asarray(image.convert(mode) if mode != image.mode else image)
    except Exception as error:  # decoders raise whatever they like
        raise InputError(f"this picture cannot be decoded ({error}); copy it again") from error
    if dtype == np.float32:
        array = np.nan_to_num(array).clip(0.0, 1.0)
    return array.astype(dtype).reshape(image.height, image.width, channels)


def notes_of(image: Any, format: str, head: bytes) -> list[str]:  # noqa: A002
    """What is lost of it, in words. `head`: the file's first bytes."""
    depths = {"jxl": _depth_in_jxl, "jp2": _depth_in_jp2}
    bits = depths[format](head) if format in depths else image.info.get("bit_depth", 8)
    if bits > 8 and shape_of(image)[1] == np.uint8:
        return [f"{_NAMES[format]} of {bits} bits is read as 8"]
    if image.mode == "F":
        return ["float values are taken as 0 to 1, and clamped to that"]
    return []


def _depth_in_jp2(head: bytes) -> int:
    """Bits of a sample, by the codestream's SIZ (ISO/IEC 15444-1, A.5.1); 8 where it is unseen."""
    at = head.find(b"\xff\x4f\xff\x51") + 42
    return (head[at] & 127) + 1 if 42 <= at < len(head) else 8


def _depth_in_jxl(head: bytes) -> int:
    """Bits of a sample, by the codestream's headers (ISO/IEC 18181-1, SizeHeader, ImageMetadata);
    8 where they are not seen.
    """
    stream = _codestream_of_jxl(head)
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

    if not stream.startswith(b"\xff\x0a"):
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


def _codestream_of_jxl(head: bytes) -> bytes:
    """What a file holds from the codestream's beginning on: bare, or in boxes."""
    at = 0 if head[4:8] == b"JXL " else len(head)
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        inside = 16 if size == 1 else 8
        if kind in (b"jxlc", b"jxlp"):
            return head[at + inside + 4 * (kind == b"jxlp") :]
        size = int.from_bytes(head[at + 8 : at + 16]) if size == 1 else size
        at += max(size, 8) if size else len(head)
    return head


def metadata_of(image: Any) -> tuple[Metadata, int]:
    """Its metadata, and the orientation still to be applied."""
    block = image.info.get("exif")
    block = without_prefix(block) if block else None
    packet = image.info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    # HEIF and JPEG XL say in their own header how a picture stands, and their decoders turn it;
    # EXIF's word is not to be applied again. A JPEG inside a JPEG XL is given as it is stored.
    upright = image.format == "HEIF" or (image.format == "JXL" and not getattr(image, "jpeg", 0))
    orientation = 1 if upright or not block else orientation_of(block)
    return Metadata(icc=image.info.get("icc_profile"), exif=block, xmp=packet), orientation
