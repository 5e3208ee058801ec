"""Tiled = whole, on a real photograph, and what tiling costs."""

from __future__ import annotations

import timeit
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import openvino as ov
import pyvips
from numpy.typing import NDArray

import enlarge
from benchmarks.proofs.memory import SAMPLE
from benchmarks.proofs.result import Missing, Proof, Result
from enlarge.engines import TileSpec, pick_engine
from enlarge.engines.openvino import has_bf16
from enlarge.tiling import make_plan
from enlarge.weights.catalog import find_weights

TILES = (128, 192, 256)
SIZES = ((769, 512), (701, 487), (613, 397))


def _listed(things: Iterable[object]) -> str:
    """Things in words: "1, 2 and 3"."""
    *first, last = map(str, things)
    return f"{', '.join(first)} and {last}"


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """The sample photograph's upper left part, uint8 H×W×3."""
    pixels: NDArray[np.uint8] = pyvips.Image.new_from_file(str(SAMPLE)).numpy()
    return np.ascontiguousarray(pixels[:height, :width])


def whole(image: NDArray[np.uint8], precision: str) -> NDArray[np.int64]:
    """The plain network on the whole picture, outside the tiler, rounded to 8 bits."""
    path: Path = find_weights("fast").path
    model = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    out = model(image.astype(np.float32).transpose(2, 0, 1)[None] / 255)[0][0]
    return np.rint(out.transpose(1, 2, 0).clip(0, 1) * 255).astype(np.int64)


def tiled_is_whole_f32() -> Result:
    """At most 1 level of 255, at most one value in 1,000."""
    model = enlarge.open_model("fast", precision="f32")
    most, share = 0, 0.0
    for size in SIZES:
        image = photograph(*size)
        wanted = whole(image, "f32")
        for tile in TILES:
            difference = np.abs(model.upscale(image, tile=tile) - wanted)
            most, share = (
                max(most, int(difference.max())),
                max(share, float((difference > 0).mean())),
            )
    return Result(
        f"in f32, tiles of {_listed(TILES)} give the result of the whole picture, for pictures of "
        f"{_listed(f'{height} × {width}' for height, width in SIZES)} (rows × columns)",
        f"largest difference {most} level, in at most {share:.1e} of the values",
        most <= 1 and share <= 1e-3,
    )


def tiled_is_whole_bf16() -> Result:
    """99.99 % of the values within 2 levels, against the whole picture in bf16."""
    if not has_bf16():
        raise Missing("this processor does not compute in bf16")
    model = enlarge.open_model("fast", precision="bf16")
    share = 1.0
    for size in SIZES:
        image = photograph(*size)
        wanted = whole(image, "bf16")
        for tile in TILES:
            difference = np.abs(model.upscale(image, tile=tile) - wanted)
            share = min(share, float((difference <= 2).mean()))
    return Result(
        "in bf16, the same tiles and pictures: 99.99 % of the values within 2 levels",
        f"at least {share:.4%} within 2 levels",
        share >= 0.9999,
    )


def tiled_is_whole_int8() -> Result:
    """Every value, against the whole picture as one tile of the same engine: a difference in the
    last bit of what is rounded to 8 bits would become a level.
    """
    model = enlarge.open_model("fast", precision="int8")
    if model.weights.int8 is None:
        raise Missing("`fast` has no 8-bit form")
    most = 0
    for height, width in SIZES:
        image = photograph(height, width)
        kind = image.dtype
        session = model.engine(kind).session(TileSpec(width, height, 3, kind, kind))
        wanted = session(image).astype(np.int64)
        for tile in TILES:
            most = max(most, int(np.abs(model.upscale(image, tile=tile) - wanted).max()))
    return Result(
        "in int8, the same tiles and pictures: at most 1 level of 255",
        f"largest difference {most} levels",
        most <= 1,
    )


def throughput_ratio() -> Result:
    """Seconds of the network alone on the same area, over seconds of the tiled run."""
    engine = enlarge.open_model("fast")
    card = engine.card
    random = np.random.default_rng(0)
    ratios = {}
    tile = random.integers(0, 256, (512, 512, 3), np.uint8)
    kind = np.dtype(np.uint8)
    spec = TileSpec(512, 512, 3, kind, kind)
    session = pick_engine(engine.weights).session(spec)
    alone = min(timeit.repeat(lambda: session(tile), number=1, repeat=10)) / 512**2
    for side in (600, 1000, 4288):
        image = random.integers(0, 256, (side, side, 3), np.uint8)
        seconds = min(timeit.repeat(partial(engine.upscale, image), number=1, repeat=4))
        plan = make_plan(side, side, ladder=tuple(card.tiles), halo=card.halo)
        assert plan is not None
        ratios[side] = (alone * side * side / seconds, side * side / plan.computed)
    text = "; ".join(f"{s}²: {r:.2f} (pixels {p:.2f})" for s, (r, p) in ratios.items())
    good = ratios[600][0] >= 0.6 and ratios[1000][0] >= 0.6 and ratios[4288][0] >= 0.8
    return Result(
        "in tiles, ≥ 0.6 of the network's own throughput on 600² and 1000², ≥ 0.8 on 4288²",
        text,
        good,
    )


PROOFS: dict[str, Proof] = {
    "tiled = whole, f32": tiled_is_whole_f32,
    "tiled = whole, bf16": tiled_is_whole_bf16,
    "tiled = whole, int8": tiled_is_whole_int8,
    "tiled throughput": throughput_ratio,
}
