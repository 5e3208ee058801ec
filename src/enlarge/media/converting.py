"""Colours converted to sRGB, as rows pass through libvips."""

from __future__ import annotations

import pyvips

from enlarge.errors import OptionError
from enlarge.media.colour.profile import profile_tag
from enlarge.media.colour.profile_making import rgb_profile_of_gray

_LEVELS = 65_535


def to_srgb(image: pyvips.Image, icc: bytes) -> pyvips.Image:
    """An image in the colours of a profile, converted to sRGB by LittleCMS: gray stays gray, alpha
    and depth stay. Floats are in [0, 1], and are converted with 16 bits.
    """
    source, is_float = image, image.format == "float"
    is_gray = image.bands <= 2
    if is_float:
        image = (image * _LEVELS + 0.5).cast("ushort")
    depth = 8 if image.format == "uchar" else 16
    as_rgb = rgb_profile_of_gray(icc) if is_gray else icc
    if is_gray and as_rgb is not None:  # LittleCMS samples the curves of gray coarsely
        image = image[0].bandjoin([image[0], *image.bandsplit()])
    if not is_gray or as_rgb is not None:
        image = image.copy(interpretation="srgb" if depth == 8 else "rgb16")
    elif is_float:
        image = image.copy(interpretation="grey16")
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", as_rgb or icc)
    image = image.icc_transform("srgb", embedded=True, intent="relative", depth=depth)
    if is_gray:  # R = G = B
        image = image.extract_band(0).bandjoin(image[3]) if image.bands == 4 else image[0]
    if is_float:
        image = (image / _LEVELS).cast("float")
    image = image.copy(interpretation=source.interpretation)
    image.remove("icc-profile-data")
    return image


def check_profile(icc: bytes, channels: int) -> None:
    """Raise `OptionError` where a profile has nothing to convert from; libvips would leave the
    numbers as they are.
    """
    curves = (b"kTRC",) if channels <= 2 else (b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ")
    if profile_tag(icc, b"A2B0") or all(profile_tag(icc, name) for name in curves):
        return
    raise OptionError(
        "--colour srgb: the picture's colour profile is damaged; leave the option out, or give the "
        "picture another profile"
    )
