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
    deep = mode.startswith("I")
    return channels, np.dtype(np.uint16 if deep else np.uint8)


def pixels(image: Any) -> NDArray[Any]:
    """Decode it: (H, W, C) of `shape_of`. Raises `InputError` (without a path)."""
    channels, dtype = shape_of(image)
    mode = _MODES.get(image.mode, image.mode)
    try:
        array: NDArray[Any] = np.asarray(image.convert(mode) if mode != image.mode else image)
    except Exception as error:  # decoders raise whatever they like
        raise InputError(f"this picture cannot be decoded ({error}); copy it again") from error
    return array.astype(dtype).reshape(image.height, image.width, channels)


def metadata_of(image: Any) -> tuple[Metadata, int]:
    """Its metadata, and the orientation still to be applied."""
    block = image.info.get("exif")
    block = without_prefix(block) if block else None
    packet = image.info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode()
    # pillow-heif turns the picture itself; the others give it as it is stored.
    orientation = 1 if image.format == "HEIF" or not block else orientation_of(block)
    return Metadata(icc=image.info.get("icc_profile"), exif=block, xmp=packet), orientation
