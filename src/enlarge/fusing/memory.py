"""What a fusion takes of the memory limit."""

from __future__ import annotations

from enlarge.cores import usable_cores
from enlarge.errors import BudgetError
from enlarge.fusing.frames import Frame
from enlarge.fusing.settings import NONE, FuseSettings
from enlarge.memory import format_size, resident

_LUMA = 5
"""Bytes for each pixel of a frame, beside its own: luma, and a map of what counts."""
_VIEW = 14
"""Bytes for each pixel of the window and each frame or field: its pixels, how much they count, and
their flow.
"""
_SCENE = 900
"""Bytes for each pixel of the window: the scene on the fine grid, and its copies."""
_TILE = 120_000_000
"""Bytes for a part that is reconstructed."""
_FLOW = 160
"""Bytes for each pixel of the window while the flow of one frame is computed."""
_NETWORK = 150_000_000
"""Bytes for a network; it takes smaller tiles where there is less."""


def check_memory(settings: FuseSettings, frame: Frame, count: int) -> None:
    """Raise `BudgetError` where `count` frames like this one, and what is made of them, take more
    than the settings allow.
    """
    height, width = frame.pixels.shape[:2]
    views = 2 if settings.fields else 1
    each = frame.pixels.nbytes + _LUMA * height * width * views
    if settings.region is not None:
        _, _, width, height = map(int, settings.region)
    each += _VIEW * width * height * views
    fixed = resident() + _TILE + _SCENE * width * height
    fixed += 0 if settings.then == NONE else _NETWORK
    needed = fixed + count * each
    if needed <= settings.budget:
        return
    room = (settings.budget - fixed) // each
    advice = f"use --frames {room}" if room >= 2 else "choose a smaller --region"
    raise BudgetError(
        f"fusing {count} frames of this size takes about {format_size(needed)}, more than the "
        f"{format_size(settings.budget)} that are allowed; {advice}, or allow more with --memory"
    )


def threads_within(settings: FuseSettings, width: int, height: int) -> int:
    """How many parts, or flows, of a window may be computed at a time, now that all frames are
    held.
    """
    area = width * height
    room = (settings.budget - resident() - _SCENE * area) // max(_TILE, _FLOW * area)
    return max(1, min(settings.engine.threads or usable_cores(), room))
