"""Computing tiles: through the network, with alpha beside the colours, and resampled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.engines import Engine, EnsembleSession, Session, TileSpec
from enlarge.errors import Cancelled
from enlarge.media.resample import apply_taps
from enlarge.picture.layout import Contribution, Layout
from enlarge.picture.timings import Timings

_BLOCK = 1 << 16
"""Values of a block."""


class RowRunner:
    """Computes the rows of tiles of one pass, each from its input `strip` (tile height, width,
    channels).
    """

    def __init__(self, engine: Engine, layout: Layout, timings: Timings) -> None:
        self._layout = layout
        self._across, self._down = layout.contributions()
        self._run = TileRunner(engine, layout, timings)

    def prepare(self) -> None:
        """Compile the session that every tile needs."""
        self._run.prepare()

    def __call__(
        self, number: int, strip: NDArray[Any], cancel: threading.Event | None = None
    ) -> Iterator[NDArray[Any]]:
        """The row's tiles from left to right, cut to their contributions; each is valid until the
        next one.

        float32 where `Layout.in_float`, else of the layout's dtype. Raises `Cancelled` between two
        tiles.
        """
        for column in range(len(self._layout.plan.columns)):
            if cancel is not None and cancel.is_set():
                raise Cancelled("cancelled")
            yield self.tile(number, column, strip)

    def tile(self, number: int, column: int, strip: NDArray[Any]) -> NDArray[Any]:
        """One tile of a row, by its column, as the row yields it."""
        span = self._layout.plan.columns[column]
        tile = self._run(strip[:, span.start : span.stop])
        return _resampled(tile, self._down[number], self._across[column])


class TileRunner:
    """The sessions that one pass needs: colour, and alpha (or gray), each compiled on first use.

    Straight colour and alpha go through the network, alpha as a gray picture; a tile whose alpha
    is one value keeps that value.
    """

    def __init__(self, engine: Engine, layout: Layout, timings: Timings) -> None:
        self._engine, self._plan, self._timings = engine, layout.plan, timings
        self._ensemble = layout.ensemble
        self._source = layout.dtype
        self._target = np.dtype(np.float32) if layout.in_float else layout.dtype
        self._colours = 3 if layout.channels >= 3 else 1
        self._has_alpha = layout.channels in (2, 4)
        self._sessions: dict[int, Session] = {}

    def _session(self, channels: int) -> Session:
        if channels not in self._sessions:
            plan = self._plan
            spec = TileSpec(plan.tile_width, plan.tile_height, channels, self._source, self._target)
            with self._timings.measured("compile"):
                self._sessions[channels] = (
                    EnsembleSession(self._engine, spec)
                    if self._ensemble
                    else self._engine.session(spec)
                )
        return self._sessions[channels]

    def prepare(self) -> None:
        """Compile the session that every tile needs; on a GPU, whose memory may run out later, also
        the one that alpha may need.
        """
        self._session(self._colours)
        if self._has_alpha and self._engine.device != "cpu":
            self._session(1)

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """Enlarge (h, w, channels) to (h·scale, w·scale, channels); valid until the next call."""
        session = self._session(self._colours)
        if not self._has_alpha:
            with self._timings.measured("compute"):
                return session(tile)
        with self._timings.measured("compute"):
            colour = session(tile[..., :-1]).copy()
        alpha = tile[..., -1:]
        if (value := alpha[0, 0, 0]) == alpha.min() == alpha.max():
            level = value if self._target == self._source else _to_float(value, self._source)
            if np.issubdtype(self._target, np.floating):
                level = min(max(float(level), 0.0), 1.0)
            large = np.full((*colour.shape[:2], 1), level, self._target)
        else:
            session = self._session(1)
            with self._timings.measured("compute"):
                large = session(alpha)
        return np.concatenate([colour, large], axis=2)


def _to_float(value: Any, dtype: np.dtype[Any]) -> Any:
    return value / np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else value


def from_float(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Floats, clamped to [0, 1] here, in the depth `dtype`: integers rounded half to even."""
    if not np.issubdtype(dtype, np.integer):
        return np.clip(pixels, 0.0, 1.0).astype(dtype, copy=False)
    found = np.empty(pixels.shape, dtype)
    for rows in blocks(pixels):
        part = np.clip(pixels[rows], 0.0, 1.0)
        part *= np.float32(np.iinfo(dtype).max)
        found[rows] = np.rint(part, out=part)
    return found


def blocks(pixels: NDArray[Any]) -> Iterator[slice]:
    """An array's rows in blocks that stay in a processor's cache from one operation to the next."""
    count = max(1, _BLOCK * len(pixels) // max(pixels.size, 1))
    return (slice(first, first + count) for first in range(0, len(pixels), count))


def _resampled(pixels: NDArray[Any], down: Contribution, across: Contribution) -> NDArray[Any]:
    """A tile's target samples: its own, or resampled in float, with colour weighted by alpha."""
    if down.taps is None and across.taps is None:
        return pixels[down.inner, across.inner]
    has_alpha = pixels.shape[2] in (2, 4)
    if has_alpha:
        pixels = np.concatenate([pixels[..., :-1] * pixels[..., -1:], pixels[..., -1:]], axis=2)
    for axis, part in ((0, down), (1, across)):
        if part.taps is None:
            pixels = pixels[(slice(None),) * axis + (part.inner,)]
        else:
            pixels = apply_taps(pixels, part.taps, axis)
    if has_alpha:
        alpha = pixels[..., -1:]
        colour = np.divide(
            pixels[..., :-1], alpha, out=np.zeros_like(pixels[..., :-1]), where=alpha > 1e-6
        )
        pixels = np.concatenate([colour, alpha], axis=2)
    return pixels
