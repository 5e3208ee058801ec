"""Tiles, bands and resampling against the plain network on the whole picture."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import enlarge
from enlarge.card import read_card
from enlarge.engines import Engine, EngineOptions, TileSpec, pick_engine
from enlarge.errors import Cancelled
from enlarge.media.resample import imresize
from enlarge.media.rows import ArrayRows, Rows
from enlarge.model_file import Weights
from enlarge.networks import build
from enlarge.picture.bands import EnlargedRows
from enlarge.picture.hooks import Progress
from enlarge.picture.layout import Layout, contributions, feather_width, resample_margin
from enlarge.tiling import Plan, make_plan
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights
from tests.engines.models import write
from tests.precisions import require

FAST = find_weights("fast")
F32 = EngineOptions(precision="f32")


def photograph(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth structure and some noise: what a network reacts to everywhere."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), np.uint8)
    fine = imresize(coarse, height, width).astype(int) + random.integers(
        -12, 13, (height, width, 1)
    )
    return np.clip(fine, 0, 255).astype(np.uint8)


def plain(image: NDArray[np.uint8], weights: Weights = FAST) -> NDArray[np.float32]:
    """The plain network on the whole picture, outside the tiler: float, not clamped, H×W×3."""
    batch = image.astype(np.float32).transpose(2, 0, 1)[None] / 255
    result: NDArray[np.float32] = compiled(weights.path)(batch)[0][0].transpose(1, 2, 0)
    return result


@cache
def compiled(path: Path) -> ov.CompiledModel:
    """A model in f32, for every size."""
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return ov.Core().compile_model(path, "CPU", options)


def enlarged(
    rows: Rows, target: tuple[int, int], plan: Plan, engine: Engine, scale: int = 4, **more: bool
) -> EnlargedRows:
    """Rows brought to the size `target` in the tiles of `plan`."""
    size = (rows.width, rows.height)
    layout = Layout(size, target, plan, scale, rows.channels, rows.dtype, **more)
    return EnlargedRows(rows, layout, engine)


def whole(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """As `plain`, clamped."""
    return plain(image).clip(0, 1)


def whole_of_eight(image: NDArray[np.uint8], weights: Weights = FAST) -> NDArray[np.float32]:
    """The mean of eight runs of `plain`, each turned and mirrored by hand, clamped."""
    parts = []
    for turns in range(4):
        turned = np.rot90(image, turns)
        parts.append(np.rot90(plain(turned, weights), -turns))
        parts.append(np.rot90(np.fliplr(plain(np.fliplr(turned), weights)), -turns))
    return np.mean(parts, axis=0).clip(0, 1)


@pytest.mark.parametrize("tile", [64, 96, 150])
@pytest.mark.parametrize("size", [(203, 311), (257, 193)])
def test_tiled_equals_whole(tile: int, size: tuple[int, int]) -> None:
    image = photograph(*size)
    wanted = np.rint(whole(image) * 255).astype(int)
    model = enlarge.open_model("fast", precision="f32")
    got = model.upscale(image, tile=tile)
    difference = np.abs(got.astype(int) - wanted)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001


def test_tiled_equals_whole_in_bf16() -> None:
    require("bf16")
    image = photograph(203, 311)
    wanted = np.rint(whole(image) * 255).astype(int)
    got = enlarge.open_model("fast", precision="bf16").upscale(image, tile=96)
    assert np.mean(np.abs(got.astype(int) - wanted) <= 2) >= 0.9999


@pytest.mark.parametrize(("tile", "size"), [("auto", (61, 93)), (64, (203, 131)), (96, (70, 203))])
def test_an_ensemble_is_the_mean_of_eight_runs(tile: int | str, size: tuple[int, int]) -> None:
    """In tiles or not, and these are not square where the picture is smaller than one."""
    image = photograph(*size)
    wanted = np.rint(whole_of_eight(image) * 255).astype(int)
    model = enlarge.open_model("fast", precision="f32")
    got = model.upscale(image, tile=tile, ensemble=True)
    difference = np.abs(got.astype(int) - wanted)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001
    assert np.mean(np.rint(whole(image) * 255) != wanted) > 0.1  # one run is another picture


def test_an_ensemble_is_reduced_after_the_mean() -> None:
    image = photograph(61, 93)
    wanted = np.rint(imresize(whole_of_eight(image), 122, 186).clip(0, 1) * 255)
    model = enlarge.open_model("fast", precision="f32")
    difference = np.abs(model.upscale(image, scale=2, ensemble=True).astype(int) - wanted)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001


def test_an_ensemble_of_window_attention() -> None:
    """Padded to windows first, then turned; and tiles fade into each other as without."""
    quality = find_weights("quality")
    image = photograph(45, 77)
    multiple = quality.card.multiple
    room = [(0, -side % multiple) for side in image.shape[:2]]
    padded = np.pad(image, (*room, (0, 0)), mode="reflect")
    wanted = np.rint(whole_of_eight(padded, quality)[:180, :308] * 255)
    model = enlarge.open_model("quality", precision="f32")
    difference = np.abs(model.upscale(image, ensemble=True).astype(int) - wanted)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001
    image = photograph(80, 136)
    apart = [
        np.abs(
            model.upscale(image, tile=72, ensemble=ensemble).astype(int)
            - model.upscale(image, ensemble=ensemble)
        ).mean()
        for ensemble in (False, True)
    ]
    assert 0 < apart[1] <= apart[0]


def test_a_tile_smaller_than_the_margin_would_show() -> None:
    """The equality above is not vacuous: with hardly a halo seams appear."""
    width = 96 + 2 * 94  # three tiles of 96 that overlap by 2
    image = np.random.default_rng(1).integers(0, 256, (96, width, 3), np.uint8)
    engine = pick_engine(FAST, F32)
    plan = make_plan(width, 96, ladder=[96], halo=1)
    assert plan is not None
    rows = enlarged(ArrayRows(image), (4 * width, 384), plan, engine)
    difference = np.abs(rows.read(384).astype(int) - np.rint(whole(image) * 255))
    assert difference.max() > 2


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3.3])
def test_a_smaller_factor_is_the_whole_result_resampled(scale: float) -> None:
    image = photograph(90, 151)
    large = whole(image)
    height, width = int(90 * scale + 0.5), int(151 * scale + 0.5)
    wanted = np.rint(imresize(large, height, width).clip(0, 1) * 255)
    got = enlarge.open_model("fast", precision="f32").upscale(image, scale=scale, tile=80)
    difference = np.abs(got.astype(int) - wanted)
    assert got.shape == (height, width, 3)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001


@pytest.mark.parametrize("scale", [5, 8, 16])
def test_beyond_the_factor_the_network_runs_twice(scale: int) -> None:
    image = photograph(20, 33)
    model = enlarge.open_model("fast", precision="f32")
    twice = whole(model.upscale(image))
    wanted = np.rint(imresize(twice, 20 * scale, 33 * scale).clip(0, 1) * 255)
    difference = np.abs(model.upscale(image, scale=scale).astype(int) - wanted)
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.001


@given(
    size=st.integers(1, 300), tile=st.integers(1, 60), halo=st.integers(0, 8),
    scale=st.sampled_from([2, 4]), factor=st.floats(0.3, 4),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_contributions_cover_the_target_once_and_stay_in_their_tiles(
    size: int, tile: int, halo: int, scale: int, factor: float
) -> None:
    target = max(1, min(round(size * factor), size * scale))
    halo += resample_margin(size, target, scale)
    plan = make_plan(size, 1, ladder=[tile + 2 * halo], halo=halo)
    assert plan is not None
    found = contributions(plan.columns, size, target, scale)
    assert [found[0].start, found[-1].stop] == [0, target]
    for span, part in zip(plan.columns, found, strict=True):
        if part.taps is not None and part.stop > part.start:
            low, high = part.taps.indices.min(), part.taps.indices.max()
            margin = (halo - resample_margin(size, target, scale)) * scale
            assert low >= (margin if span.start else 0)
            assert high < span.size * scale - (margin if span.stop < size else 0)
    for left, right in pairwise(found):
        assert left.stop == right.start


@given(
    size=st.integers(1, 300), tile=st.integers(1, 12), halo=st.integers(0, 3),
    scale=st.sampled_from([1, 2, 4]), factor=st.floats(0.3, 4),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_fading_tiles_sum_to_one(
    size: int, tile: int, halo: int, scale: int, factor: float
) -> None:
    target = max(1, min(round(size * factor), size * scale))
    halo = 4 * (halo + resample_margin(size, target, scale))
    padded = -(-size // 4) * 4
    plan = make_plan(padded, 4, ladder=[4 * tile + 2 * halo], halo=halo, multiple=4)
    assert plan is not None
    feather = feather_width(plan.columns, halo)
    sums = np.zeros(target)
    for span, part in zip(
        plan.columns, contributions(plan.columns, size, target, scale, feather), strict=True
    ):
        sums[part.start : part.stop] += 1.0 if part.fade is None else part.fade
        if part.taps is not None and part.stop > part.start:
            assert part.taps.indices.min() >= 0
            assert part.taps.indices.max() < span.size * scale
    assert np.allclose(sums, 1.0, atol=1e-6)


class Nearest:
    """An engine that repeats each pixel, of a network that only takes multiples of 8."""

    name, device, precision, memory_factor = "nearest", "cpu", "f32", 1.0

    def __init__(self, drift: float = 0.0) -> None:
        self.drift, self.calls = drift, 0
        self.sizes: set[tuple[int, int]] = set()

    def forget(self) -> bool:
        return False

    def session(self, spec: TileSpec) -> Any:
        assert not spec.width % 8
        assert not spec.height % 8

        def run(tile: NDArray[Any]) -> NDArray[Any]:
            assert tile.shape == (spec.height, spec.width, spec.channels)
            assert tile.dtype == spec.source
            large = tile.repeat(4, 0).repeat(4, 1)
            self.calls += 1
            self.sizes.add((spec.width, spec.height))
            if spec.target == np.float32 and spec.source == np.uint8:
                return (large / np.float32(255) + self.drift * self.calls).astype(np.float32)
            return large

        return run


def feathered(image: NDArray[Any], plan: Plan, engine: Nearest, width: int, height: int) -> Any:
    rows = enlarged(ArrayRows(image), (width, height), plan, engine, fades=True)
    return np.concatenate(list(rows.bands()))


@pytest.mark.parametrize("size", [(203, 311), (5, 7), (8, 131), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_feathered_tiles_of_equal_content_are_the_picture(
    size: tuple[int, int], channels: int
) -> None:
    height, width = size
    image = photograph(height, width, channels)
    sides = [-(-side // 8) * 8 for side in (width, height)]
    plan = make_plan(*sides, ladder=[64], halo=16, multiple=8)
    assert plan is not None
    large = feathered(image, plan, engine := Nearest(), 4 * width, 4 * height)
    assert np.array_equal(large, image.repeat(4, 0).repeat(4, 1))
    assert len(engine.sizes) == 1


def test_feathered_tiles_leave_no_step_at_their_seams() -> None:
    image = np.full((64, 400, 3), 100, np.uint8)
    plan = make_plan(400, 64, ladder=[64], halo=16, multiple=8)
    assert plan is not None
    assert len(plan) > 4
    large = feathered(image, plan, Nearest(drift=8 / 255), 1600, 256)  # each tile 8 levels brighter
    steps = np.diff(large[0, :, 0].astype(int))
    assert steps.min() >= 0
    assert steps.max() <= 1
    assert large.max() - large.min() == 8 * (len(plan) - 1)


def test_feathered_and_reduced_is_the_whole_result_resampled() -> None:
    image = photograph(90, 151)
    plan = make_plan(152, 96, ladder=[64], halo=24, multiple=8)
    assert plan is not None
    wanted = imresize(image.repeat(4, 0).repeat(4, 1) / np.float32(255), 180, 302).clip(0, 1) * 255
    large = feathered(image, plan, Nearest(), 302, 180)
    assert np.abs(large - wanted).max() <= 0.51


def test_a_single_pixel() -> None:
    for value in (0, 255):
        large = enlarge.upscale(np.full((1, 1, 3), value, np.uint8))
        assert large.shape == (4, 4, 3)
        assert np.abs(large.astype(int) - value).max() <= 24  # nothing but padding around it


def test_progress_counts_tiles_and_shows_them() -> None:
    seen: list[Progress] = []
    image = photograph(100, 140)
    large = enlarge.upscale(image, tile=64, progress=seen.append)
    assert [p.done for p in seen] == list(range(1, seen[0].total + 1))
    for p in seen:
        height, width = p.pixels.shape[:2]
        assert np.array_equal(p.pixels, large[p.y : p.y + height, p.x : p.x + width])


def test_cancel_from_the_callback_and_from_outside() -> None:
    cancel = threading.Event()

    def watch(progress: Progress) -> None:
        assert progress.done == 1
        cancel.set()

    with pytest.raises(Cancelled):
        enlarge.upscale(photograph(100, 140), tile=64, progress=watch, cancel=cancel)


def test_reading_in_other_bands_changes_nothing() -> None:
    image = photograph(150, 90)
    engine = pick_engine(FAST)

    def rows() -> EnlargedRows:
        plan = make_plan(90, 150, ladder=[64], halo=20)
        assert plan is not None
        return enlarged(ArrayRows(image), (360, 600), plan, engine)

    wanted = rows().read(600)
    other, parts = rows(), []
    while len(part := other.read(7)):
        parts.append(part)
    assert np.array_equal(np.concatenate(parts), wanted)


@pytest.mark.parametrize("size", [(233, 311), (331, 97)])
def test_exact_takes_the_whole_margin_of_a_deep_network(
    size: tuple[int, int], tmp_path: Path
) -> None:
    """Margin 72, of which the card's halo is 8: far pixels count, and only --exact sees them."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    options = {"scale": 2, "features": 4, "blocks": 34}
    network = build("edsr", **options).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith("body."):
                parameter.mul_(1.5)
    path = write(network, "edsr", options, tmp_path)
    card = read_card(path)
    assert card is not None
    assert (card.margin, card.halo) == (72, 8)
    card = replace(card, tiles=dict.fromkeys((64, 224), 10**7))
    model = Upscaler(Weights(path, card), F32)
    image = photograph(*size)
    wanted = np.rint(plain(image, Weights(path, card)).clip(0, 1) * 255)
    wishes: list[dict[str, Any]] = [{"tile": 224}, {}]
    for wish in wishes:
        exact = np.abs(model.upscale(image, exact=True, **wish) - wanted)
        assert exact.max() <= 1
        assert np.mean(exact > 0) <= 0.001
    shallow = Upscaler(Weights(path, replace(card, tiles={64: 10**7})), F32)
    seen: list[int] = []
    exact = np.abs(
        shallow.upscale(image, exact=True, progress=lambda done: seen.append(done.total)) - wanted
    )
    assert exact.max() <= 1
    assert seen[-1] > 1
    assert np.abs(model.upscale(image, tile=64) - wanted).max() > 1


