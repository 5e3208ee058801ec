"""Frames through the passes of the picture pipeline; a tile that did not change is not computed.

A tile whose input equals that of the frame before has the same output, so that is copied: every
frame is, byte for byte, what it would be as a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.engines import Engine
from enlarge.errors import Cancelled
from enlarge.media.rows import ArrayRows, PaddedRows
from enlarge.picture.bands import EnlargedRows
from enlarge.picture.hooks import Hooks, Progress
from enlarge.picture.layout import Layout
from enlarge.picture.loading import layout_of
from enlarge.picture.outlook import Outlook
from enlarge.picture.run import enlarge_rows
from enlarge.picture.tiles import RowRunner, from_float
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.tiling import Plan


class FrameEnlarger:
    """Enlarges the frames of one video. `reused` of `tiles` were copied from the frame before.

    `plans`: the tiles of each pass, the same for every frame.
    """

    def __init__(
        self, outlook: Outlook, *, timings: Timings, earlier: Sequence[tuple[int, int]] = ()
    ) -> None:
        engine = outlook.model.engine(outlook.dtype)
        first = outlook.passes[0]
        blank = np.zeros((first.height, first.width, first.channels), outlook.dtype)
        rows, self.plans = enlarge_rows(ArrayRows(blank), outlook, timings=timings, earlier=earlier)
        rows.close()
        self._timings = timings
        self._passes = [
            _FramePass(layout_of(outlook, step, plan), engine, timings)
            for step, plan in zip(outlook.passes, self.plans, strict=True)
        ]
        self._done = 0

    @property
    def tiles(self) -> int:
        """The tiles so far, of all passes."""
        return sum(step.tiles for step in self._passes)

    @property
    def reused(self) -> int:
        """Those that were not computed."""
        return sum(step.reused for step in self._passes)

    @property
    def tiles_of_frame(self) -> int:
        """The tiles of the last pass in a frame, which progress counts."""
        return len(self.plans[-1])

    def skip(self, frames: int) -> None:
        """Count frames that an earlier run made as done."""
        self._done += frames * self.tiles_of_frame

    def __call__(self, image: NDArray[Any], hooks: Hooks, frames: int) -> NDArray[Any]:
        """A frame (height, width, 3), enlarged; nobody may change either afterwards.

        `frames`: how many there will be, for `hooks.progress`. Raises `Cancelled`.
        """
        total = max(frames * self.tiles_of_frame, self._done + self.tiles_of_frame)
        for number, step in enumerate(self._passes, 1):
            is_last = number == len(self._passes)
            image = step(image, hooks, (self._done, total) if is_last else None)
        self._done += self.tiles_of_frame
        return image


class _FramePass:
    """One pass over frame after frame."""

    def __init__(self, layout: Layout, engine: Engine, timings: Timings) -> None:
        self._layout, self._engine, self._timings = layout, engine, timings
        self._run = RowRunner(engine, layout, timings)
        self._across, self._down = layout.contributions()
        self._given: NDArray[Any] | None = None
        self._made: NDArray[Any] | None = None
        self.tiles = self.reused = 0

    def __call__(
        self, image: NDArray[Any], hooks: Hooks, counts: tuple[int, int] | None
    ) -> NDArray[Any]:
        """The pass's output. `counts`: the tiles done before this frame, and those of all frames,
        where progress is reported.
        """
        layout, plan = self._layout, self._layout.plan
        given = image
        if layout.size != (plan.width, plan.height):
            given = PaddedRows(ArrayRows(image), plan.width, plan.height).read(plan.height)
        width, height = layout.target
        made = np.empty((height, width, layout.channels), layout.dtype)
        before = self._given
        if layout.feathered:
            self._fill_feathered(image, made, same=before is not None and _equal(given, before))
        for number, row in enumerate(plan.rows):
            strip = given[row.start : row.stop]
            down = self._down[number]
            for column, span in enumerate(plan.columns):
                if hooks.cancel is not None and hooks.cancel.is_set():
                    raise Cancelled("cancelled")
                across = self._across[column]
                place = slice(down.start, down.stop), slice(across.start, across.stop)
                if not layout.feathered:
                    self._fill(made, place, strip, (number, column), (row, span))
                if counts is not None and hooks.progress is not None:
                    done = counts[0] + number * len(plan.columns) + column + 1
                    at = (across.start, down.start)
                    hooks.progress(Progress(done, counts[1], *at, made[place], True))
        self.tiles += len(plan)
        self._given, self._made = given, made
        return made

    def _fill(
        self,
        made: NDArray[Any],
        place: tuple[slice, slice],
        strip: NDArray[Any],
        at: tuple[int, int],
        spans: tuple[Any, Any],
    ) -> None:
        """Compute or copy the tile `at` (row, column) into its place."""
        row, span = spans
        across = slice(span.start, span.stop)
        if self._given is not None and self._made is not None:
            before = self._given[row.start : row.stop, across]
            if _equal(strip[:, across], before):
                made[place] = self._made[place]
                self.reused += 1
                return
        tile = self._run.tile(*at, strip)
        made[place] = from_float(tile, made.dtype) if self._layout.in_float else tile

    def _fill_feathered(self, image: NDArray[Any], made: NDArray[Any], *, same: bool) -> None:
        """Compute or copy the whole pass, whose tiles fade into each other."""
        if same and self._made is not None:
            made[:] = self._made
            self.reused += len(self._layout.plan)
            return
        rows = EnlargedRows(
            ArrayRows(image), self._layout, self._engine, timings=self._timings, into=made
        )
        for _ in rows.bands():
            pass
        rows.close()


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two tiles are equal; most that are not differ in their first rows."""
    return bool((one[0] == other[0]).all() and (one == other).all())


def cropped(pixels: NDArray[Any], settings: Settings) -> NDArray[Any]:
    """The part of a frame (height, width, channels) that is enlarged: a view."""
    if settings.crop is None:
        return pixels
    x, y, width, height = settings.crop
    return pixels[y : y + height, x : x + width]


def tile_sizes(plans: Sequence[Plan]) -> list[list[int]]:
    """The tiles (width, height) of each pass, as the kept segments record them."""
    return [[plan.tile_width, plan.tile_height] for plan in plans]
