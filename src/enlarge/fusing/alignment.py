"""Align two pictures of one scene to a fraction of a pixel: efficient second-order minimization.

The motion is composed from small steps. Each step solves weighted least squares for the change of
the motion and for a gain and an offset of brightness, with the gradients of both pictures averaged
(Benhimane and Malis, "Real-time image-based tracking of planes using efficient second-order
minimization", IROS 2004). Differences that are large against the others count less (Tukey's
biweight), so that what covers the scene does not pull at it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.motion import Matrix, carried, normalized
from enlarge.fusing.opencv import load_opencv

Luma = NDArray[np.float32]
"""(H, W), 0 to 255."""
Model = Literal["translation", "affine", "homography"]
PARAMETERS: dict[Model, int] = {"translation": 2, "affine": 6, "homography": 8}

_TUKEY = 4.685
"""Of the residuals' scale: 95 % of the efficiency of least squares where noise is Gaussian."""
_MAD = 1.4826
_COMPARED = 6000
_STILL = 2e-3
"""Pixels: a step that moves no corner further ends the minimization."""
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
    count. Of a large picture the pixels with the strongest gradients are compared, `_COMPARED` of
    them: what is flat says nothing about motion.
    """

    def __init__(self, luma: Luma, weight: Luma | None = None) -> None:
        self.height, self.width = luma.shape
        self.radius = max(2.0, (self.width + self.height) / 4)
        gradient_x, gradient_y = gradients(luma)
        strength = np.square(gradient_x) + np.square(gradient_y)
        if weight is not None:
            strength = np.where(weight > 0, strength, -1)
        chosen = np.flatnonzero(strength >= 0)
        if chosen.size > _COMPARED:
            chosen = np.sort(np.argpartition(strength.ravel(), -_COMPARED)[-_COMPARED:])
        self.chosen = chosen
        self.luma = luma.ravel()[chosen]
        self.gradient_x, self.gradient_y = (g.ravel()[chosen] for g in (gradient_x, gradient_y))
        self.column = (chosen % self.width).astype(np.float32)
        self.row = (chosen // self.width).astype(np.float32)
        self.x = (self.column - np.float32((self.width - 1) / 2)) / np.float32(self.radius)
        self.y = (self.row - np.float32((self.height - 1) / 2)) / np.float32(self.radius)

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

    def covered(
        self, shape: tuple[int, ...], motion: Matrix, hidden: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """Which of the pixels a motion maps into a picture of that shape, and not to where it is
        `hidden`.
        """
        across, down = carried(motion, self.column, self.row)
        inside = within(across, down, shape)
        if hidden is not None:
            high, wide = shape[:2]
            column = np.clip(np.rint(across), 0, wide - 1).astype(np.intp)
            row = np.clip(np.rint(down), 0, high - 1).astype(np.intp)
            inside &= ~hidden[row, column]
        return inside


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
    return within(row[0] / far, row[1] / far, shape)


def within(across: NDArray[Any], down: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of the places lie in a picture of that shape."""
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
    steps: int = 12,
    light: tuple[float, float] = (1.0, 0.0),
    hidden: NDArray[np.bool_] | None = None,
) -> Alignment | None:
    """Align a picture to a template, from a motion that is right to a pixel or two.

    `light`: the gain and offset to start with. `hidden`: pixels of the picture that do not show the
    scene. None where the picture covers too little of the
    template, or shows nothing to hold on to.
    """
    state = _State(start, *light)
    shown = _Shown(picture, hidden)
    best: Alignment | None = None
    for _ in range(steps):
        step = _step(template, shown, state, model)
        if step is None:
            return best
        best = step.before
        state = step.after
        if step.size < _STILL:
            break
    final = _step(template, shown, state, model)
    return best if final is None else final.before


class _State(NamedTuple):
    motion: Matrix
    gain: float
    offset: float


class _Shown(NamedTuple):
    """A picture, and where it does not show the scene."""

    luma: Luma
    hidden: NDArray[np.bool_] | None


@dataclass(frozen=True)
class _Step:
    """`before`: how well the motion fitted before the step. `size`: how far it moved a corner."""

    before: Alignment
    after: _State
    size: float


def _step(template: Template, shown: _Shown, state: _State, model: Model) -> _Step | None:
    """One step of the minimization."""
    motion, gain, offset = state
    weight = template.covered(shown.luma.shape, motion, shown.hidden)
    total = int(weight.sum())
    if total < _ENOUGH * weight.size or total < 12:
        return None
    picture_warped = warp(shown.luma, motion, template.width, template.height)
    warped = picture_warped.ravel()[template.chosen]
    warped_x, warped_y = (g.ravel()[template.chosen] for g in gradients(picture_warped))
    residual = template.luma - np.float32(gain) * warped - np.float32(offset)
    scale = max(_MAD * float(np.median(np.abs(residual[weight]))), 0.25)
    ratio = np.square(np.minimum(np.abs(residual) * np.float32(1 / (_TUKEY * scale)), 1))
    robust = weight * np.square(1 - ratio)
    half = np.float32(0.5)
    along_x = half * (np.float32(gain) * warped_x + template.gradient_x)
    along_y = half * (np.float32(gain) * warped_y + template.gradient_y)
    columns = _jacobian(template, along_x, along_y, model)
    jacobian = np.stack([*columns, warped, np.ones_like(warped)])
    weighted = jacobian * robust
    # Not by `@`: the threads that BLAS begins for it cost five times what the sums do.
    change = _solution(
        np.einsum("ik,jk->ij", weighted, jacobian), np.einsum("ik,k->i", weighted, residual)
    )
    if change is None:
        return None
    local = np.eye(3)
    _fill(local, change, model)
    place = template.from_centre
    moved = normalized(motion @ place @ local @ np.linalg.inv(place))
    cost = float((weight * (1 - (1 - ratio) ** 3)).sum() / total) * (_TUKEY * scale) ** 2 / 6
    before = Alignment(
        motion,
        gain,
        offset,
        scale,
        _correlation(template.luma[weight], warped[weight]),
        total / weight.size,
        cost,
    )
    size = float(np.abs(change[:-2]).sum()) * template.radius
    after = _State(moved, gain + float(change[-2]), offset + float(change[-1]))
    return _Step(before, after, size)


def _solution(matrix: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float64] | None:
    """The change of the parameters; None where the pixels do not determine it."""
    square = np.asarray(matrix, np.float64) + 1e-6 * np.eye(len(matrix))
    try:
        change = np.asarray(np.linalg.solve(square, np.asarray(wanted, np.float64)), np.float64)
    except np.linalg.LinAlgError:
        return None
    return change if np.isfinite(change).all() else None


def _jacobian(
    template: Template, along_x: NDArray[Any], along_y: NDArray[Any], model: Model
) -> list[NDArray[Any]]:
    """The change of every pixel by each parameter of the motion, (H · W) each."""
    radius = np.float32(template.radius)
    along_x, along_y = along_x * radius, along_y * radius
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


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The correlation of two rows of values."""
    one, two = first - first.mean(), second - second.mean()
    power = float(np.dot(one, one)) * float(np.dot(two, two))
    return float(np.dot(one, two)) / power**0.5 if power > 0 else 0.0
