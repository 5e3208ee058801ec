"""Dense flow: how the points of a scene that is not rigid, a face or cloth, move in themselves.

One motion of the whole region is not what such a scene does. What is left is found by OpenCV's DIS
flow (Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016), of every frame
against the reference, and then made more exact against the mean of the other frames, which has less
noise, by steps of Lucas and Kanade ("An iterative image registration technique", IJCAI 1981) over a
neighbourhood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.alignment import Luma, gradients
from enlarge.fusing.camera import FARTHEST, Floats, View
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.tracking import SMOOTHING

_FIRST = 5.0
"""Standard deviation in pixels of the blur of a first flow: points near each other move alike."""
_AROUND = 8.0
"""The same of the neighbourhood over which a step is the least squares."""
_STEPS = 3
_FIRM = 4.0
"""Added to the squares of gradients: what is flat moves with its neighbourhood."""
_OUTLYING = 4.5
"""Differences, in units of the median one, from which a pixel counts less."""


def with_flow(
    views: Sequence[View],
    size: tuple[int, int],
    reference: int,
    check: Callable[[], None] = lambda: None,
) -> list[View]:
    """The views with the flow of every one but the first of the frame `reference`. (If frames are
    interlaced, its second field was seen later.)

    `size`: the width and height of the window. `check` is called for every view, twice; what it
    raises ends the work.
    """
    fixed = next(place for place, view in enumerate(views) if view.frame == reference)
    target = _seen(views[fixed], size)
    found = list(views)
    for place, view in enumerate(views):
        check()
        if place != fixed:
            flow = _improved(_first_flow(target, view, size), target, view, size)
            found[place] = replace(view, flow=_stored(flow))
    total, count = _totals(found, size)
    # Seen again, not kept: there may be many views.
    for place, (picture, inside) in enumerate(_moved(list(found), size)):
        check()
        before = found[place].flow
        if before is None:
            continue
        others = np.maximum(count - inside, np.float32(1))
        mean: Luma = np.where(count > inside, (total - picture * inside) / others, picture)
        flow = _improved(before.astype(np.float32), mean, views[place], size)
        found[place] = replace(found[place], flow=_stored(flow))
    return found


def usual_displacement(views: Sequence[View]) -> float:
    """How far the flow moves points: the RMS in pixels; the median over the views that have one."""
    found = [
        float(np.square(view.flow.astype(np.float32)).sum(axis=-1).mean()) ** 0.5
        for view in views
        if view.flow is not None
    ]
    return float(np.median(found)) if found else 0.0


def misfit(views: Sequence[View], size: tuple[int, int]) -> float:
    """The mean square of the differences between what each view shows on the pixels of the window,
    smoothed, and the mean of all; in squared levels.
    """
    total, count = _totals(views, size)
    mean = total / np.maximum(count, np.float32(1))
    squares = sum(
        float((np.square(picture - mean) * inside).sum()) for picture, inside in _moved(views, size)
    )
    return squares / max(float(count.sum()), 1.0)


def _stored(flow: Floats) -> NDArray[np.float16]:
    """A flow as views keep it: half the bytes, exact to a two-thousandth of a point's way."""
    return flow.clip(-FARTHEST, FARTHEST).astype(np.float16)


def _luma(view: View) -> Luma:
    """The smoothed luma of a view's pixels."""
    cv2 = load_opencv()
    luma: Luma = cv2.GaussianBlur(np.ascontiguousarray(view.levels()[..., 0]), (0, 0), SMOOTHING)
    return luma


def _seen(view: View, size: tuple[int, int]) -> Luma:
    """The smoothed luma of a view on the pixels of the window."""
    return view.on_window(_luma(view), *size)


def _moved(views: Sequence[View], size: tuple[int, int]) -> Iterator[tuple[Luma, Floats]]:
    """What each view shows on the pixels of the window, and where it does."""
    for view in views:
        yield _seen(view, size), view.inside(*size).astype(np.float32)


def _totals(views: Sequence[View], size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The sum of what the views show on the pixels of the window, and how many do."""
    total, count = np.zeros(size[::-1], np.float32), np.zeros(size[::-1], np.float32)
    for picture, inside in _moved(views, size):
        total += picture * inside
        count += inside
    return total, count


def _first_flow(target: Luma, view: View, size: tuple[int, int]) -> Floats:
    """The flow of a view against a picture of the window, smooth."""
    cv2 = load_opencv()
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    shown = np.where(view.inside(*size), _seen(view, size), target)
    one, two = (np.rint(p).clip(0, 255).astype(np.uint8) for p in (target, shown))
    flow: Floats = cv2.GaussianBlur(search.calc(one, two, None), (0, 0), _FIRST)
    return flow


def _improved(flow: Floats, target: Luma, view: View, size: tuple[int, int]) -> Floats:
    """The flow after some steps towards what the picture of the window shows."""
    luma, slopes = _luma(view), gradients(target)
    for _ in range(_STEPS):
        now = replace(view, flow=flow)
        flow = flow + _step(target, slopes, now.on_window(luma, *size), now.inside(*size))
    return flow


def _step(
    target: Luma, slopes: tuple[Luma, Luma], shown: Luma, inside: NDArray[np.bool_]
) -> Floats:
    """How far the points of `shown` are from where `target` has them, (H, W, 2): the least squares
    over their neighbourhoods, with the gradients of both pictures (`slopes`: of the target)
    averaged.
    """
    half = np.float32(0.5)
    across, down = (half * (a + b) for a, b in zip(slopes, gradients(shown), strict=True))
    off = target - shown
    median = float(np.median(np.abs(off[inside]))) if inside.any() else 0.0
    weight = inside / (1 + np.square(off / np.float32(_OUTLYING * median + 0.25)))
    xx, yy = (_around(weight * d * d) + _FIRM for d in (across, down))
    xy = _around(weight * across * down)
    x, y = (_around(weight * d * off) for d in (across, down))
    determinant = xx * yy - xy * xy
    return np.stack([(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant], axis=-1)


def _around(values: Luma) -> Luma:
    """The mean over the neighbourhood of every pixel."""
    cv2 = load_opencv()
    mean: Luma = cv2.GaussianBlur(values, (0, 0), _AROUND, borderType=cv2.BORDER_REFLECT)
    return mean
