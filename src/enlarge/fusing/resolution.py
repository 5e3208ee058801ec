"""How fine the details are that frames show: by what two halves of them agree on.

Two means, of one half of the frames each, share the scene and not the noise. Their correlation at
each frequency (the Fourier ring correlation, Saxton and Baumeister 1982) says up to where the scene
is stronger than the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from enlarge.fusing.blur import colour_blur, estimated_blur
from enlarge.fusing.camera import Floats, View, gather
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.sharpening import estimated_sharpening
from enlarge.fusing.tracking import Region, middle_of

_FACTOR = 4
_LARGEST = 192
"""The camera's pixels of the side of the part that is looked at, in the middle of the region."""
_KERNEL = 0.3
"""Standard deviation in the camera's pixels of the kernel by which frames' pixels are averaged."""
_HIGHEST = 1.2
_LOOKED = 8
"""Frames whose colour is looked at."""
_RINGS = 40


class _Ring(NamedTuple):
    """`frequency` in cycles per pixel of the camera, and the correlation of two pictures there."""

    frequency: float
    correlation: float


@dataclass(frozen=True)
class Resolution:
    """`blur`: of lens and pixel, as the standard deviation in the camera's pixels, estimated;
    `colour_blur`: of the colour differences; `sharpening`: by the camera afterwards, as the amount
    of an unsharp mask. `single`, `fused`: the frequency in cycles per pixel
    up to which the scene is stronger than the noise, in one frame and in all together; 0 where it
    is not known.
    """

    blur: float
    colour_blur: float
    sharpening: float
    single: float
    fused: float

    @property
    def gain(self) -> float:
        """How many times finer details are than those of one frame."""
        return self.fused / self.single if self.single and self.fused else 1.0


def measure_resolution(views: Sequence[View], inner: Region) -> Resolution:
    """The resolution of the views, of a window, in its region `inner`."""
    part = middle_of(inner, _LARGEST)
    cut = [view.part(part) for view in views]
    mean, kernel = _mean(cut, part), _kernel(cut)
    sharpening = estimated_sharpening(mean, _FACTOR)
    blur = estimated_blur(mean, _FACTOR, kernel, sharpening)
    colour = colour_blur([view.levels() for view in cut[:_LOOKED]], blur)
    if len(cut) < 4:
        return Resolution(blur, colour, sharpening, 0.0, 0.0)
    # Frames that follow each other in a video share the codec's errors; distant ones do not.
    middle = len(cut) // 2
    halves = _rings(_mean(cut[:middle], part), _mean(cut[middle:], part))
    alone = _rings(_mean(cut[:1], part), _mean(cut[middle : middle + 1], part))
    # The scene is as strong as the noise: of two single frames half of the power is common, of two
    # halves of the frames a third.
    return Resolution(blur, colour, sharpening, _limit(alone, 1 / 2), _limit(halves, 1 / 3))


def _mean(views: Sequence[View], part: Region) -> Floats:
    """The luma of the views on a fine grid, averaged by a Gaussian kernel."""
    cv2 = load_opencv()
    gathered = gather(list(views), part.width, part.height, _FACTOR)
    sigma = _kernel(views) * _FACTOR
    luma = gathered.sums[0]
    counts = cv2.GaussianBlur(gathered.counts, (0, 0), sigma)
    mean: Floats = cv2.GaussianBlur(luma, (0, 0), sigma) / np.maximum(counts, 1e-3)
    return mean


def _kernel(views: Sequence[View]) -> float:
    """The standard deviation of that kernel, in the camera's pixels."""
    return _KERNEL * (2 if len(views) < 4 else 1)


def _rings(first: Floats, second: Floats) -> list[_Ring]:
    """What two pictures have in common, in rings of frequency."""
    height, width = first.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    middle = (float(first.mean()) + float(second.mean())) / 2
    one, two = (np.fft.rfft2((picture - middle) * window) for picture in (first, second))
    down = np.fft.fftfreq(height)[:, None] * _FACTOR
    frequency = np.hypot(down, np.fft.rfftfreq(width) * _FACTOR)
    common = (one * np.conj(two)).real
    edges = np.linspace(0.03, _HIGHEST, _RINGS)
    ring = np.digitize(frequency, edges)
    found = []
    for number in range(1, len(edges)):
        inside = ring == number
        if int(inside.sum()) < 6:
            continue
        powers = [float(np.square(np.abs(side[inside])).sum()) for side in (one, two)]
        total = float(common[inside].sum())
        found.append(
            _Ring(
                float(frequency[inside].mean()),
                total / max((powers[0] * powers[1]) ** 0.5, 1e-9),
            )
        )
    return found


def _limit(rings: Sequence[_Ring], least: float) -> float:
    """The frequency at which the correlation falls below `least`, interpolated."""
    before: _Ring | None = None
    for ring in rings:
        if ring.correlation < least:
            if before is None:
                return 0.0
            share = (before.correlation - least) / (before.correlation - ring.correlation)
            return before.frequency + share * (ring.frequency - before.frequency)
        before = ring
    return before.frequency if before is not None else 0.0
