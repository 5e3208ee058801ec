from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from enlarge.data.degradations import CHAINS
from enlarge.data.pairs import find_pairs, load_files
from enlarge.data.patches import Patches, Sampling, cut, dihedral, grid, join
from enlarge.data.photos import Pair, bicubic_pair
from enlarge.errors import DataError
from tests.data.conftest import noise, write_archive


def pair(height: int, width: int, scale: int = 2, seed: int = 0) -> Pair:
    """An LR made by decimation, which shows every misalignment."""
    high = noise(height * scale, width * scale, seed)
    return Pair(f"{height}x{width}", np.ascontiguousarray(high[::scale, ::scale]), high)


def test_an_archive_of_three_pairs_is_cut_into_192_and_put_together_again(tmp_path: Path) -> None:
    csv = write_archive(tmp_path, 3, 512)
    total = 0
    for whole in load_files(find_pairs(csv).pairs, 4):
        patches = list(cut(whole, 64))
        total += len(patches)
        assert {p.low.shape for p in patches} == {(64, 64, 3)}
        assert {p.high.shape for p in patches} == {(256, 256, 3)}
        assert np.array_equal(join([p.low for p in patches], 512, 512), whole.low)
        assert np.array_equal(join([p.high for p in patches], 2048, 2048), whole.high)
    assert total == 192


@pytest.mark.parametrize(("height", "width", "count"), [(217, 304, 20), (150, 210, 12)])
def test_the_last_row_and_column_lie_flush(height: int, width: int, count: int) -> None:
    """The sizes of city100."""
    places = grid(height, width, 64)
    assert len(places) == count
    assert places[-1] == (height - 64, width - 64)
    covered = np.zeros((height, width), int)
    for y, x in places:
        covered[y : y + 64, x : x + 64] += 1
    assert covered.min() == 1
    whole = pair(height, width)
    assert np.array_equal(join([p.low for p in cut(whole, 64)], height, width), whole.low)


@pytest.mark.parametrize("crops", ["random", "grid"])
def test_batches_depend_on_seed_and_number_alone(crops: str) -> None:
    pairs = [pair(20, 30), pair(25, 16, seed=1)]
    a, b = (
        Patches(pairs, Sampling(scale=2, patch=8, seed=5, crops=crops, flat=0.3))  # type: ignore[arg-type]
        for _ in range(2)
    )
    wanted = {number: a.batch(number, 4) for number in (0, 1, 3, 7)}
    for number in (7, 3, 0, 1, 7):
        for one, other in zip(b.batch(number, 4)[:2], wanted[number][:2], strict=True):
            assert np.array_equal(one, other)
    assert not np.array_equal(wanted[0][0], wanted[1][0])
    assert len(a.names(3, 4)) == 4


@pytest.mark.parametrize("crops", ["random", "grid"])
def test_crops_are_aligned_in_all_orientations(crops: str) -> None:
    whole = pair(70, 90)
    patches = Patches([whole], Sampling(scale=2, patch=6, seed=1, crops=crops))  # type: ignore[arg-type]
    low, high, _ = patches.batch(0, 32)
    corners = {
        tuple(int(np.array_equal(lo, hi[i::2, j::2])) for i in (0, 1) for j in (0, 1))
        for lo, hi in zip(low, high, strict=True)
    }
    assert all(sum(corner) == 1 for corner in corners)
    assert len(corners) == 4


def test_an_epoch_of_the_grid_shows_every_patch_once() -> None:
    pairs = [pair(20, 30), pair(4, 4), pair(25, 16, seed=1)]
    patches = Patches(pairs, Sampling(scale=2, patch=8, seed=5, crops="grid", augment="none"))
    assert len(patches) == 3 * 4 + 4 * 2
    first = [place[:3] for number in range(5) for place in patches.positions(number, 4)]
    second = [place[:3] for number in range(5, 10) for place in patches.positions(number, 4)]
    assert len(set(first)) == 20
    assert set(first) == set(second)
    assert first != second
    assert {place.turn for place in patches.positions(0, 20)} == {0}
    flipped = Patches(pairs, Sampling(scale=2, patch=8, seed=5, crops="grid", augment="flips"))
    assert {place.turn for place in flipped.positions(0, 20)} == {0, 2, 4, 6}


def test_favoured_pairs_get_their_share() -> None:
    pairs = [pair(10, 10), pair(100, 100)]
    patches = Patches(pairs, Sampling(scale=2, patch=8, seed=0, favoured=1, share=0.5))
    drawn = [place.pair for place in patches.positions(0, 400)]
    assert 0.4 < drawn.count(0) / 400 < 0.6


def test_textured_crops_are_drawn_more_often() -> None:
    """Of a picture that is flat but for one side, the best of four candidates lies there."""
    high = np.full((400, 400, 3), 128, np.uint8)
    high[:, :160] = noise(400, 160)
    whole = Pair("x", high[::2, ::2].copy(), high)
    means = []
    for textured in (0.0, 1.0):
        patches = Patches([whole], Sampling(scale=2, patch=16, seed=0, textured=textured))
        drawn = [place for number in range(20) for place in patches.positions(number, 16)]
        means.append(float(np.mean([place.x < 80 for place in drawn])))
    assert 0.3 < means[0] < 0.55
    assert means[1] > 0.8


def test_a_chain_makes_low_resolution_on_the_fly() -> None:
    """Bicubic on the fly is bicubic of the whole picture, away from where its context ends."""
    high = noise(160, 160)
    shape_only = np.broadcast_to(np.uint8(0), (40, 40, 3))
    lazy = Pair("x", shape_only, high, CHAINS["bicubic"])
    low = CHAINS["bicubic"](high, 4, np.random.default_rng(0))[0]
    ready = Pair("x", low, high)
    a, b = (Patches([p], Sampling(scale=4, patch=8, seed=3)).batch(0, 8) for p in (lazy, ready))
    assert np.array_equal(a[0], b[0])
    assert np.array_equal(a[1], b[1])


def test_pictures_smaller_than_a_patch_are_left_out_or_refused() -> None:
    patches = Patches([pair(4, 4), pair(20, 20)], Sampling(scale=2, patch=8, seed=0))
    assert {place.pair for place in patches.positions(0, 16)} == {1}
    with pytest.raises(DataError, match="at least 8"):
        Patches([pair(4, 4)], Sampling(scale=2, patch=8, seed=0))


def test_flat_patches_are_of_one_colour_in_both() -> None:
    patches = Patches([pair(20, 20)], Sampling(scale=2, patch=8, seed=0, flat=1.0))
    low, high, _ = patches.batch(0, 16)
    assert (low == low[:, :1, :1]).all()
    assert (high == low[:, :1, :1]).all()


def test_the_eight_orientations_differ() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert len({dihedral(image, turn).tobytes() for turn in range(8)}) == 8


def test_a_bicubic_pair_is_cropped_to_the_factor(archive: Path) -> None:
    found = bicubic_pair(archive.parent / "train/hr/0000.png", 3)
    assert found.high.shape == (126, 126, 3)
    assert found.low.shape == (42, 42, 3)
