"""What is known of a video before its frames are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from enlarge.luma import LUMA

# Numbers of H.273 (Coding-independent code points for video signal type identification).
RGB, BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, SMPTE240M = 0, 1, 2, 4, 5, 6, 7
BT2020_NCL, BT2020_CL = 9, 10
HD_LINES = 720
"""Lines from which on a video without tags is taken for BT.709, and below for BT.601."""
PAL_LINES = (288, 576)
MARK = "enlarge"
"""How our mark begins."""
MARK_TAGS = {
    "mp4": "handler_name",
    "mov": "handler_name",
    "mkv": "PROCESSED_BY",
    "webm": "PROCESSED_BY",
}
"""The tag of the stream of pictures that holds it: what names the maker of a track in MP4."""

RED_AND_BLUE: dict[int, tuple[float, float]] = {
    BT709: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT470BG: (LUMA[0], LUMA[2]),
    SMPTE170M: (LUMA[0], LUMA[2]),
    SMPTE240M: (0.212, 0.087),
    BT2020_NCL: (0.2627, 0.0593),
    BT2020_CL: (0.2627, 0.0593),
}
"""The shares of red and blue in luma, by the matrix (H.273, table 4)."""


@dataclass(frozen=True)
class ColourCode:
    """How a stream codes colours: matrix, primaries and transfer function as numbers of H.273,
    whether levels take the full range, and where chroma samples lie (left, center, topleft).
    `assumed`: the tags that the stream does not have, in words.
    """

    matrix: int
    primaries: int
    transfer: int
    full_range: bool
    siting: str = "left"
    assumed: tuple[str, ...] = ()

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is PQ or HLG."""
        return self.transfer in (16, 18)


def complete_colour(colour: ColourCode, height: int, *, is_rgb: bool) -> ColourCode:
    """The colour with what is not tagged filled in: BT.601 below 720 lines (with the primaries of
    PAL for 288 and 576 lines, else those of NTSC), BT.709 from there.
    """
    if is_rgb:
        return replace(colour, matrix=RGB, full_range=True)
    matrix, primaries, transfer = colour.matrix, colour.primaries, colour.transfer
    assumed = list(colour.assumed)
    if height >= HD_LINES:
        name, values = "BT.709", (BT709, BT709, BT709)
    elif height in PAL_LINES:
        name, values = "BT.601 (625 lines)", (BT470BG, BT470BG, SMPTE170M)
    else:
        name, values = "BT.601 (525 lines)", (SMPTE170M, SMPTE170M, SMPTE170M)
    if matrix == UNSPECIFIED:
        if primaries in (BT709, BT2020_NCL):  # a part of the tags says enough
            matrix = primaries
        else:
            matrix = values[0]
            assumed.append(f"matrix {name}")
    if primaries == UNSPECIFIED:
        primaries = {BT709: BT709, BT2020_NCL: 9, BT2020_CL: 9}.get(matrix, values[1])
    if transfer == UNSPECIFIED:
        transfer = {BT709: BT709, BT2020_NCL: 14, BT2020_CL: 14}.get(matrix, values[2])
    return replace(
        colour, matrix=matrix, primaries=primaries, transfer=transfer, assumed=tuple(assumed)
    )


@dataclass(frozen=True)
class LightLevels:
    """Static metadata of HDR10. `mastering`: chromaticities of green, blue, red and white (x, y) in
    steps of 0.00002, then the greatest and the least luminance in steps of 0.0001 cd/m²
    (SMPTE ST 2086). `content`: MaxCLL and MaxFALL in cd/m² (CTA-861.3).
    """

    mastering: tuple[int, ...] | None = None
    content: tuple[int, int] | None = None


@dataclass(frozen=True)
class VideoFacts:
    """What is known of a video from its header and its first frames.

    `width` and `height`: of a frame as it is shown, turned by `rotation` (degrees,
    counter-clockwise), then flipped top to bottom (`is_flipped`), or left to right where it was
    turned onto its side. `frames`: as counted in the header, or estimated from its duration.
    `rate`: frames per second on average. `time_base`: seconds of a tick of the timestamps.
    `aspect`: the width of a pixel by its height. `depth`: bits of a sample. `chroma`: the
    subsampling as 420, 422, 444. `lost`: what cannot be kept of the pictures. `made`: our mark, if
    enlarge made it.
    """

    container: str
    codec: str
    width: int
    height: int
    frames: int
    seconds: float
    rate: Fraction
    time_base: Fraction
    depth: int
    colour: ColourCode
    chroma: str = "420"
    aspect: Fraction = Fraction(1)
    rotation: int = 0
    is_flipped: bool = False
    is_interlaced: bool = False
    light: LightLevels = field(default_factory=lambda: LightLevels())
    lost: tuple[str, ...] = ()
    made: str | None = None
    format: str = "video"
    pages: int = 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the frames as arrays: uint8, or uint16 for more than 8 bits."""
        return np.dtype(np.uint8 if self.depth <= 8 else np.uint16)
