"""One picture: bands of rows → tiles → engine → bands of rows, in bounded memory.

A picture travels as `Rows` and leaves as `Rows`, so passes chain: beyond the network's factor it
is enlarged twice. Where the target is not the network's own factor, each tile is resampled before
it joins a band (bicubic, MATLAB's kernel, in float, rounded once at the end), so a band is never
larger than its share of the result.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from enlarge.engines import Engine, EnsembleSession, Session, TileSpec
from enlarge.errors import Cancelled
from enlarge.media.resample import Taps, apply_taps, bicubic_taps
from enlarge.media.rows import PaddedRows, Rows
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
_DROPPED = 64
"""Rows that are read at a time, where nobody wants them."""


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
    samples `inner` as they are, or through `taps` (counted from the tile's own start), each
    multiplied by its weight in `fade` where tiles fade into each other.
    """

    start: int
    stop: int
    inner: slice
    taps: Taps | None
    fade: NDArray[np.float32] | None = None


def reaches(
    spans: Sequence[Span], size: int, target: int, scale: int, feather: int = 0
) -> list[Reach]:
    """The reach of every tile along an axis of `size` input and `target` output samples.

    The spans may go beyond `size`, into the padding. `feather`: input samples on both sides of a
    seam in which one tile fades into the next.
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
            found.append(Reach(start, stop, inner, None, fade))
        else:
            own = Taps(taps.indices[start:stop] - span.start * scale, taps.weights[start:stop])
            found.append(Reach(start, stop, slice(0, span.size * scale), own, fade))
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


def feather_of(spans: Sequence[Span], halo: int) -> int:
    """Half of the halo, or less where ramps would meet."""
    return min([halo // 2, *((span.keep_stop - span.keep_start) // 2 for span in spans[1:-1])])


def resample_reach(size: int, target: int, scale: int) -> int:
    """Input pixels that the resample to `target` reads around a sample, beyond the network's."""
    if target == size * scale:
        return 0
    shrink = max(1.0, size * scale / target)
    return int(np.ceil(2.0 * shrink / scale + size / target)) + 1


def drop(rows: Rows, count: int) -> None:
    """Pass over the next `count` rows; what nobody reads is not computed."""
    if isinstance(rows, EnlargedRows) and count > 0:
        count -= rows.skip(count)
    while count > 0:
        count -= len(rows.read(min(count, _DROPPED)))


