"""The sheet as a picture: one cell for each result, its name and seconds below it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.trying.part import Pixels
from enlarge.trying.results import Tried

_GAP, _CAPTION, _PAPER, _INK = 12, 44, 255, 28
_ROOM = 1600
"""Pixels across that a sheet tries not to exceed."""


def draw_sheet(results: Sequence[Tried]) -> Pixels:
    """All results, of one size, in rows: uint8 (H, W, 3)."""
    height, width = results[0].pixels.shape[:2]
    columns = max(1, min(len(results), (_ROOM + _GAP) // (width + _GAP)))
    columns = math.ceil(len(results) / math.ceil(len(results) / columns))  # rows of one length
    rows = math.ceil(len(results) / columns)
    cell_height, cell_width = height + _CAPTION + _GAP, width + _GAP
    sheet = np.full((rows * cell_height + _GAP, columns * cell_width + _GAP, 3), _PAPER, np.uint8)
    for number, result in enumerate(results):
        y = _GAP + number // columns * cell_height
        x = _GAP + number % columns * cell_width
        sheet[y : y + height, x : x + width] = result.pixels
        words = _words(caption(result), width)
        below = sheet[y + height + 8 :, x : x + width][: words.shape[0], : words.shape[1]]
        below[:] = (_PAPER - words[: below.shape[0], : below.shape[1]] * ((_PAPER - _INK) / 255))[
            ..., None
        ]
    return sheet


def caption(result: Tried) -> str:
    """The name, and the seconds that the whole picture would take."""
    return f"{result.model}  {seconds_text(result.whole)}" if result.whole else result.model


def seconds_text(seconds: float) -> str:
    """Seconds as they are read: 0.4 s, 12 s, 3 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _words(text: str, width: int) -> NDArray[np.uint8]:
    """A line of text as coverage, (h, w), 0 to 255."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    found: NDArray[np.uint8] = pyvips.Image.text(
        escaped, font="sans 11", dpi=96, width=width, wrap="char"
    ).numpy()
    return found.reshape(found.shape[:2])
