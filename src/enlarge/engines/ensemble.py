"""The geometric self-ensemble: a tile through the network in all its flips and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.engines.protocol import Engine, Session

TURNS = [(turns, flip) for turns in range(4) for flip in (1, -1)]
"""Quarter turns, and then whether mirrored (-1); the first is the tile as it is."""


class EnsembleSession:
    """A `Session` whose results are means over the eight flips and rotations of the tile, each
    turned back (Timofte et al., "Seven ways to improve example-based single image super
    resolution", CVPR 2016). They are float32: summed as the network gives them, clamped once.

    A tile that is not square takes two sessions of the engine, one for each way that it lies.
    """

    def __init__(
        self, engine: Engine, width: int, height: int, channels: int, source: np.dtype[Any]
    ) -> None:
        def session(width: int, height: int) -> Session:
            target = np.dtype(np.float32)
            return engine.session(width, height, channels, source, target, clamped=False)

        self._upright = session(width, height)
        self._lying = self._upright if width == height else session(height, width)

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`. Every result is an array of its own."""
        total = self._upright(tile).copy()
        for turns, flip in TURNS[1:]:
            session = self._lying if turns % 2 else self._upright
            large = session(np.rot90(tile, turns)[:, ::flip])
            total += np.rot90(large[:, ::flip], -turns)
        total /= len(TURNS)
        return np.clip(total, 0.0, 1.0, out=total)
