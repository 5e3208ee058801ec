"""Regions with a teacher's results: what is written, resumed and drawn."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from enlarge.data.patches import Patches, Sampling
from enlarge.data.photos import Pair, Pixels
from enlarge.data.taught import HEAD, LOW, TAUGHT, make_taught
from enlarge.errors import DataError

SCALE, SIDE = 2, 12


@pytest.fixture
def patches() -> Patches:
    random = np.random.default_rng(0)
    high = random.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    whole = Pair("x", high[::2, ::2].copy(), high)
    return Patches([whole], Sampling(scale=SCALE, patch=SIDE, seed=3, augment="none"))


def inverted(low: Pixels) -> Pixels:
    """A teacher whose results are easy to recognise."""
    return 255 - np.repeat(np.repeat(low, SCALE, 0), SCALE, 1)


def test_regions_are_those_of_the_batches(patches: Patches, tmp_path: Path) -> None:
    pairs = make_taught(patches, tmp_path, 5, inverted)
    assert len(pairs) == 5
    for number, pair in enumerate(pickle.loads(pickle.dumps(pairs))):
        low, high, _ = patches.batch(number, 1)
        assert np.array_equal(pair.low, low[0])
        assert np.array_equal(pair.high, high[0])
        assert np.array_equal(pair.taught, inverted(low[0]))


def test_what_is_there_is_not_made_again(patches: Patches, tmp_path: Path) -> None:
    """A run that was killed within its fourth region goes on with that one."""
    calls = []

    def teach(low: Pixels) -> Pixels:
        calls.append(low)
        return inverted(low)

    whole = make_taught(patches, tmp_path / "whole", 6, inverted)
    make_taught(patches, tmp_path / "parts", 4, teach)
    with (tmp_path / "parts" / TAUGHT).open("r+b") as file:
        file.truncate(3 * (3 * (SIDE * SCALE) ** 2) + 7)
    seen: list[tuple[int, int]] = []
    parts = make_taught(patches, tmp_path / "parts", 6, teach, watch=lambda *now: seen.append(now))
    assert len(calls) == 4 + 3
    assert seen == [(4, 6), (5, 6), (6, 6)]
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.low, other.low)
        assert np.array_equal(one.taught, other.taught)  # type: ignore[arg-type]
    assert len(make_taught(patches, tmp_path / "parts", 2, teach)) == 2
    assert len(make_taught(patches, tmp_path / "parts", 6, teach)) == 6
    assert len(calls) == 7


def test_patches_of_regions_are_aligned_in_all_orientations(
    patches: Patches, tmp_path: Path
) -> None:
    pairs = make_taught(patches, tmp_path, 3, inverted)
    cut = Patches(pairs, Sampling(scale=SCALE, patch=5, seed=0, flat=0.3)).batch(0, 40)
    assert cut.taught is not None
    flat = (cut.low == cut.low[:, :1, :1]).all((1, 2, 3))
    assert 3 < flat.sum() < 25
    for low, high, taught, plain in zip(cut.low, cut.high, cut.taught, flat, strict=True):
        assert np.array_equal(taught, high if plain else inverted(low))


def test_pairs_without_a_teacher_have_no_results(patches: Patches) -> None:
    assert patches.batch(0, 2).taught is None


def test_regions_of_another_size_are_refused(patches: Patches, tmp_path: Path) -> None:
    make_taught(patches, tmp_path, 1, inverted)
    (tmp_path / HEAD).write_text('{"format": 1, "scale": 4, "side": 12}\n')
    with pytest.raises(DataError, match=r'expected \{"format": 1, "scale": 2, "side": 12\}'):
        make_taught(patches, tmp_path, 1, inverted)


def test_a_disk_that_is_too_small_is_refused_first(patches: Patches, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"teacher\.regions"):
        make_taught(patches, tmp_path, 10**12, inverted)
    assert not (tmp_path / LOW).exists()
