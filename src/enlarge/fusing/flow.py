"""Dense flow: how the points of a scene that is not rigid, a face or cloth, move in themselves.

One motion of the whole region is not what such a scene does. What is left is found by OpenCV's DIS
flow (Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016), of every frame
against the reference, and then made more exact against the mean of the other frames, which has less
noise, by steps of Lucas and Kanade ("An iterative image registration technique", IJCAI 1981) over a
neighbourhood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    *,
    threads: int = 1,
    check: Callable[[], None] = lambda: None,
) -> list[View]:
    """The views with the flow of every one but the first of the frame `reference`. (If frames are
    interlaced, its second field was seen later.)

    `size`: the width and height of the window. `threads`: how many views are computed at a time.
    `check` is called for every view, twice, in these threads; what it raises ends the work.
    """
    fixed = next(place for place, view in enumerate(views) if view.frame == reference)
    target = _seen(views[fixed], size)

    def against_reference(view: View) -> View:
        if view is views[fixed]:
            return view
        flow = _improved(_first_flow(target, view, size), target, view, size)
        return replace(view, flow=_stored(flow))

    first = _for_each(against_reference, views, threads, check)
    total, count = _totals(first, size)

    def against_others(view: View) -> View:
        if view.flow is None:
            return view
        picture, inside = _moved(view, size)  # again, not kept: there may be many views
        others = np.maximum(count - inside, np.float32(1))
        mean: Luma = np.where(count > inside, (total - picture * inside) / others, picture)
        flow = _improved(view.flow.astype(np.float32), mean, view, size)
        return replace(view, flow=_stored(flow))

    return _for_each(against_others, first, threads, check)


def _for_each(
    work: Callable[[View], View], views: Sequence[View], threads: int, check: Callable[[], None]
) -> list[View]:
    """What `work` makes of each view."""

    def checked(view: View) -> View:
        check()
        return work(view)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(checked, views))


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
    squares = 0.0
    for view in views:
        picture, inside = _moved(view, size)
        squares += float((np.square(picture - mean) * inside).sum())
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


def _moved(view: View, size: tuple[int, int]) -> tuple[Luma, Floats]:
    """What a view shows on the pixels of the window, and where it does."""
    return _seen(view, size), view.inside(*size).astype(np.float32)


def _totals(views: Sequence[View], size: tuple[int, int]) -> tuple[Floats, Floats]:
    """The sum of what the views show on the pixels of the window, and how many do."""
    total, count = np.zeros(size[::-1], np.float32), np.zeros(size[::-1], np.float32)
    for view in views:
        picture, inside = _moved(view, size)
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
