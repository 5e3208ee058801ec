"""What tiling costs, and how far RRDB's tiles must overlap: `python -m benchmarks.tiles`.

Writes docs/tiles.json and .md, on an otherwise idle machine.

- Throughput: seconds of the network alone on one 512² tile, scaled to the picture's area, over the
  seconds of the tiled picture. EDSR-baseline (random weights) on 4032², nine 512-tiles a side, and
  the shipped `quality` on 1536².
- RRDB's effective halo: with a briefly trained small RRDB (see `brief`), the overlaps of tiles of
  256 from 8 pixels up, against the plain network on the whole picture, on three photographs at
  least two tiles wide; in f32. The ratio of throughput at that halo follows from the pixels.

`--try`: small pictures, two steps of training, nothing is written.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.brief import RRDB_SMALL, data, trained
from benchmarks.record import signature, stamp, write
from enlarge.data.photos import list_photos, read_rgb
from enlarge.engines import pick_engine
from enlarge.networks import build
from enlarge.tiling import make_plan
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import Weights, find_weights
from enlarge.weights.export import describe, export_onnx
from enlarge.weights.measuring import Runner, holds_in_bf16, working_sets

TILE, MINUTES = 512, 1.5
HALO_TILE = 256
DEAF = 120.0
"""dB at the smallest halo above which a network does not look around at all."""
BARS = {"EDSR-baseline": 0.7, "quality": 0.5}


def edsr(folder: Path, tile: int) -> Weights:
    """EDSR-baseline with random weights, and a card that knows one tile."""
    torch.manual_seed(0)
    network = build("edsr-baseline", scale=4).eval()
    card = describe(network, name="edsr", architecture="edsr-baseline", options={})
    path = folder / "edsr.onnx"
    export_onnx(network, card, path)
    if holds_in_bf16(path, card, Runner(path)):
        card = replace(card, precisions=("f32", "bf16"))
    return Weights(path, replace(card, tiles=working_sets(path, card, (tile,))))


def throughput(weights: Weights, side: int, tile: int, times: int) -> dict[str, Any]:
    """The ratio, and the share of computed pixels that it would be if nothing but overlap cost."""
    card, kind = weights.card, np.dtype(np.uint8)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (side, side, 3), np.uint8)
    session = pick_engine(weights.path, card, engine="openvino").session(tile, tile, 3, kind, kind)
    alone = _best(lambda: session(image[:tile, :tile]), 2 * times + 1) / tile**2
    model = Upscaler(weights, engine="openvino")
    seconds = _best(lambda: model.upscale(image, tile=tile), times)
    plan = make_plan(side, side, ladder=(tile,), halo=card.halo, multiple=card.multiple)
    assert plan is not None
    return {
        "side": side,
        "tile": tile,
        "halo": card.halo,
        "seconds": seconds,
        "ratio": alone * side * side / seconds,
        "pixels": side * side / plan.computed,
    }


def _best(run: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of so many, after one that compiles."""
    seconds = []
    for turn in range(times + 1):
        begun = time.perf_counter()
        run()
        if turn:
            seconds.append(time.perf_counter() - begun)
    return min(seconds)


