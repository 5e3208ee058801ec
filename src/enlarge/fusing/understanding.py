"""What registered frames say before the scene is computed: optics, gain, and whether it bends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from enlarge.fusing.camera import FARTHEST, View
from enlarge.fusing.flow import misfit, usual_displacement, with_flow
from enlarge.fusing.held_out import HeldOut, hold_out
from enlarge.fusing.least_squares import Optics
from enlarge.fusing.resolution import Resolution, measure_resolution
from enlarge.fusing.tracking import Region, middle_of

_LARGEST = 96
"""The camera's pixels of the side of the part, in the middle of the region, that is looked at."""
_EXPLAINS = 0.65
"""The share of the squared differences from the mean of the views that a flow may leave: of rigid
scenes it left 0.83 or more, of scenes that bend by 0.5 pixels 0.46 or less.
"""
_BETTER = 0.8
"""The share of the rigid scene's differences of left-out frames that a flow may leave."""


@dataclass(frozen=True)
class Understood:
    """`views`: with flow where the scene is not rigid. `optics` and `resolution` of the camera,
    `held_out`: what left-out frames say. `flow`: how far points move by it in the middle one of the
    frames (RMS), in pixels; 0 where the scene is rigid.
    """

    views: list[View]
    optics: Optics
    resolution: Resolution
    held_out: HeldOut
    flow: float = 0.0


def understood(
    views: Sequence[View],
    inner: Region,
    size: tuple[int, int],
    reference: int,
    *,
    keeps_edges: bool,
    threads: int = 1,
    check: Callable[[], None] = lambda: None,
) -> Understood:
    """What the views of a window say about its region `inner`.

    `size`: the width and height of the window. A flow is used where left-out frames are predicted
    better by it than by one motion of the whole. `keeps_edges`: see `Optics`. `threads`: how many
    views are computed at a time. `check` is called from time to time; what it raises ends the work.
    """
    rigid = _looked_at(views, inner, reference, keeps_edges=keeps_edges)
    if not rigid.held_out.is_known:
        return rigid
    part = middle_of(inner, _LARGEST)
    here = Region(0, 0, part.width, part.height)
    cut = [view.part(part, around=FARTHEST) for view in views]
    shape = part.width, part.height
    flowing = with_flow(cut, shape, reference, threads=threads, check=check)
    if misfit(flowing, shape) > _EXPLAINS * misfit(cut, shape):
        return rigid
    bending = _looked_at(flowing, here, reference, keeps_edges=keeps_edges)
    held = bending.held_out
    if not (held.is_known and held.gains and held.fused < _BETTER * rigid.held_out.fused):
        return rigid
    found = with_flow(views, size, reference, threads=threads, check=check)
    return replace(bending, views=found, flow=usual_displacement(found))


def _looked_at(
    views: Sequence[View], inner: Region, reference: int, *, keeps_edges: bool
) -> Understood:
    """What the views say, as they are."""
    resolution = measure_resolution(views, inner)
    optics = Optics(
        resolution.blur,
        resolution.colour_blur,
        resolution.sharpening,
        keeps_edges=keeps_edges,
    )
    held = hold_out(views, inner, optics, reference)
    return Understood(list(views), optics, resolution, held)
