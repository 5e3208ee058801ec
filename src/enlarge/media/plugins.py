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


def notes_of(image: Any, format: str) -> list[str]:  # noqa: A002
    """What is lost of it, in words."""
    bits = image.info.get("bit_depth", 8)
    if bits > 8 and shape_of(image)[1] == np.uint8:
        return [f"{_NAMES[format]} of {bits} bits is read as 8"]
    if image.mode == "F":
        return ["float values are taken as 0 to 1, and clamped to that"]
    return []


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