def effective_halo(model: Path, *, tile: int, side: int, step: int) -> dict[str, Any]:
    """By halo: PSNR to the whole picture in dB and the most levels that a value moves, over three
    photographs; up to the first halo at which no 8-bit value moves by more than one.
    """
    weights = find_weights(model)
    margin = weights.card.margin
    assert margin is not None
    images = _photographs(side)
    run = Runner(weights.path)
    wholes = [_whole(run, image) for image in images]
    found: dict[int, dict[str, float]] = {}
    for halo in range(step, min(margin, tile // 2 - step) + 1, step):
        tiled = Upscaler(
            Weights(weights.path, replace(weights.card, halo=halo)),
            engine="openvino",
            precision="f32",
        )
        error, levels = [], 0.0
        for image, wanted in zip(images, wholes, strict=True):
            difference = np.abs(tiled.upscale(image, tile=tile).astype(np.float64) - wanted)
            error.append(float(np.square(difference).mean()))
            levels = max(levels, float(np.abs(np.rint(difference * 255)).max()))
        found[halo] = {
            "psnr": -10 * math.log10(max(float(np.mean(error)), 1e-20)),
            "levels": levels,
        }
        print(f"  halo {halo}: {found[halo]}", flush=True)
        if levels <= 1 and found[halo]["psnr"] >= 60:
            break
    halos = {
        "60 dB": next((h for h, f in found.items() if f["psnr"] >= 60), None),
        "1 level": next((h for h, f in found.items() if f["levels"] <= 1), None),
        "the card's": weights.card.halo,
    }
    shares = {
        why: (1 - 2 * halo / TILE) ** 2 if halo is not None else None
        for why, halo in {**halos, "the margin": margin}.items()
    }
    return {"margin": margin, "tile": tile, "found": found, "halos": halos, "shares": shares}


def _photographs(side: int) -> list[NDArray[np.float32]]:
    """Three photographs, float32 in [0, 1]: they are repeated by reflection to that side."""
    images: list[NDArray[np.float32]] = []
    for photo in list_photos(data() / "photos", ["valid"])[:3]:
        pixels = read_rgb(photo)
        widths = [(0, max(0, side - length)) for length in pixels.shape[:2]]
        pixels = np.pad(pixels, (*widths, (0, 0)), mode="symmetric")[:side, :side]
        images.append(pixels.astype(np.float32) / np.float32(255))
    return images


def _whole(run: Runner, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The plain network on the whole picture, outside the tiler."""
    large = run(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    return np.clip(large[0].transpose(1, 2, 0), 0.0, 1.0)


def page(result: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    lines = [
        "# What tiling costs",
        "",
        signature(result, "tiles"),
        "The ratio is what tiling leaves of the throughput on one tile (8 bits in and out, the",
        "automatic precision); *pixels* is what overlap alone would leave.",
        "",
        "| model | picture | tiles | overlap | ratio | pixels | bar |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, found in result["throughput"].items():
        mark = "" if found["ratio"] >= BARS[name] else " **(missed)**"
        lines.append(
            f"| {name} | {found['side']}² | {found['tile']}² | {found['halo']} "
            f"| {found['ratio']:.2f}{mark} | {found['pixels']:.2f} | {BARS[name]} |"
        )
    rrdb = result["rrdb"]
    if rrdb is None:
        return "\n".join([*lines, ""])
    lines += [
        "",
        "## RRDB's effective halo",
        "",
        f"RRDB of {RRDB_SMALL['blocks']} blocks × {RRDB_SMALL['features']} features, trained for "
        f"{result['minutes'] * 60:.0f} seconds; margin {rrdb['margin']}; tiles of {rrdb['tile']},",
        "three photographs, f32, against the plain network on the whole picture:",
        "",
        "| halo | PSNR, dB | most, levels |",
        "|--:|--:|--:|",
        *(f"| {h} | {f['psnr']:.1f} | {f['levels']:.0f} |" for h, f in rrdb["found"].items()),
        "",
        f"New pixels of a tile of {TILE}, (1 − 2·halo/{TILE})²: "
        + "; ".join(
            f"{why} ({rrdb['halos'].get(why, rrdb['margin'])}): "
            + ("not reached" if share is None else f"{share:.2f}")
            for why, share in rrdb["shares"].items()
        )
        + ".",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    trial = parser.parse_args().trial
    tile, times = (128, 1) if trial else (TILE, 2)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        print("EDSR-baseline …", flush=True)
        found["EDSR-baseline"] = throughput(
            edsr(Path(folder), tile), 9 * (tile - 72) + 72, tile, times
        )
    print("quality …", flush=True)
    found["quality"] = throughput(find_weights("quality"), 3 * tile, tile, times)
    minutes = 0.0 if trial else MINUTES
    print("RRDB …", flush=True)
    rrdb: dict[str, Any] | None = effective_halo(
        trained("rrdb-small", minutes),
        tile=128 if trial else HALO_TILE,
        side=200 if trial else 640,
        step=24 if trial else 8,
    )
    assert rrdb is not None
    first = min(rrdb["found"])
    if rrdb["found"][first]["psnr"] > DEAF and not trial:
        print(f"RRDB gives the same at a halo of {first}: it has learned nothing, and is left out")
        rrdb = None
    result = {**stamp(), "minutes": minutes, "throughput": found, "rrdb": rrdb}
    write("tiles", result, page(result), trial=trial)


if __name__ == "__main__":
    main()