class Window:
    """The rows that the current row of tiles reads, kept from a picture that is read in order."""

    def __init__(self, rows: Rows, height: int) -> None:
        self._rows = rows
        self._buffer = np.empty((height, rows.width, rows.channels), rows.dtype)
        self._start = 0
        self._filled = 0

    def at(self, start: int) -> NDArray[Any]:
        """The window's rows from `start` on (never back). A view, valid until the next call."""
        drop(self._rows, start - self._start - self._filled)
        kept = max(self._start + self._filled - start, 0)
        self._buffer[:kept] = self._buffer[self._filled - kept : self._filled]
        self._start, self._filled = start, kept
        while self._filled < len(self._buffer):
            part = self._rows.read(len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
        return self._buffer


@dataclass(frozen=True)
class Layout:
    """How one pass is cut and joined: what decides, beside the engine and the pixels, what its
    tiles are. `size` is the input's, `target` the output's, (width, height); `channels` and `dtype`
    are those of both.
    """

    size: tuple[int, int]
    target: tuple[int, int]
    plan: Plan
    scale: int
    channels: int
    dtype: np.dtype[Any]
    feathered: bool
    ensemble: bool

    @property
    def in_float(self) -> bool:
        """Whether tiles are float32, to be rounded when they are joined; else the engine rounds."""
        (width, height), scale = self.size, self.scale
        direct = self.target == (width * scale, height * scale)
        return not direct or self.feathered or self.ensemble

    def reaches(self) -> tuple[list[Reach], list[Reach]]:
        """Of the columns and of the rows of tiles."""
        plan, scale = self.plan, self.scale
        feathers = (0, 0)
        if self.feathered:
            feathers = (feather_of(plan.columns, plan.halo), feather_of(plan.rows, plan.halo))
        return (
            reaches(plan.columns, self.size[0], self.target[0], scale, feathers[0]),
            reaches(plan.rows, self.size[1], self.target[1], scale, feathers[1]),
        )

    @property
    def row_bytes(self) -> int:
        """About what one row of tiles takes while it is elsewhere: its input and its tiles."""
        across, down = self.reaches()
        high = max(reach.stop - reach.start for reach in down)
        wide = sum(reach.stop - reach.start for reach in across)
        sample = 4 if self.in_float else self.dtype.itemsize
        given = self.plan.tile_height * self.plan.width * self.dtype.itemsize
        return (given + high * wide * sample) * self.channels


class Spread(Protocol):
    """Computes rows of tiles elsewhere."""

    def ahead(self, layout: Layout) -> int:
        """How many rows may be under way at once, at least 1."""

    def __call__(
        self, layout: Layout, number: int, strip: NDArray[Any]
    ) -> Future[list[NDArray[Any]]]:
        """Begin with the row of tiles of that number, given its input (h, width, channels), which
        nobody changes afterwards. The result: what `RowRunner` gives.
        """


class RowRunner:
    """Rows of tiles of one pass, each from its input `strip` (tile height, width, channels)."""

    def __init__(self, engine: Engine, layout: Layout, stages: Stages) -> None:
        self._layout = layout
        self._across, self._down = layout.reaches()
        target = np.dtype(np.float32) if layout.in_float else layout.dtype
        self._run = TileRunner(
            engine, layout.plan, layout, target, stages, ensemble=layout.ensemble
        )

    def prepare(self) -> None:
        """Compile the session that every tile needs."""
        self._run.prepare()

    def __call__(
        self, number: int, strip: NDArray[Any], cancel: threading.Event | None = None
    ) -> Iterator[NDArray[Any]]:
        """Its tiles, from the left to the right, each as far as it reaches; valid until the next.

        float32 where the layout says so, else of its dtype. Raises `Cancelled` between two tiles.
        """
        for column, across in zip(self._layout.plan.columns, self._across, strict=True):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled")
            tile = self._run(strip[:, column.start : column.stop])
            yield _resampled(tile, self._down[number], across)


class _Pixels(Protocol):
    @property
    def channels(self) -> int: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...


class TileRunner:
    """The sessions that one pass needs: colour, and alpha (or gray), each compiled when first used.

    Straight colour and alpha go through the network, alpha as a gray picture; a tile whose alpha
    is one value keeps that value. `ensemble`: see `EnsembleSession`; `target` is then float32.
    """

    def __init__(
        self,
        engine: Engine,
        plan: Plan,
        rows: _Pixels,
        target: np.dtype[Any],
        stages: Stages,
        *,
        ensemble: bool,
    ) -> None:
        self._engine, self._plan, self._stages, self._ensemble = engine, plan, stages, ensemble
        self._source, self._target = rows.dtype, target
        self._colours = 3 if rows.channels >= 3 else 1
        self._has_alpha = rows.channels in (2, 4)
        self._sessions: dict[int, Session] = {}

    def _session(self, channels: int) -> Session:
        if channels not in self._sessions:
            plan = self._plan
            spec = TileSpec(plan.tile_width, plan.tile_height, channels, self._source, self._target)
            with self._stages.timed("compile"):
                self._sessions[channels] = (
                    EnsembleSession(self._engine, spec)
                    if self._ensemble
                    else self._engine.session(spec)
                )
        return self._sessions[channels]

    def prepare(self) -> None:
        """Compile the session that every tile needs; on a GPU, which may run out of memory when the
        work is under way, also the one that alpha may need.
        """
        self._session(self._colours)
        if self._has_alpha and self._engine.device != "cpu":
            self._session(1)

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


def _resampled(pixels: NDArray[Any], down: Reach, across: Reach) -> NDArray[Any]:
    """A tile's target samples: its own, or resampled in float, with colour weighted by alpha."""
    if down.taps is None and across.taps is None:
        return pixels[down.inner, across.inner]
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
    `resample_reach`. `ensemble`: each tile is the mean over its flips and rotations. `cancel`, when
    set from any thread, ends the work between two tiles with `Cancelled`. With `spread` the tiles
    are computed elsewhere, several rows of them at once, and joined here in order. Owns `rows`.
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
        feathered: bool = False,
        ensemble: bool = False,
        spread: Spread | None = None,
    ) -> None:
        self.width, self.height = width, height
        self.channels, self.dtype = rows.channels, rows.dtype
        self._size = (rows.width, rows.height)
        if self._size != (plan.width, plan.height):
            rows = PaddedRows(rows, plan.width, plan.height)
        self._rows, self._plan, self._last = rows, plan, last
        feathered = feathered and len(plan) > 1
        self._layout = Layout(
            *(self._size, (width, height), plan, scale, rows.channels, rows.dtype),
            feathered=feathered,
            ensemble=ensemble,
        )
        self._stages = Stages() if stages is None else stages
        self._run = RowRunner(engine, self._layout, self._stages)
        self._spread, self._coming = spread, deque[Future[list[NDArray[Any]]]]()
        self._watch, self._cancel = watch, cancel
        self._skipped = 0  # bands that are not made
        self._begun = False
        self._into = into  # (height, width, channels): bands are then views of it
        self._bands = self._make_feathered() if feathered else self._make_bands()
        self._ready: list[NDArray[Any]] = []

    def prepare(self) -> None:
        """Compile the network now, before any row is read, where it is to run here.

        Raises `EngineMemoryError` where the plan's tiles do not fit the engine's memory.
        """
        if self._spread is None:
            self._run.prepare()

    def _rows_of_tiles(self, first: int = 0) -> Iterator[Iterator[NDArray[Any]]]:
        """For each row of tiles, from `first` on, its tiles in order, as `RowRunner` gives them."""
        rows = islice(enumerate(self._plan.rows), first, None)
        window = Window(self._rows, self._plan.tile_height)
        if self._spread is None:
            for number, row in rows:
                with self._stages.timed("decode"):
                    strip = window.at(row.start)
                yield self._run(number, strip, self._cancel)
            return
        ahead = self._spread.ahead(self._layout)
        while True:
            for number, row in islice(rows, ahead - len(self._coming)):
                with self._stages.timed("decode"):
                    strip = window.at(row.start).copy()
                self._coming.append(self._spread(self._layout, number, strip))
            if not self._coming:
                return
            with self._stages.timed("compute"):
                tiles = self._coming.popleft().result()
            yield iter(tiles)

    def heights(self) -> list[int]:
        """The rows of each band."""
        _, down = self._layout.reaches()
        starts = [reach.start for reach in down] + [self.height]
        return [after - start for start, after in pairwise(starts)]

    def skip(self, count: int) -> int:
        """Leave out as many whole bands as lie in the first `count` rows; their rows.

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

    def _tell(self, done: int, horizontal: Reach, vertical: Reach, pixels: NDArray[Any]) -> None:
        if self._watch is not None:
            at = (horizontal.start, vertical.start)
            self._watch(Progress(done, len(self._plan), *at, pixels, self._last))

    def _band(self, start: int, stop: int) -> NDArray[Any]:
        """Room for the result's rows `start:stop`."""
        if self._into is not None:
            return self._into[start:stop]
        return np.empty((stop - start, self.width, self.channels), self.dtype)

    def _make_bands(self) -> Generator[NDArray[Any], None, None]:
        self._begun = True
        across, down = self._layout.reaches()
        done = self._skipped * len(across)
        rows = self._rows_of_tiles(self._skipped)
        for tiles, vertical in zip(rows, down[self._skipped :], strict=True):
            band = self._band(vertical.start, vertical.stop)
            for part, horizontal in zip(tiles, across, strict=True):
                if self._layout.in_float:
                    part = _from_float(part, self.dtype)
                band[:, horizontal.start : horizontal.stop] = part
                done += 1
                self._tell(done, horizontal, vertical, band[:, horizontal.start : horizontal.stop])
            yield band
            del band

    def _make_feathered(self) -> Generator[NDArray[Any], None, None]:
        """As `_make_bands`, with tiles that fade into each other: they are summed in float, and
        what the next row of tiles adds to waits for it.
        """
        self._begun = True
        across, down = self._layout.reaches()
        waiting = np.empty((0, self.width, self.channels), np.float32)
        first = max(self._skipped - 1, 0)  # the one before gives a part of what follows it
        done = first * len(across)
        rows = zip(self._rows_of_tiles(first), down[first:], strict=True)
        for number, (tiles, vertical) in enumerate(rows, first):
            shape = (vertical.stop - vertical.start, self.width, self.channels)
            sums = np.zeros(shape, np.float32)
            sums[: len(waiting)] = waiting
            for part, horizontal in zip(tiles, across, strict=True):
                done += 1
                if self._watch is not None:
                    self._tell(done, horizontal, vertical, _from_float(part, self.dtype))
                if vertical.fade is not None:
                    part = part * vertical.fade[:, None, None]
                if horizontal.fade is not None:
                    part = part * horizontal.fade[:, None]
                sums[:, horizontal.start : horizontal.stop] += part
            final = down[number + 1].start if number + 1 < len(down) else vertical.stop
            waiting = sums[final - vertical.start :].copy()
            if number < self._skipped:
                continue
            band = self._band(vertical.start, final)
            band[:] = _from_float(sums[: len(band)], self.dtype)
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
        for row in self._coming:
            row.cancel()
        self._rows.close()
