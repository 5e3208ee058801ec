"""The protocol of a comparison, without which a score means nothing.

One network on one data set reads 30.04 dB in RGB, 30.71 in full-range Y and 32.02 in the Y of
BT.601 with a border cropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import DataError
from enlarge.luma import LUMA
from enlarge.media.pixels import over_white
from enlarge.metrics.fidelity import psnr, size
from enlarge.metrics.similarity import ssim

Colour = Literal["y", "full-y", "rgb"]

_NAMES = {
    "y": "Y of BT.601 (16–235, in float, not rounded)",
    "full-y": "Y of BT.601 in full range (0–255, in float, not rounded)",
    "rgb": "RGB",
}


class Scores(NamedTuple):
    """The result of `Protocol.measure`: PSNR in dB (infinite for equal pictures) and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Protocol:
    """How two pictures are compared. `str()` describes it in one sentence.

    `colour`: the Y of BT.601 from 16 to 235 as MATLAB's `rgb2ycbcr` has it, the same in full
    range, or RGB. `border`: pixels left out on each side; None: as many as the factor.
    `modcrop`: whether sides that the factor does not divide are cropped, instead of refused.
    """

    colour: Colour = "y"
    border: int | None = None
    modcrop: bool = False

    def measure(self, enlarged: NDArray[Any], original: NDArray[Any], *, factor: int = 0) -> Scores:
        """PSNR and SSIM of two pictures of one size, data range 255.

        H×W or H×W×3, uint8, uint16 or float in [0, 1]. A gray one counts as R = G = B, and one with
        alpha (H×W×2, H×W×4) as it looks on white; `comparison.alpha_likeness` compares alpha.
        `factor` is the border where the protocol has none. Raises `DataError` where the sizes
        differ, and for other values.
        """
        if enlarged.shape[:2] != original.shape[:2]:
            raise DataError(
                f"the sizes differ: enlarged {size(enlarged)}, original {size(original)}"
            )
        border = factor if self.border is None else self.border
        x, y = self.planes(enlarged), self.planes(original)
        return Scores(
            psnr(x, y, data_range=255.0, border=border), ssim(x, y, data_range=255.0, border=border)
        )

    def planes(self, picture: NDArray[Any]) -> NDArray[np.float64]:
        """The values that are compared, from 0 to 255: (H, W) for Y, (H, W, 3) for RGB."""
        rgb = to_rgb(picture).astype(np.float64) * (255.0 / levels(picture))
        return rgb if self.colour == "rgb" else luma(rgb, full=self.colour == "full-y")

    def __str__(self) -> str:
        border = "as many pixels as the factor" if self.border is None else f"{self.border} px"
        cropped = "no border cropped" if self.border == 0 else f"a border of {border} cropped"
        sides = ", sides cropped to multiples of the factor" if self.modcrop else ""
        return (
            f"8-bit output, {_NAMES[self.colour]}, {cropped}{sides}, data range 255, "
            "SSIM with an 11×11 Gaussian of σ 1.5, mean over pictures"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the fields, what is fixed, and the sentence."""
        return {
            "colour": self.colour,
            "border": "factor" if self.border is None else self.border,
            "modcrop": self.modcrop,
            "data_range": 255,
            "output": "8 bits",
            "mean": "over pictures",
            "text": str(self),
        }


def luma(rgb: NDArray[Any], *, full: bool = False) -> NDArray[np.float64]:
    """The Y of BT.601 of (H, W, 3) values from 0 to 255, in float64 and not rounded.

    16 to 235, as MATLAB's `rgb2ycbcr` without its rounding; `full`: 0 to 255, as JPEG has it.
    """
    weights = np.array(LUMA if full else [65.481, 128.553, 24.966])
    y: NDArray[np.float64]
    y = rgb @ weights if full else 16.0 + rgb @ (weights / 255.0)
    return y


def levels(picture: NDArray[Any]) -> float:
    """The value of white: 255, 65535, or 1 for floats. Raises `DataError` for other dtypes, and for
    floats that are clearly not in [0, 1].
    """
    if picture.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(picture.dtype).max)
    if not np.issubdtype(picture.dtype, np.floating):
        raise DataError(f"expected uint8, uint16 or floats in [0, 1], got {picture.dtype}")
    if picture.size and picture.max() > 2:
        raise DataError(f"expected floats in [0, 1], got values up to {picture.max():g}")
    return 1.0


def to_rgb(picture: NDArray[Any]) -> NDArray[Any]:
    """(H, W), (H, W, 1 to 4) → (H, W, 3): gray as R = G = B, transparency over white."""
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.shape[2] in (2, 4):
        is_float = np.issubdtype(picture.dtype, np.floating)
        picture = over_white(picture.astype(np.float32) if is_float else picture)
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
