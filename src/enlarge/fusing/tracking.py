"""How the scene in a region moves from frame to frame: coarse to fine, outwards from the reference.

Every frame is sought from where its neighbour had the region, and by correlation over the whole
frame where that does not fit. Then it is aligned to the region of the reference: at first only
moved, then by an affine motion, and by a homography where that explains more than its additional
parameters explain of noise. At last all frames are aligned once more, each to the mean of the
others that fit, which has less noise and less aliasing than any one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.alignment import (
    PARAMETERS,
    Alignment,
    Luma,
    Model,
    Template,
    align,
    covered,
    warp,
)
from enlarge.fusing.motion import Matrix, translation
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.overlays import find_overlays
from enlarge.fusing.registration import Registration
from enlarge.fusing.rejection import judged

SMOOTHING = 1.0
"""Standard deviation in pixels of the blur before frames are compared. It lessens noise and what
sampling made of details that no pixel resolves, which move differently from the scene.
"""
_COARSEST = 24
"""Pixels of the shorter side below which a region is not reduced any further."""
_SEARCHED = 48
"""Pixels of the longer side of a region that is sought by correlation."""
_GOOD = 0.7
"""The correlation from which a motion that was found beside a frame's neighbour is not doubted."""
_ROUNDS = 2
"""How often all frames are aligned to the mean of the others."""
_HOMOGRAPHY_SIDE = 16


class Region(NamedTuple):
    """A rectangle of the reference frame, in its pixels."""

    x: int
    y: int
    width: int
    height: int


def middle_of(region: Region, side: int) -> Region:
    """The middle of a region, of `side` pixels at most in width and in height."""
    width, height = min(region.width, side), min(region.height, side)
    x = region.x + (region.width - width) // 2
    y = region.y + (region.height - height) // 2
    return Region(x, y, width, height)


def to_luma(pixels: NDArray[Any]) -> Luma:
    """The luma (BT.601) of (H, W, 3) RGB of uint8 or uint16, smoothed: (H, W) float32, 0 to 255."""
    cv2 = load_opencv()
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if pixels.dtype == np.uint16:
        luma /= 257.0
    smooth: Luma = cv2.GaussianBlur(luma, (0, 0), SMOOTHING)
    return smooth


def track(lumas: Sequence[Luma], region: Region, reference: int) -> list[Registration]:
    """Where each frame shows the region of the reference, in the order of the frames, with a reason
    where it does not.

    `lumas`: smoothed, as from `to_luma`.
    """
    tracker = _Tracker(lumas, region, reference)
    found: dict[int, Registration] = {reference: tracker.itself()}
    for way in (1, -1):
        last = found[reference]
        number = reference + way
        while 0 <= number < len(lumas):
            found[number] = tracker.follow(number, last.motion)
            if found[number].is_used:
                last = found[number]
            number += way
    results = judged([found[number] for number in range(len(lumas))], reference)
    for _ in range(_ROUNDS):
        results = judged(tracker.refine(results), reference)
    return results


