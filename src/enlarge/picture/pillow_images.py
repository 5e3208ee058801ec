"""Pillow images as arrays, and back."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.colour.profile import profile_fits

if TYPE_CHECKING:
    from PIL import Image as Pillow

_KEPT_INFO = ("icc_profile", "exif", "gamma", "srgb", "chromaticity", "nclx_profile")
"""What Pillow's own methods keep and its plugins save again, or say about colour."""
_KEPT_MODES = ("L", "LA", "RGB", "RGBA")
_WITH_ALPHA = {"L": "LA", "1": "LA"}
_HALF = 1 << 15
_SCALED = {"L;2": 85, "L;4": 17}
"""Pillow's names for gray of fewer bits, and by how much it is scaled."""


@dataclass(frozen=True)
class ImagePixels:
    """`pixels` (H, W) or (H, W, C) of uint8 or uint16; `info`: what the result keeps of the image's
    own; `key`: the gray of 16 bits that is transparent, whose alpha is then the last channel.
    """

    pixels: NDArray[Any]
    info: dict[Any, Any]
    key: int | None = None


def from_pillow(image: Pillow.Image) -> ImagePixels:
    """The pixels of an image: as they are where its mode is L, LA, RGB, RGBA or I;16, else as RGB
    or RGBA, where a transparent colour has become alpha (gray with alpha for L and 1). Raises
    `InputError`.
    """
    if image.mode in ("I", "F"):
        raise InputError(
            f"a Pillow image of mode {image.mode} has no defined range; pass its pixels as a "
            "uint16 array, or as float32 in [0, 1]"
        )
    info = {key: image.info[key] for key in _KEPT_INFO if image.info.get(key) is not None}
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        pixels = np.asarray(image)
        if not isinstance(key, int) or not 0 <= key <= 65_535:
            return ImagePixels(pixels, info)
        alpha = np.where(pixels == key, 0, 65_535).astype(np.uint16)
        gray = pixels.astype(np.uint16)  # in the machine's byte order
        return ImagePixels(np.stack([gray, alpha], axis=-1), info, key)
    image = _in_kept_mode(_with_true_key(image), info)
    if not profile_fits(info.get("icc_profile", b""), len(image.getbands())):
        info.pop("icc_profile", None)
    return ImagePixels(np.asarray(image), info)


def _with_true_key(image: Pillow.Image) -> Pillow.Image:
    """The image whose transparent colour is in the range of its pixels: Pillow scales pixels of 2,
    4 and 16 bits of a PNG to 8 bits, but not the colour.
    """
    key = image.info.get("transparency")
    tiles = getattr(image, "tile", None) or [()]  # none once the pixels are decoded
    coding = tiles[0][-1] if tiles[0] else None
    factor = _SCALED.get(coding) if isinstance(coding, str) else None
    if isinstance(key, int) and image.mode == "L" and factor is not None:
        image = image.copy()
        image.info["transparency"] = key * factor
    elif (
        isinstance(key, tuple)
        and image.mode == "RGB"
        and (coding == "RGB;16B" or any(value > 255 for value in key))
    ):
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def _in_kept_mode(image: Pillow.Image, info: dict[Any, Any]) -> Pillow.Image:
    """The image in mode L, LA, RGB or RGBA; without the profile that it was converted from."""
    if image.mode == "CMYK" and "icc_profile" in info:
        return _through_profile(image, info.pop("icc_profile"))
    if image.mode == "LAB":
        info.pop("icc_profile", None)
        return _from_lab(image)
    if image.mode == "La":
        return image.convert("LA")
    if "transparency" in image.info or image.mode in ("PA", "RGBa"):
        return image.convert(_WITH_ALPHA.get(image.mode, "RGBA"))
    return image if image.mode in _KEPT_MODES else image.convert("RGB")


def to_pillow(large: NDArray[Any], given: ImagePixels) -> Pillow.Image:
    """The image of the result. Pillow has no 16-bit gray with alpha: what is less than half opaque
    gets the transparent gray, which no other pixel then has.
    """
    from PIL import Image

    info = given.info
    if given.key is not None:
        gray, hidden = large[..., 0].copy(), large[..., 1] < _HALF
        gray[gray == given.key] = given.key + 1 if given.key == 0 else given.key - 1
        gray[hidden] = given.key
        large, info = gray, info | {"transparency": given.key}
    result = Image.fromarray(large)
    result.info |= info
    return result


def _through_profile(image: Pillow.Image, icc: bytes) -> Pillow.Image:
    """A CMYK picture in sRGB by its own profile, as for a file; by Pillow's formula where the
    profile is damaged.
    """
    from PIL import ImageCms

    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:
        return image.convert("RGB")
    assert converted is not None
    return converted


def _from_lab(image: Pillow.Image) -> Pillow.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None
    return converted