class Marks:
    """Stands for an engine: what a tile gives depends on all of it."""

    name, device, precision, memory_factor = "marks", "cpu", "f32", 1.0

    def __init__(self) -> None:
        self.tiles = 0

    def session(self, spec: TileSpec) -> Any:
        def enlarged(tile: NDArray[Any]) -> NDArray[Any]:
            self.tiles += 1
            large = tile.repeat(2, 0).repeat(2, 1).astype(np.int64)
            large = (large * 3 + large.cumsum(0) * 5 + large.cumsum(1) * 7) % 256
            if spec.target == np.float32:
                return (large / 255).astype(np.float32)
            return large.astype(np.uint8)

        return enlarged

    def forget(self) -> bool:
        return False


@pytest.mark.parametrize("feathered", [False, True])
@pytest.mark.parametrize("size", [(100, 140), (83, 117), (200, 280)])
def test_bands_that_are_skipped_change_nothing(feathered: bool, size: tuple[int, int]) -> None:
    """Direct, resampled, and through two passes; and what is skipped is not computed."""
    image = photograph(70, 50)

    def made(skipped: int) -> tuple[list[NDArray[Any]], list[int], int]:
        engine = Marks()
        large: Any = ArrayRows(image)
        for width, height in [(100, 140), size] if size[0] > 100 else [size]:
            margin = resample_margin(large.height, height, 2)
            plan = make_plan(
                large.width, large.height, ladder=[24 + 2 * margin], halo=5 + margin, multiple=1
            )
            assert plan is not None
            large = enlarged(large, (width, height), plan, engine, scale=2, fades=feathered)
        heights = large.heights()
        assert large.skip(sum(heights[:skipped]) + 1) == sum(heights[:skipped])
        bands = list(large.bands())
        assert large.skip(10**6) == 0
        return bands, heights, engine.tiles

    whole_bands, heights, every = made(0)
    assert [len(band) for band in whole_bands] == heights
    for skipped in (1, 2, len(heights) - 1):
        bands, _, tiles = made(skipped)
        assert len(bands) == len(whole_bands) - skipped
        for got, wanted in zip(bands, whole_bands[skipped:], strict=True):
            np.testing.assert_array_equal(got, wanted)
        assert tiles < every or (feathered and skipped == 1)
