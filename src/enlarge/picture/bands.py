"""The enlarged picture in bands of rows, in bounded memory.

A picture travels as `Rows` and leaves as `Rows`, so passes chain: beyond the network's factor it
is enlarged twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.engines import Engine
from enlarge.media.rows import PaddedRows, Rows
from enlarge.picture.hooks import Hooks, Progress
from enlarge.picture.layout import Contribution, Layout
from enlarge.picture.tiles import RowRunner, blocks, from_float
from enlarge.picture.timings import Timings

_SKIPPED_AT_ONCE = 64
"""Rows that are read at a time where nobody needs them."""


def skip_rows(rows: Rows, count: int) -> None:
    """Pass over the next `count` rows; what nobody reads is not computed."""
    if isinstance(rows, EnlargedRows) and count > 0:
        count -= rows.skip(count)
    while count > 0:
        count -= len(rows.read(min(count, _SKIPPED_AT_ONCE)))


class RowWindow:
    """The rows that the current row of tiles reads, kept from a picture that is read in order."""

    def __init__(self, rows: Rows, height: int) -> None:
        self._rows = rows
        self._buffer = np.empty((height, rows.width, rows.channels), rows.dtype)
        self._start = 0
        self._filled = 0

    def at(self, start: int) -> NDArray[Any]:
        """The window's rows from `start` on (never back). A view, valid until the next call."""
        skip_rows(self._rows, start - self._start - self._filled)
        kept = max(self._start + self._filled - start, 0)
        self._buffer[:kept] = self._buffer[self._filled - kept : self._filled]
        self._start, self._filled = start, kept
        while self._filled < len(self._buffer):
            part = self._rows.read(len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
        return self._buffer


class EnlargedRows:
    """The enlarged picture as `Rows`: `rows`, which it owns, through the network.

    With `hooks.executor` the tiles are computed elsewhere, several rows of them at once, and joined
    here in order. `last`: this is the final pass. `into`: an array (height, width, channels) that
    receives the result; bands are then views of it.
    """

    def __init__(
        self,
        rows: Rows,
        layout: Layout,
        engine: Engine,
        *,
        hooks: Hooks | None = None,
        timings: Timings | None = None,
        last: bool = True,
        into: NDArray[Any] | None = None,
    ) -> None:
        self.width, self.height = layout.target
        self.channels, self.dtype = layout.channels, layout.dtype
        plan = layout.plan
        if layout.size != (plan.width, plan.height):
            rows = PaddedRows(rows, plan.width, plan.height)
        self._rows, self._layout, self._plan, self._last = rows, layout, plan, last
        self._hooks = hooks or Hooks()
        self._timings = Timings() if timings is None else timings
        self._run = RowRunner(engine, layout, self._timings)
        self._pending = deque[Future[list[NDArray[Any]]]]()
        self._skipped = 0  # bands that are not made
        self._begun = False
        self._into = into
        self._bands = self._feathered_bands() if layout.feathered else self._plain_bands()
        self._ready: list[NDArray[Any]] = []

    def prepare(self) -> None:
        """Compile the network now, before any row is read, where it is to run here.

        Raises `EngineMemoryError` where the plan's tiles do not fit the engine's memory.
        """
        if self._hooks.executor is None:
            self._run.prepare()

    def _rows_of_tiles(self, first: int = 0) -> Iterator[Iterator[NDArray[Any]]]:
        """For each row of tiles, from `first` on, its tiles in order, as `RowRunner` yields
        them.
        """
        rows = islice(enumerate(self._plan.rows), first, None)
        window = RowWindow(self._rows, self._plan.tile_height)
        executor = self._hooks.executor
        if executor is None:
            for number, row in rows:
                with self._timings.measured("decode"):
                    strip = window.at(row.start)
                yield self._run(number, strip, self._hooks.cancel)
            return
        ahead = executor.ahead(self._layout)
        while True:
            for number, row in islice(rows, ahead - len(self._pending)):
                with self._timings.measured("decode"):
                    strip = window.at(row.start).copy()
                self._pending.append(executor(self._layout, number, strip))
            if not self._pending:
                return
            with self._timings.measured("compute"):
                tiles = self._pending.popleft().result()
            yield iter(tiles)

    def heights(self) -> list[int]:
        """The rows of each band."""
        _, down = self._layout.contributions()
        starts = [part.start for part in down] + [self.height]
        return [after - start for start, after in pairwise(starts)]

    def skip(self, count: int) -> int:
        """Leave out as many whole bands as lie in the first `count` rows. Returns their rows.

        Nothing is left out once a band was made.
        """
        if self._begun:
            return 0
        rows = 0
        for height in self.heights():
            if rows + height > count:
                break
            rows += height
            self._skipped += 1
        return rows

    def _report(
        self, done: int, across: Contribution, down: Contribution, pixels: NDArray[Any]
    ) -> None:
        if self._hooks.progress is not None:
            at = (across.start, down.start)
            self._hooks.progress(Progress(done, len(self._plan), *at, pixels, self._last))

    def _new_band(self, start: int, stop: int) -> NDArray[Any]:
        """An array for the result's rows `start:stop`."""
        if self._into is not None:
            return self._into[start:stop]
        return np.empty((stop - start, self.width, self.channels), self.dtype)

    def _plain_bands(self) -> Generator[NDArray[Any], None, None]:
        self._begun = True
        columns, down = self._layout.contributions()
        done = self._skipped * len(columns)
        rows = self._rows_of_tiles(self._skipped)
        for tiles, row in zip(rows, down[self._skipped :], strict=True):
            band = self._new_band(row.start, row.stop)
            for pixels, column in zip(tiles, columns, strict=True):
                if self._layout.in_float:
                    pixels = from_float(pixels, self.dtype)
                band[:, column.start : column.stop] = pixels
                done += 1
                self._report(done, column, row, band[:, column.start : column.stop])
            yield band
            del band

    def _feathered_bands(self) -> Generator[NDArray[Any], None, None]:
        """As `_plain_bands`, with tiles that fade into each other: they are summed in float, and
        the rows that the next row of tiles adds to wait for it.
        """
        self._begun = True
        columns, down = self._layout.contributions()
        waiting = np.empty((0, self.width, self.channels), np.float32)
        first = max(self._skipped - 1, 0)  # the one before contributes to what follows it
        done = first * len(columns)
        rows = zip(self._rows_of_tiles(first), down[first:], strict=True)
        for number, (tiles, row) in enumerate(rows, first):
            shape = (row.stop - row.start, self.width, self.channels)
            sums = np.empty(shape, np.float32)
            sums[: len(waiting)] = waiting
            reached = 0
            for pixels, column in zip(tiles, columns, strict=True):
                done += 1
                if self._hooks.progress is not None:
                    self._report(done, column, row, from_float(pixels, self.dtype))
                seen = (len(waiting), reached - column.start)
                _fade_in(sums[:, column.start : column.stop], pixels, (row.fade, column.fade), seen)
                reached = column.stop
            final = down[number + 1].start if number + 1 < len(down) else row.stop
            waiting = sums[final - row.start :].copy()
            if number < self._skipped:
                continue
            band = self._new_band(row.start, final)
            band[:] = from_float(sums[: len(band)], self.dtype)
            del sums
            yield band
            del band

    def bands(self) -> Iterator[NDArray[Any]]:
        """The result in bands as they are made, (n, width, channels), each array the caller's."""
        return self._bands

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left)."""
        have = sum(len(part) for part in self._ready)
        while have < count and (band := next(self._bands, None)) is not None:
            self._ready.append(band)
            have += len(band)
        taken: list[NDArray[Any]] = []
        while count and self._ready:
            band = self._ready.pop(0)
            taken.append(band[:count])
            if len(band) > count:
                self._ready.insert(0, band[count:])
            count -= len(taken[-1])
        if len(taken) == 1:
            return taken[0]
        return (
            np.concatenate(taken) if taken else np.empty((0, self.width, self.channels), self.dtype)
        )

    def close(self) -> None:
        """Close the rows underneath."""
        self._bands.close()
        for row in self._pending:
            row.cancel()
        self._rows.close()


def _fade_in(
    sums: NDArray[np.float32],
    pixels: NDArray[np.float32],
    fades: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None],
    seen: tuple[int, int],
) -> None:
    """Add a tile (height, width, channels), times its `fades` down and across, to `sums`, of the
    same shape. Only the first rows and the first columns, as many as `seen` says, hold sums yet.
    """
    height, width, channels = pixels.shape
    rows_seen = seen[0]
    lanes, into = pixels.reshape(height, -1), sums.reshape(height, -1)
    down, across = fades
    if across is not None:
        across = np.repeat(across, channels)
    for top, bottom, lanes_seen in (
        (0, rows_seen, width * channels),
        (rows_seen, height, seen[1] * channels),
    ):
        for rows in blocks(lanes[top:bottom]):
            rows = slice(top + rows.start, min(top + rows.stop, bottom))
            part = lanes[rows]
            if down is not None:
                part = part * down[rows, None]
            if across is not None:
                part = part * across
            into[rows, :lanes_seen] += part[:, :lanes_seen]
            into[rows, lanes_seen:] = part[:, lanes_seen:]
