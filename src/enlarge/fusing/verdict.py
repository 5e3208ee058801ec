"""What a fusion gained, in plain words; and where it gained nothing, why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from enlarge.fusing.held_out import HeldOut
from enlarge.fusing.resolution import Resolution
from enlarge.fusing.understanding import Understood

_SAMPLING = 0.5
"""Cycles per pixel: the finest that one frame's own sampling holds."""
_STILL = 0.1
"""Pixels: what moves less between all frames is sampled at the same places."""


def verdict(seen: Understood, shifts: Sequence[tuple[float, float]]) -> str:
    """What was gained. `shifts`: how far the region's middle moved in each frame, in pixels."""
    told = _gained(seen.held_out, seen.resolution, shifts)
    if not seen.flow:
        return told
    return (
        f"{told} The scene is not rigid: its points move by {seen.flow:.1f} pixels relative to "
        "the motion of the whole (dense flow)."
    )


def _gained(held: HeldOut, resolution: Resolution, shifts: Sequence[tuple[float, float]]) -> str:
    """What was gained by all frames together."""
    if not held.is_known:
        return "Whether the frames show more than one of them was not checked: it takes three."
    differences = f"{held.fused**0.5:.2f} levels instead of {held.single**0.5:.2f}"
    if not held.gains:
        return (
            "Nothing was gained, and the result is that of one frame: all together predict frames "
            f"that were left out no better ({differences}). {_reason(resolution, shifts)}"
        )
    told = (
        f"Frames that were left out are predicted better by the others than by one: {differences}."
    )
    if resolution.fused > _SAMPLING:
        return (
            f"{told} Details were recovered that are finer than one frame's own sampling "
            f"({_SAMPLING} cycles per pixel)."
        )
    if resolution.fused:
        return (
            f"{told} Noise was removed; details finer than the frames' own sampling "
            f"({_SAMPLING} cycles per pixel) were not found: lens or codec removed them."
        )
    return told


def _reason(resolution: Resolution, shifts: Sequence[tuple[float, float]]) -> str:
    """Why nothing was gained."""
    if float(np.ptp(np.array(shifts), axis=0).max()) < _STILL:
        return "They do not move against each other: all saw the scene at the same places."
    if resolution.fused and resolution.fused <= _SAMPLING:
        return "Lens or codec removed the details in which they could differ."
    return "The scene changes between them in a way that the motion found does not explain."
