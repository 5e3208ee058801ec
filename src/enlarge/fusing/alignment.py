"""Align two pictures of one scene to a fraction of a pixel: efficient second-order minimization.

The motion is composed from small steps. Each step solves weighted least squares for the change of
the motion and for a gain and an offset of brightness, with the gradients of both pictures averaged
(Benhimane and Malis, "Real-time image-based tracking of planes using efficient second-order
minimization", IROS 2004). Differences that are large against the others count less (Tukey's
biweight), so that what covers the scene does not pull at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.motion import Matrix, normalized
from enlarge.fusing.opencv import load_opencv

Luma = NDArray[np.float32]
"""(H, W), 0 to 255."""
Model = Literal["translation", "affine", "homography"]
PARAMETERS: dict[Model, int] = {"translation": 2, "affine": 6, "homography": 8}

_TUKEY = 4.685
"""Of the residuals' scale: 95 % of the efficiency of least squares where noise is Gaussian."""
_MAD = 1.4826
_ENOUGH = 0.25
"""The share of the template that must be inside the frame."""


@dataclass(frozen=True)
class Alignment:
    """A motion from the template's pixels to the picture's, and how well it fits.

    `gain`, `offset`: template ≈ gain · picture + offset. `scale`: of the differences, robust, in
    levels. `correlation` of what both show. `inside`: the share of the template that the picture
    covers. `cost`: mean of the differences' squares, bounded.
    """

    motion: Matrix
    gain: float
    offset: float
    scale: float
    correlation: float
    inside: float
    cost: float


class Template:
    """A picture to which others are aligned, prepared once. `weight` (H, W): 0 where it must not
    count.
    """

    def __init__(self, luma: Luma, weight: Luma | None = None) -> None:
        self.luma = luma
        self.height, self.width = luma.shape
        self.weight = np.ones_like(luma) if weight is None else weight
        self.gradient_x, self.gradient_y = gradients(luma)
        self.radius = max(2.0, (self.width + self.height) / 4)
        x = (np.arange(self.width, dtype=np.float32) - (self.width - 1) / 2) / self.radius
        y = (np.arange(self.height, dtype=np.float32) - (self.height - 1) / 2) / self.radius
        self.x = np.broadcast_to(x, luma.shape).ravel()
        self.y = np.broadcast_to(y[:, None], luma.shape).ravel()

    @property
    def from_centre(self) -> Matrix:
        """From coordinates about the centre, in units of the radius, to pixels."""
        return np.array(
            [
                [self.radius, 0.0, (self.width - 1) / 2],
                [0.0, self.radius, (self.height - 1) / 2],
                [0.0, 0.0, 1.0],
            ]
        )


def gradients(luma: Luma) -> tuple[Luma, Luma]:
    """Differences to the right and downwards, central, in levels per pixel."""
    cv2 = load_opencv()
    kernel = np.array([[-0.5, 0.0, 0.5]], np.float32)
    border = cv2.BORDER_REPLICATE
    return (
        cv2.filter2D(luma, cv2.CV_32F, kernel, borderType=border),
        cv2.filter2D(luma, cv2.CV_32F, kernel.T, borderType=border),
    )


def warp(picture: NDArray[Any], motion: Matrix, width: int, height: int) -> NDArray[Any]:
    """What a picture (H, W) or (H, W, C) shows at the places to which a motion maps the pixels of
    a grid of that size. Bicubic; beyond the border the nearest pixel.
    """
    cv2 = load_opencv()
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        picture, motion, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def covered(
    shape: tuple[int, ...], motion: NDArray[Any], width: int, height: int
) -> NDArray[np.bool_]:
    """Which pixels of a grid a motion maps into a picture of that shape: (height, width)."""
    x = np.arange(width, dtype=np.float64)
    y = np.arange(height, dtype=np.float64)[:, None]
    row = [motion[n, 0] * x + motion[n, 1] * y + motion[n, 2] for n in range(3)]
    far = np.where(np.abs(row[2]) < 1e-6, 1e-6, row[2])
    across, down = row[0] / far, row[1] / far
    high, wide = shape[:2]
    inside: NDArray[np.bool_] = (
        (across >= 0) & (across <= wide - 1) & (down >= 0) & (down <= high - 1)
    )
    return inside


