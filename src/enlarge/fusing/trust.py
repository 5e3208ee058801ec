"""How much each pixel of each frame is trusted: what covers the scene is not, nor are frames with
much noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from enlarge.fusing.camera import Floats, View, gather
from enlarge.fusing.least_squares import FACTOR, SMOOTHNESS, Optics, Problem, seen_by
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.tracking import Region

_FIRST_STEPS = 6
_USUAL_NOISE = 5.0
_ENOUGH_FOR_MEDIAN = 5
_COVERING = 5.0
"""Differences from the median of all frames, in units of what a tenth of the pixels exceed, from
which something covers the scene.
"""
_AROUND = 1.5
"""Standard deviation, in the camera's pixels, of the neighbourhood over which differences are
averaged before they tell noise from what the other frames do not show.
"""
_OUTLYING = 3.0
"""Such differences, in units of what is usual, from which a pixel counts less."""


@dataclass(frozen=True)
class Weighed:
    """`views`, with how much each of their pixels counts; `noise`: of the frames' luma against the
    scene, in levels, of the middle one.
    """

    views: list[View]
    noise: float


def weighed(views: list[View], part: Region, optics: Optics) -> Weighed:
    """How much every pixel of the views of a part of the window counts, against a first scene."""
    views = _uncovered(views, part)
    gathered = gather(views, part.width, part.height, FACTOR)
    problem = Problem(0, gathered, optics, SMOOTHNESS * _USUAL_NOISE**2)
    return _trusting(views, problem.solve(problem.start(), _FIRST_STEPS), optics)


def _trusting(views: list[View], scene: Floats, optics: Optics) -> Weighed:
    """The views with how much each of their pixels counts, by the luma of the scene: frames with
    stronger noise less (by its variance), and pixels that differ from the scene over a
    neighbourhood less.
    """
    cv2 = load_opencv()
    blurred = seen_by(0, scene, optics)
    lumas, differences, shown = [], [], []
    for view in views:
        across, down = view.places()
        seen = cv2.remap(
            blurred,
            (across + np.float32(0.5)) * np.float32(FACTOR) - np.float32(0.5),
            (down + np.float32(0.5)) * np.float32(FACTOR) - np.float32(0.5),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        inside = (
            (across > -0.5)
            & (down > -0.5)
            & (across < scene.shape[1] / FACTOR - 0.5)
            & (down < scene.shape[0] / FACTOR - 0.5)
            & (view.trusted > 0)
        )
        luma = (view.levels()[..., 0] - seen) * inside
        lumas.append(luma)
        differences.append(cv2.GaussianBlur(luma, (0, 0), _AROUND))
        shown.append(inside)
    usual = [
        1.4826 * float(np.median(np.abs(difference[inside]))) if inside.any() else np.inf
        for difference, inside in zip(differences, shown, strict=True)
    ]
    limit = np.float32(_OUTLYING * (float(np.median(usual)) + 0.25))
    fits = [
        inside / np.square(np.maximum(np.float32(1), np.abs(difference) / limit))
        for difference, inside in zip(differences, shown, strict=True)
    ]
    variances = [
        float((fit * np.square(luma)).sum() / max(float(fit.sum()), 1.0))
        for fit, luma in zip(fits, lumas, strict=True)
    ]
    floor = float(np.quantile(variances, 0.25)) + 0.25
    found = [
        replace(view, trusted=(view.trusted * fit * min(1.0, floor / max(variance, 1e-6))))
        for view, fit, variance in zip(views, fits, variances, strict=True)
    ]
    return Weighed(found, float(np.median(variances)) ** 0.5)


def _uncovered(views: list[View], part: Region) -> list[View]:
    """The views without what differs much from the median of all, over a neighbourhood: it covered
    the scene, and would leave its trace in a mean.
    """
    if len(views) < _ENOUGH_FOR_MEDIAN:
        return views
    cv2 = load_opencv()
    lumas = [np.ascontiguousarray(view.levels()[..., 0]) for view in views]
    stack = [
        view.on_window(luma, part.width, part.height)
        for luma, view in zip(lumas, views, strict=True)
    ]
    median = np.median(np.stack(stack), axis=0).astype(np.float32)
    differences = []
    for luma, view in zip(lumas, views, strict=True):
        across, down = view.places()
        seen = cv2.remap(median, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        differences.append(np.abs(cv2.GaussianBlur(luma - seen, (0, 0), _AROUND)))
    usual = float(np.median([np.quantile(difference, 0.9) for difference in differences]))
    limit = _COVERING * (usual + 0.25)
    return [
        replace(view, trusted=view.trusted * (difference < limit))
        for view, difference in zip(views, differences, strict=True)
    ]
