"""The self-ensemble of a tile, over engines that are known."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from enlarge.engines import EnsembleSession, TileSpec
from enlarge.engines.torch import TorchEngine
from tests.engines.models import overflowing


def tiles_of(width: int, height: int, channels: int) -> TileSpec:
    return TileSpec(width, height, channels, np.dtype(np.uint8), np.dtype(np.float32))


class Steps:
    """An engine that doubles pixels, shifts them to the right, and adds a tile's number."""

    name, device, precision, memory_factor = "steps", "cpu", "f32", 1.0

    def __init__(self, shift: int = 0, added: float = 0.0) -> None:
        self.shift, self.added = shift, added
        self.shapes: list[tuple[int, int]] = []
        self.calls = 0

    def forget(self) -> bool:
        return False

    def session(self, spec: TileSpec) -> Any:
        assert spec.target == np.float32
        assert not spec.clamped
        self.shapes.append((spec.width, spec.height))
        sides = (2 * spec.height, 2 * spec.width, spec.channels)
        result = np.empty(sides, np.float32)  # one, for every call

        def run(tile: NDArray[Any]) -> NDArray[np.float32]:
            assert tile.shape == (spec.height, spec.width, spec.channels)
            large = np.roll(doubled(tile), self.shift, axis=1) / np.float32(255)
            result[:] = large + self.added * self.calls
            self.calls += 1
            return result

        return run


def doubled(tile: NDArray[Any]) -> NDArray[Any]:
    return tile.repeat(2, 0).repeat(2, 1)


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)


def test_turns_are_undone() -> None:
    """What treats all directions alike gives the same; what shifts gives each way two times."""
    tile = noise(5, 7)
    same = EnsembleSession(engine := Steps(), tiles_of(7, 5, 3))(tile)
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, doubled(tile) / np.float32(255), atol=1e-6)
    assert engine.shapes == [(7, 5), (5, 7)]
    assert engine.calls == 8
    shifted = EnsembleSession(Steps(shift=1), tiles_of(7, 5, 3))(tile)
    around = [np.roll(doubled(tile) / 255, s, axis=a) for s in (1, -1) for a in (0, 1)]
    np.testing.assert_allclose(shifted, np.mean(around, axis=0), atol=1e-6)


def test_a_square_tile_takes_one_session() -> None:
    EnsembleSession(engine := Steps(), tiles_of(6, 6, 1))(noise(6, 6, 1))
    assert engine.shapes == [(6, 6)]


def test_clamped_is_the_mean_and_not_what_it_is_of() -> None:
    """Eight results of 0, 0.25, … 1.75: their mean is 0.875, with each clamped it were 0.6875."""
    black = np.zeros((4, 4, 3), np.uint8)
    large = EnsembleSession(Steps(added=0.25), tiles_of(4, 4, 3))(black)
    np.testing.assert_allclose(large, 0.875, atol=1e-6)
    assert EnsembleSession(Steps(added=1.0), tiles_of(4, 4, 3))(black).max() == 1.0


def test_what_overflows_is_repeated_in_f32(tmp_path: Path) -> None:
    engine = TorchEngine(overflowing(tmp_path), "cpu", "bf16", 1)
    tile = noise(6, 5)
    with pytest.warns(RuntimeWarning, match="repeated in f32"):
        large = EnsembleSession(engine, tiles_of(5, 6, 3))(tile)
    np.testing.assert_allclose(large, doubled(tile) / np.float32(255), atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EnsembleSession(engine, tiles_of(5, 6, 3))(tile)
