"""The geometric self-ensemble: the mean over a tile's flips and rotations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.engines.protocol import Engine, TileSpec

TURNS = [(turns, flip) for turns in range(4) for flip in (1, -1)]
"""Quarter turns, and whether mirrored (-1); the first is the tile itself."""


class EnsembleSession:
    """A `Session` that averages the results of a tile's eight flips and rotations, each turned
    back (Timofte et al., "Seven ways to improve example-based single image super resolution",
    CVPR 2016). Results are float32, summed unclamped and clamped to [0, 1] at the end.

    `spec.target` must be float32. A tile that is not square needs two sessions of the engine, one
    for each orientation.
    """

    def __init__(self, engine: Engine, spec: TileSpec) -> None:
        assert spec.target == np.float32
        upright = replace(spec, clamped=False)
        rotated = replace(upright, width=spec.height, height=spec.width)
        self._upright = engine.session(upright)
        self._rotated = self._upright if rotated == upright else engine.session(rotated)

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`. Each call returns a new array."""
        total = self._upright(tile).copy()
        for turns, flip in TURNS[1:]:
            session = self._rotated if turns % 2 else self._upright
            large = session(np.rot90(tile, turns)[:, ::flip])
            total += np.rot90(large[:, ::flip], -turns)
        total /= len(TURNS)
        return np.clip(total, 0.0, 1.0, out=total)