class _Tracker:
    """The reference's region at every size, to which frames are aligned."""

    def __init__(self, lumas: Sequence[Luma], region: Region, reference: int) -> None:
        self.lumas, self.region, self.reference = lumas, region, reference
        self.place = translation(region.x, region.y)
        x, y, width, height = region
        self.window = np.ascontiguousarray(lumas[reference][y : y + height, x : x + width])
        self.hidden: NDArray[np.bool_] | None = None  # what does not move with the scene
        levels = 1
        while min(width, height) >> levels >= _COARSEST:
            levels += 1
        self.templates = [Template(_reduced(self.window, level)) for level in range(levels)]

    def itself(self) -> Registration:
        """The reference's own registration."""
        return Registration(self.reference, np.eye(3), 1.0, 0.0, 1.0, 0.0, 1.0, "translation")

    def follow(self, number: int, last: Matrix) -> Registration:
        """The registration of a frame whose neighbour moved by `last`."""
        luma = self.lumas[number]
        found = self._descend(luma, last @ self.place)
        if found is None or found[0].correlation < _GOOD:
            sought = self._seek(luma)
            other = None if sought is None else self._descend(luma, sought)
            if other is not None and (found is None or other[0].cost < found[0].cost):
                found = other
        if found is None:
            return Registration(
                number, last, 0.0, 0.0, 1.0, 0.0, 0.0, "translation", "the region was not found"
            )
        return self._registration(number, *found)

    def refine(self, results: Sequence[Registration]) -> list[Registration]:
        """Every frame aligned to the mean of the other used ones. A frame that shows something else
        would lower the mean's contrast, and so change the gain of all others.
        """
        _, _, width, height = self.region
        used = [entry for entry in results if entry.is_used]
        if len(used) < 3:
            return list(results)
        shown: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        total, count = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        for entry in used:
            luma, motion = self.lumas[entry.frame], entry.motion @ self.place
            inside = covered(luma.shape, motion, width, height).astype(np.float32)
            if self.hidden is not None:
                inside *= warp(self.hidden.astype(np.float32), motion, width, height) < 0.5
            warped: Luma = warp(luma, motion, width, height)
            picture = (np.float32(entry.gain) * warped + np.float32(entry.offset)) * inside
            shown[entry.frame] = picture, inside
            total += picture
            count += inside
        if self.hidden is None:
            mean: Luma = (total / np.maximum(count, np.float32(1))).astype(np.float32)
            self.hidden = find_overlays(mean, [self._seen(entry) for entry in used])
        nothing = np.zeros_like(total), np.zeros_like(count)
        refined = []
        for entry in results:
            if entry.frame == self.reference:
                refined.append(entry)
                continue
            picture, inside = shown.get(entry.frame, nothing)
            others = count - inside
            mean = ((total - picture) / np.maximum(others, 1.0)).astype(np.float32)
            weight = (others > 0.5).astype(np.float32)
            refined.append(self._again(entry, Template(mean, weight)))
        return refined

    def _seen(self, entry: Registration) -> tuple[Luma, Matrix]:
        """A frame in the brightness of the reference, and the motion from the window to it."""
        luma = np.float32(entry.gain) * self.lumas[entry.frame] + np.float32(entry.offset)
        return luma, entry.motion @ self.place

    def _again(self, entry: Registration, template: Template) -> Registration:
        luma, start = self.lumas[entry.frame], entry.motion @ self.place
        light = entry.gain, entry.offset
        found = _best_model(template, luma, start, light, hidden=self.hidden)
        if found is None:
            return replace(entry, reason="the region was not found")
        better, model = found
        if PARAMETERS[entry.model] > PARAMETERS[model]:  # it only moved what was turned before
            model = entry.model
        return self._registration(entry.frame, better, model)

    def _descend(self, luma: Luma, start: Matrix) -> tuple[Alignment, Model] | None:
        """Align from the smallest size to the full one."""
        motion, light = start, (1.0, 0.0)
        for level in range(len(self.templates) - 1, 0, -1):
            size = _scaling(level)
            found = align(
                self.templates[level],
                _reduced(luma, level),
                np.linalg.inv(size) @ motion @ size,
                "translation" if level > 1 else "affine",
                light=light,
            )
            if found is None:
                return None
            motion = size @ found.motion @ np.linalg.inv(size)
            light = found.gain, found.offset
        return _best_model(self.templates[0], luma, motion, light, ("affine", "homography"))

    def _seek(self, luma: Luma) -> Matrix | None:
        """Where the region is by correlation, anywhere in the frame, only moved."""
        cv2 = load_opencv()
        _, _, width, height = self.region
        level = 0
        while max(width, height) >> level > _SEARCHED:
            level += 1
        small, inner = _reduced(luma, level), _reduced(self.window, level)
        # So that a region as large as the frame can be sought too, its middle is.
        down, across = inner.shape[0] // 5, inner.shape[1] // 5
        inner = inner[down : inner.shape[0] - down, across : inner.shape[1] - across]
        if small.shape[0] < inner.shape[0] or small.shape[1] < inner.shape[1]:
            return None
        scores = cv2.matchTemplate(small, inner, cv2.TM_CCOEFF_NORMED)
        _, _, _, (x, y) = cv2.minMaxLoc(scores)
        size = _scaling(level)
        return size @ translation(x - across, y - down) @ np.linalg.inv(size)

    def _registration(self, number: int, found: Alignment, model: Model) -> Registration:
        motion = found.motion @ np.linalg.inv(self.place)
        return Registration(
            number,
            motion / motion[2, 2],
            found.correlation,
            found.scale,
            found.gain,
            found.offset,
            found.inside,
            model,
        )


def _best_model(
    template: Template,
    luma: Luma,
    start: Matrix,
    light: tuple[float, float],
    models: Sequence[Model] = ("translation", "affine", "homography"),
    hidden: NDArray[np.bool_] | None = None,
) -> tuple[Alignment, Model] | None:
    """The alignment by the kind of motion that explains most, by Akaike's criterion."""
    best: tuple[Alignment, Model] | None = None
    lowest = np.inf
    # Neighbouring pixels of what was smoothed are not independent.
    independent = template.chosen.size / (4 * np.pi * SMOOTHING**2)
    for model in models:
        if model == "homography" and min(template.width, template.height) < _HOMOGRAPHY_SIDE:
            continue
        found = align(template, luma, start, model, light=light, hidden=hidden)
        if found is None:
            continue
        score = independent * np.log(found.cost + 1e-6) + 2 * PARAMETERS[model]
        if score < lowest:
            best, lowest = (found, model), score
        start, light = found.motion, (found.gain, found.offset)
    return best


def _reduced(luma: Luma, level: int) -> Luma:
    """A picture reduced to 1 / 2^level of its sides."""
    if not level:
        return luma
    cv2 = load_opencv()
    height, width = luma.shape
    factor = 1 << level
    wide, high = width // factor * factor, height // factor * factor
    reduced: Luma = cv2.resize(
        luma[:high, :wide], (wide // factor, high // factor), interpolation=cv2.INTER_AREA
    )
    return reduced


def _scaling(level: int) -> Matrix:
    """From a picture reduced by `_reduced` to the full one."""
    factor = float(1 << level)
    shift = (factor - 1) / 2
    return np.array([[factor, 0.0, shift], [0.0, factor, shift], [0.0, 0.0, 1.0]])
