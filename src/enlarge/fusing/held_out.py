"""What frames that are left out say about a reconstruction: how far to go, and whether it gains.

Some frames are left out, the scene is found from the others, and what the camera would see of it is
compared with what the left-out frames show. Their noise is in no reconstruction. So the differences
fall as long as the scene gets better, and rise when noise is fitted. One frame alone is judged in
the same way: where all others together predict no better, nothing is gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.camera import Gathered, View, gather
from enlarge.fusing.least_squares import FACTOR, SMOOTHNESS, Optics, Problem, problems
from enlarge.fusing.tracking import Region, middle_of
from enlarge.fusing.trust import weighed

_LARGEST = 80
"""The camera's pixels of the side of the part that is looked at, in the middle of the region."""
_SHARE = 4
"""One frame of so many is left out."""
_MOST_STEPS = 20
_TOLERANCE = 0.002
"""The share by which the differences may exceed the least ones: they hardly change for many steps,
in which a network gets sharper material.
"""
_LEAST_COUNT = np.float32(1e-6)
"""Cells with fewer weighted pixels than that have none."""
_LEAST_GAIN = 0.1
"""The share of one frame's differences that all together must save."""
_ROUNDING = 1 / 12
"""The variance, in squared levels, that rounding to whole levels adds: what is less is no gain."""


@dataclass(frozen=True)
class Effort:
    """How far a reconstruction goes: `steps` of conjugate gradients. `noise`: of the frames, in
    levels; None: found by the reconstruction.
    """

    steps: int = 20
    noise: float | None = None


@dataclass(frozen=True)
class HeldOut:
    """What was found by leaving out frames. `frames`: their numbers; none where there were too few.
    `effort`, `single_effort`: with all frames, and with one. `fused`, `single`: the mean squares of
    the differences of the left-out frames from what the others, and the reference alone, predict,
    in squared levels; over luma and both colour differences.
    """

    frames: tuple[int, ...]
    effort: Effort
    single_effort: Effort
    fused: float
    single: float

    @property
    def is_known(self) -> bool:
        """Whether frames could be left out."""
        return bool(self.frames)

    @property
    def gains(self) -> bool:
        """Whether the frames together show more than one; so it is taken to be if not known."""
        return not self.is_known or self.single - self.fused > max(
            _ROUNDING, _LEAST_GAIN * self.single
        )


def hold_out(views: Sequence[View], inner: Region, optics: Optics, reference: int) -> HeldOut:
    """Reconstruct the middle of the region `inner` of the views' window without some of the frames.

    `reference`: the number of the frame that is one frame alone.
    """
    usual = Effort()
    others = list(dict.fromkeys(view.frame for view in views if view.frame != reference))
    if len(others) < 2:
        return HeldOut((), usual, usual, 0.0, 0.0)
    left_out = others[1::_SHARE] if len(others) > _SHARE else others[-1:]
    part = middle_of(inner, _LARGEST)
    trusted = weighed([view.part(part) for view in views], part, optics)
    size = part.width, part.height

    def gathered(frames: Sequence[int]) -> Gathered:
        return gather([view for view in trusted.views if view.frame in frames], *size, FACTOR)

    unseen = gathered(left_out)
    if not unseen.counts.any():
        return HeldOut((), usual, usual, 0.0, 0.0)
    kept = [view.frame for view in views if view.frame not in left_out]
    alone, many = gathered([reference]), gathered(kept)
    effort, fused = _best(many, unseen, optics, trusted.noise)
    single_effort, single = _best(alone, unseen, optics, trusted.noise)
    # As if it were there many times: copies of one frame, with one noise, are no gain.
    times = np.float32(many.counts.sum() / max(float(alone.counts.sum()), 1e-6))
    again = Gathered(alone.sums * times, alone.counts * times)
    single = min(single, _best(again, unseen, optics, trusted.noise)[1])
    single_effort = replace(single_effort, noise=trusted.noise)
    return HeldOut(tuple(left_out), effort, single_effort, fused, single)


def _best(
    gathered: Gathered, unseen: Gathered, optics: Optics, noise: float
) -> tuple[Effort, float]:
    """How far to go to predict best what was unseen, and the difference that is left."""
    planes = problems(gathered, optics, SMOOTHNESS * noise**2)
    differences = sum(_differences(plane, problem, unseen) for plane, problem in enumerate(planes))
    differences /= unseen.counts.sum()
    lowest = float(differences.min())
    fitting = np.flatnonzero(differences <= (1 + _TOLERANCE) * lowest)
    return Effort(int(fitting[-1]) + 1), lowest


def _differences(plane: int, problem: Problem, unseen: Gathered) -> NDArray[np.float64]:
    """After each step, the sum of the squares of what was unseen of a plane less what is
    predicted.
    """
    counts = unseen.counts
    means = unseen.sums[plane] / np.maximum(counts, _LEAST_COUNT)
    sums = []
    for _, seen in islice(problem.steps(problem.start()), _MOST_STEPS):
        apart = means - seen
        sums.append(float(np.vdot(apart, apart * counts)))
    return np.array(sums)
