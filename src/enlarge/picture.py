"""One picture: bands of rows → tiles → engine → bands of rows, in bounded memory.

A picture travels as `Rows` and leaves as `Rows`, so passes chain: beyond the network's factor it
is enlarged twice. Where the target is not the network's own factor, each tile is resampled before
it joins a band (bicubic, MATLAB's kernel, in float, rounded once at the end), so a band is never
larger than its share of the result.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.engines import Engine, Session
from enlarge.errors import Cancelled
from enlarge.media.resample import Taps, apply_taps, bicubic_taps
from enlarge.media.rows import Rows
from enlarge.tiling import Plan, Span


@dataclass(frozen=True)
class Progress:
    """A tile is done: `done` of `total` in this pass, its result `pixels` (h, w, channels), and
    where that lies in the pass's output: `x`, `y`. `last` says whether this is the final pass.
    """

    done: int
    total: int
    x: int
    y: int
    pixels: NDArray[Any] = field(repr=False)
    last: bool


Watcher = Callable[[Progress], None]


class Stages(defaultdict[str, float]):
    """Seconds by stage of the work: decode, compile, compute, encode."""

    def __init__(self) -> None:
        super().__init__(float)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds that the block takes to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self[stage] += time.perf_counter() - begun


@dataclass(frozen=True)
class Reach:
    """What one tile gives along one axis: the target samples `start:stop`, from its enlarged
    samples `inner` as they are, or through `taps` (counted from the tile's own start).
    """

    start: int
    stop: int
    inner: slice
    taps: Taps | None


def reaches(spans: Sequence[Span], size: int, target: int, scale: int) -> list[Reach]:
    """The reach of every tile along an axis of `size` input and `target` output samples."""
    if target == size * scale:
        return [
            Reach(
                span.keep_start * scale,
                span.keep_stop * scale,
                slice(span.kept.start * scale, span.kept.stop * scale),
                None,
            )
            for span in spans
        ]
    taps = bicubic_taps(size * scale, target)
    found = []
    for span in spans:
        start, stop = (round(k * target / size) for k in (span.keep_start, span.keep_stop))
        indices = taps.indices[start:stop] - span.start * scale
        inner = slice(0, span.size * scale)
        found.append(Reach(start, stop, inner, Taps(indices, taps.weights[start:stop])))
    return found


def resample_reach(size: int, target: int, scale: int) -> int:
    """Input pixels that the resample to `target` reads around a sample, beyond the network's."""
    if target == size * scale:
        return 0
    shrink = max(1.0, size * scale / target)
    return int(np.ceil(2.0 * shrink / scale + size / target)) + 1


class Window:
    """The rows that the current row of tiles reads, kept from a picture that is read in order."""

    def __init__(self, rows: Rows, height: int) -> None:
        self._rows = rows
        self._buffer = np.empty((height, rows.width, rows.channels), rows.dtype)
        self._start = 0
        self._filled = 0

    def at(self, start: int) -> NDArray[Any]:
        """The window's rows from `start` on (never back). A view, valid until the next call."""
        kept = max(self._start + self._filled - start, 0)
        self._buffer[:kept] = self._buffer[self._filled - kept : self._filled]
        self._start, self._filled = start, kept
        while self._filled < len(self._buffer):
            part = self._rows.read(len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
        return self._buffer


class TileRunner:
    """The sessions that one pass needs: colour, and alpha (or gray), each compiled when first used.

    Straight colour and alpha go through the network, alpha as a gray picture; a tile whose alpha
    is one value keeps that value.
    """

    def __init__(
        self, engine: Engine, plan: Plan, rows: Rows, target: np.dtype[Any], stages: Stages
    ) -> None:
        self._engine, self._plan, self._stages = engine, plan, stages
        self._source, self._target = rows.dtype, target
        self._colours = 3 if rows.channels >= 3 else 1
        self._has_alpha = rows.channels in (2, 4)
        self._sessions: dict[int, Session] = {}

    def _session(self, channels: int) -> Session:
        if channels not in self._sessions:
            plan, kinds = self._plan, (self._source, self._target)
            with self._stages.timed("compile"):
                self._sessions[channels] = self._engine.session(
                    plan.tile_width, plan.tile_height, channels, *kinds
                )
        return self._sessions[channels]

    def prepare(self) -> None:
        """Compile the session that every tile needs."""
        self._session(self._colours)

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """Enlarge (h, w, channels) to (h·scale, w·scale, channels); valid until the next call."""
        session = self._session(self._colours)
        if not self._has_alpha:
            with self._stages.timed("compute"):
                return session(tile)
        with self._stages.timed("compute"):
            colour = session(tile[..., :-1]).copy()
        alpha = tile[..., -1:]
        if (value := alpha[0, 0, 0]) == alpha.min() == alpha.max():
            level = value if self._target == self._source else _to_float(value, self._source)
            if np.issubdtype(self._target, np.floating):
                level = min(max(float(level), 0.0), 1.0)
            large = np.full((*colour.shape[:2], 1), level, self._target)
        else:
            session = self._session(1)
            with self._stages.timed("compute"):
                large = session(alpha)
        return np.concatenate([colour, large], axis=2)


def _to_float(value: Any, dtype: np.dtype[Any]) -> Any:
    return value / np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else value


def _from_float(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Float in [0, 1] (clamped here) to the picture's depth, rounded half to even."""
    pixels = np.clip(pixels, 0.0, 1.0)
    if np.issubdtype(dtype, np.integer):
        pixels = np.rint(pixels * np.float32(np.iinfo(dtype).max))
    return pixels.astype(dtype, copy=False)


def _resampled(pixels: NDArray[np.float32], down: Reach, across: Reach) -> NDArray[Any]:
    """A float tile brought to its target samples; colour is weighted by alpha on the way."""
    has_alpha = pixels.shape[2] in (2, 4)
    if has_alpha:
        pixels = np.concatenate([pixels[..., :-1] * pixels[..., -1:], pixels[..., -1:]], axis=2)
    for axis, reach in ((0, down), (1, across)):
        if reach.taps is None:
            pixels = pixels[(slice(None),) * axis + (reach.inner,)]
        else:
            pixels = apply_taps(pixels, reach.taps, axis)
    if has_alpha:
        alpha = pixels[..., -1:]
        colour = np.divide(
            pixels[..., :-1], alpha, out=np.zeros_like(pixels[..., :-1]), where=alpha > 1e-6
        )
        pixels = np.concatenate([colour, alpha], axis=2)
    return pixels


class EnlargedRows:
    """The enlarged picture as `Rows`: `rows` brought to `width` × `height` through the network.

    `plan` must be made for the size of `rows`, with a halo that holds the network's margin plus
    `resample_reach`. `cancel`, when set from any thread, ends the work between two tiles with
    `Cancelled`. Owns `rows`.
    """

    def __init__(
        self,
        rows: Rows,
        width: int,
        height: int,
        *,
        engine: Engine,
        scale: int,
        plan: Plan,
        stages: Stages | None = None,
        watch: Watcher | None = None,
        cancel: threading.Event | None = None,
        last: bool = True,
        into: NDArray[Any] | None = None,
    ) -> None:
        self.width, self.height = width, height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._rows, self._plan, self._scale, self._last = rows, plan, scale, last
        direct = (width, height) == (rows.width * scale, rows.height * scale)
        target = rows.dtype if direct else np.dtype(np.float32)
        self._stages = Stages() if stages is None else stages
        self._run = TileRunner(engine, plan, rows, target, self._stages)
        self._watch, self._cancel = watch, cancel
        self._into = into  # (height, width, channels): bands are then views of it
        self._bands = self._make_bands()
        self._ready: list[NDArray[Any]] = []

    def prepare(self) -> None:
        """Compile the network now, before any row is read.

        Raises `EngineMemoryError` where the plan's tiles do not fit the engine's memory.
        """
        self._run.prepare()

    def _make_bands(self) -> Generator[NDArray[Any], None, None]:
        plan, rows = self._plan, self._rows
        across = reaches(plan.columns, rows.width, self.width, self._scale)
        down = reaches(plan.rows, rows.height, self.height, self._scale)
        window = Window(rows, plan.tile_height)
        done = 0
        for row, vertical in zip(plan.rows, down, strict=True):
            with self._stages.timed("decode"):
                strip = window.at(row.start)
            if self._into is not None:
                band = self._into[vertical.start : vertical.stop]
            else:
                size = (vertical.stop - vertical.start, self.width, self.channels)
                band = np.empty(size, self.dtype)
            for column, horizontal in zip(plan.columns, across, strict=True):
                if self._cancel is not None and self._cancel.is_set():
                    raise Cancelled("cancelled")
                large = self._run(strip[:, column.start : column.stop])
                if vertical.taps is None and horizontal.taps is None:
                    part = large[vertical.inner, horizontal.inner]
                else:
                    part = _from_float(_resampled(large, vertical, horizontal), self.dtype)
                band[:, horizontal.start : horizontal.stop] = part
                done += 1
                if self._watch is not None:
                    x, y = horizontal.start, vertical.start
                    pixels = band[:, x : horizontal.stop]
                    self._watch(Progress(done, len(plan), x, y, pixels, self._last))
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
        self._rows.close()