def align(
    template: Template,
    picture: Luma,
    start: Matrix,
    model: Model,
    *,
    steps: int = 20,
    light: tuple[float, float] = (1.0, 0.0),
) -> Alignment | None:
    """Align a picture to a template, from a motion that is right to a pixel or two.

    `light`: the gain and offset to start with. None where the picture covers too little of the
    template, or shows nothing to hold on to.
    """
    motion, (gain, offset) = start, light
    best: Alignment | None = None
    for _ in range(steps):
        step = _step(template, picture, motion, model, gain, offset)
        if step is None:
            return best
        best = step.before
        motion, gain, offset = step.motion, step.gain, step.offset
        if step.size < 1e-3:
            break
    final = _step(template, picture, motion, model, gain, offset)
    return best if final is None else final.before


@dataclass(frozen=True)
class _Step:
    """`before`: how well the motion fitted before the step. `size`: how far it moved a corner."""

    before: Alignment
    motion: Matrix
    gain: float
    offset: float
    size: float


def _step(
    template: Template, picture: Luma, motion: Matrix, model: Model, gain: float, offset: float
) -> _Step | None:
    """One step of the minimization."""
    width, height = template.width, template.height
    inside = covered(picture.shape, motion, width, height)
    weight = template.weight * inside
    total = float(weight.sum())
    if total < _ENOUGH * float(template.weight.sum()) or total < 12:
        return None
    warped = warp(picture, motion, width, height)
    residual = template.luma - gain * warped - offset
    scale = max(_MAD * float(np.median(np.abs(residual[weight > 0]))), 0.25)
    ratio = np.minimum(np.abs(residual) / (_TUKEY * scale), 1.0)
    robust = (weight * np.square(1.0 - np.square(ratio))).ravel()
    warped_x, warped_y = gradients(warped)
    along_x = (0.5 * (gain * warped_x + template.gradient_x)).ravel()
    along_y = (0.5 * (gain * warped_y + template.gradient_y)).ravel()
    columns = _jacobian(template, along_x, along_y, model)
    columns += [warped.ravel(), np.ones(warped.size, np.float32)]
    jacobian = np.stack(columns)
    weighted = jacobian * robust
    try:
        change = np.linalg.solve(
            (weighted @ jacobian.T).astype(np.float64) + 1e-6 * np.eye(len(columns)),
            (weighted @ residual.ravel()).astype(np.float64),
        )
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(change).all():
        return None
    local = np.eye(3)
    _fill(local, change, model)
    place = template.from_centre
    inner = place @ local @ np.linalg.inv(place)
    moved = normalized(motion @ inner)
    chance = 1.0 - np.square(ratio)
    cost = float((weight * (1.0 - chance**3)).sum() / total) * (_TUKEY * scale) ** 2 / 6
    before = Alignment(
        motion,
        gain,
        offset,
        scale,
        _correlation(template.luma, warped, weight),
        total / float(template.weight.sum()),
        cost,
    )
    size = float(np.abs(change[:-2]).sum()) * template.radius
    return _Step(before, moved, gain + float(change[-2]), offset + float(change[-1]), size)


def _jacobian(
    template: Template, along_x: NDArray[Any], along_y: NDArray[Any], model: Model
) -> list[NDArray[Any]]:
    """The change of every pixel by each parameter of the motion, (H · W) each."""
    along_x, along_y = along_x * template.radius, along_y * template.radius
    columns = [along_x, along_y]
    if model != "translation":
        x, y = template.x, template.y
        columns += [along_x * x, along_x * y, along_y * x, along_y * y]
        if model == "homography":
            outward = along_x * x + along_y * y
            columns += [-outward * x, -outward * y]
    return columns


def _fill(local: Matrix, change: NDArray[np.float64], model: Model) -> None:
    """Put the parameters of a motion into a matrix, which is the identity so far."""
    local[0, 2], local[1, 2] = change[0], change[1]
    if model != "translation":
        local[0, 0] += change[2]
        local[0, 1] += change[3]
        local[1, 0] += change[4]
        local[1, 1] += change[5]
        if model == "homography":
            local[2, 0], local[2, 1] = change[6], change[7]


def _correlation(first: Luma, second: Luma, weight: Luma) -> float:
    """The correlation of two pictures where `weight` says."""
    total = float(weight.sum())
    one = first - float((weight * first).sum()) / total
    two = second - float((weight * second).sum()) / total
    power = float((weight * one * one).sum()) * float((weight * two * two).sum())
    return float((weight * one * two).sum()) / power**0.5 if power > 0 else 0.0
