"""How one pass is cut into tiles and joined again: where each tile's result goes.

Where the target is not the network's own factor, each tile is resampled before it joins a band
(bicubic, MATLAB's kernel, in float, rounded once at the end), so a band is never larger than its
share of the result. Tiles of a network without a finite receptive margin fade into each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.media.resample import Taps, bicubic_taps
from enlarge.tiling import Plan, Span


@dataclass(frozen=True)
class Contribution:
    """What one tile contributes along one axis.

    The target samples `start:stop`: its enlarged samples `inner` as they are, or through `taps`
    (counted from the tile's own start), each multiplied by its weight in `fade` where tiles fade
    into each other.
    """

    start: int
    stop: int
    inner: slice
    taps: Taps | None
    fade: NDArray[np.float32] | None = None


def contributions(
    spans: Sequence[Span], size: int, target: int, scale: int, feather: int = 0
) -> list[Contribution]:
    """The contribution of every tile along an axis of `size` input and `target` output samples.

    The spans may extend beyond `size`, into the padding. `feather`: input samples on both sides of
    a seam in which one tile fades into the next.
    """
    taps = None if target == size * scale else bicubic_taps(size * scale, target)
    found = []
    for span in spans:
        seams = (span.keep_start, min(span.keep_stop, size))
        ramps = (feather * (seams[0] > 0), feather * (seams[1] < size))
        start = round((seams[0] - ramps[0]) * target / size)
        stop = round((seams[1] + ramps[1]) * target / size)
        fade = _fade(start, stop, size / target, seams, ramps) if any(ramps) else None
        if taps is None:
            inner = slice(start - span.start * scale, stop - span.start * scale)
            found.append(Contribution(start, stop, inner, None, fade))
        else:
            own = Taps(taps.indices[start:stop] - span.start * scale, taps.weights[start:stop])
            found.append(Contribution(start, stop, slice(0, span.size * scale), own, fade))
    return found


def _fade(
    start: int, stop: int, step: float, seams: tuple[int, int], ramps: tuple[int, int]
) -> NDArray[np.float32]:
    """Weights of the target samples `start:stop`, `step` input samples apart: linear across each
    ramp, so that those of two neighbours sum to one.
    """
    at = (np.arange(start, stop) + 0.5) * step
    weights = np.ones(stop - start)
    for seam, ramp, sign in zip(seams, ramps, (1, -1), strict=True):
        if ramp:
            weights *= np.clip(0.5 + sign * (at - seam) / (2 * ramp), 0.0, 1.0)
    return weights.astype(np.float32)


def feather_width(spans: Sequence[Span], halo: int) -> int:
    """Half of the halo, or less where ramps would meet."""
    return min([halo // 2, *((span.keep_stop - span.keep_start) // 2 for span in spans[1:-1])])


def resample_margin(size: int, target: int, scale: int) -> int:
    """Input pixels that the resample to `target` reads around a sample, beyond the network's."""
    if target == size * scale:
        return 0
    shrink = max(1.0, size * scale / target)
    return int(np.ceil(2.0 * shrink / scale + size / target)) + 1


@dataclass(frozen=True)
class Layout:
    """How one pass is cut and joined: with the engine and the pixels, it determines the tiles.

    `size` is the input's, `target` the output's, both (width, height); `channels` and `dtype` are
    those of both. `plan` must be made for `size`, padded to the network's multiple, with a halo
    that holds the network's margin plus `resample_margin`. `fades`: where there are several tiles,
    they fade into each other. `ensemble`: each tile is the mean over its flips and rotations.
    """

    size: tuple[int, int]
    target: tuple[int, int]
    plan: Plan
    scale: int
    channels: int
    dtype: np.dtype[Any]
    fades: bool = False
    ensemble: bool = False

    @property
    def feathered(self) -> bool:
        """Whether tiles fade into each other."""
        return self.fades and len(self.plan) > 1

    @property
    def in_float(self) -> bool:
        """Whether tiles are float32, to be rounded when they are joined; else the engine rounds."""
        (width, height), scale = self.size, self.scale
        direct = self.target == (width * scale, height * scale)
        return not direct or self.feathered or self.ensemble

    def contributions(self) -> tuple[list[Contribution], list[Contribution]]:
        """Those of the columns and of the rows of tiles."""
        plan, scale = self.plan, self.scale
        feathers = (0, 0)
        if self.feathered:
            feathers = (
                feather_width(plan.columns, plan.halo),
                feather_width(plan.rows, plan.halo),
            )
        return (
            contributions(plan.columns, self.size[0], self.target[0], scale, feathers[0]),
            contributions(plan.rows, self.size[1], self.target[1], scale, feathers[1]),
        )

    @property
    def row_bytes(self) -> int:
        """About the memory that one row of tiles takes while it is elsewhere: input and tiles."""
        across, down = self.contributions()
        high = max(part.stop - part.start for part in down)
        wide = sum(part.stop - part.start for part in across)
        sample = 4 if self.in_float else self.dtype.itemsize
        given = self.plan.tile_height * self.plan.width * self.dtype.itemsize
        return (given + high * wide * sample) * self.channels
