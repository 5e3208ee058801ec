"""What tiling costs, and how far RRDB's tiles must overlap: `python -m benchmarks.tiles [RRDB…]`.

Writes benchmarks/tiles.json and docs/tiles.md, and the shipped models' part of it into their
cards; on an otherwise idle machine.

- Throughput: seconds of the network alone on one 512² tile, scaled to the picture's area, over the
  seconds of the tiled picture. EDSR-baseline (random weights) on 4032², nine 512-tiles a side, and
  the shipped models on 1536².
- Tiled against whole: the shipped models in f32 with tiles of 128, against the plain network on the
  whole picture, outside the tiler, on three photographs of 320 × 480.
- RRDB's effective halo: with a briefly trained small RRDB (see `brief`), or the model files given,
  in f32 on three photographs. A tile of 256 cut out of a picture gives wrong values near its
  sides; the halo is how far from them. At the one that keeps every value within a level, tiles are
  then compared with the whole picture.

`--models`: without EDSR-baseline, which takes minutes; its row stays as it was, with its commit.
`--try`: small pictures, two steps of training, nothing is written.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import timeit
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.brief import trained
from benchmarks.record import RESULTS, signature, stamp, write
from benchmarks.score import put_cards
from enlarge.data.photos import list_photos, read_rgb
from enlarge.engines import EngineOptions, TileSpec, pick_engine
from enlarge.model_file import Weights
from enlarge.networks import build
from enlarge.tiling import make_plan
from enlarge.training.config import data_root
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights, list_weights
from enlarge.weights.measuring import holds_in_bf16, to_decibels, working_sets
from enlarge.weights.network_file import describe_network
from enlarge.weights.onnx_file import export_onnx
from enlarge.weights.runner import Runner

TILE, WHOLE_TILE, MINUTES = 512, 128, 3.0
HALO_TILE, HALO_SIDE = 256, 448
DEAF = 120.0
"""dB beyond 4 pixels from the sides above which a network does not look around at all."""


def edsr(folder: Path, tile: int) -> Weights:
    """EDSR-baseline with random weights, and a card that knows one tile."""
    torch.manual_seed(0)
    network = build("edsr-baseline", scale=4).eval()
    card = describe_network(network, name="edsr", architecture="edsr-baseline", options={})
    path = folder / "edsr.onnx"
    export_onnx(network, card, path)
    if holds_in_bf16(card, Runner(path)):
        card = replace(card, precisions=("f32", "bf16"))
    return Weights(path, replace(card, tiles=working_sets(path, card, (tile,))))


def throughput(weights: Weights, side: int, tile: int, times: int) -> dict[str, Any]:
    """The ratio, and the share of computed pixels that it would be if nothing but overlap cost."""
    card, kind = weights.card, np.dtype(np.uint8)
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (side, side, 3), np.uint8)
    spec = TileSpec(tile, tile, 3, kind, kind)
    options = EngineOptions("openvino")
    session = pick_engine(weights, options).session(spec)
    model = Upscaler(weights, options)
    one = image[:tile, :tile]
    model.upscale(one, tile=tile)  # compiles
    singles, wholes = [], []
    for _ in range(times):  # in turn: what else the machine does hits both
        singles += timeit.repeat(lambda: session(one), number=1, repeat=3)
        wholes += timeit.repeat(lambda: model.upscale(image, tile=tile), number=1, repeat=1)
    alone, seconds = min(singles) / tile**2, min(wholes)
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


def tiled_is_whole(weights: Weights, tile: int) -> float:
    """PSNR in dB, f32, of tiles of that side against the whole picture, over three photographs."""
    run = Runner(weights.path)
    return _mean_psnr(
        float(np.square(_tiled(weights, image, tile) - _whole(run, image)).mean())
        for image in _photographs()
    )


def effective_halo(model: Path, *, tile: int, side: int, step: int) -> dict[str, Any]:
    """By distance from the sides of a tile in LR pixels: PSNR in dB to the whole picture beyond it,
    and the most levels that a value moves, over three photographs of `side`².
    """
    weights = find_weights(model)
    card = weights.card
    run, images = Runner(weights.path), _photographs(side)
    middle = slice(side // 2 - tile // 2, side // 2 + tile // 2)
    large = slice(middle.start * card.scale, middle.stop * card.scale)
    differences = [
        np.abs(_whole(run, image)[large, large] - _whole(run, image[middle, middle]))
        for image in images
    ]
    along = np.arange(tile * card.scale) // card.scale
    inside = np.minimum(along, tile - 1 - along)
    distance = np.minimum(inside[:, None], inside)
    found = {}
    for halo in range(0, tile // 2 - step, step):
        beyond = [difference[distance >= halo] for difference in differences]
        found[halo] = {
            "psnr": _mean_psnr(float(np.square(d, dtype=np.float64).mean()) for d in beyond),
            "levels": float(np.rint(255 * max(d.max() for d in beyond))),
        }
    halos = {
        "60 dB": next((h for h, f in found.items() if f["psnr"] >= 60), None),
        "1 level": next((h for h, f in found.items() if f["levels"] <= 1), None),
    }
    return {
        "model": card.data or f"{model.parent.name}.{model.suffix[1:]}",
        "blocks": card.options.get("blocks"),
        "features": card.options.get("features"),
        "margin": card.margin,
        "card": card.halo,
        "tile": tile,
        "found": found,
        "halos": halos,
        "shares": {why: _share(halo) for why, halo in halos.items()},
        "check": _check(weights, run, images[0], tile, halos["1 level"]),
    }


def _check(
    weights: Weights, run: Runner, image: NDArray[np.float32], tile: int, halo: int | None
) -> float | None:
    """The most levels that a value of the tiled picture is off with that halo."""
    if halo is None:
        return None
    told = Weights(weights.path, replace(weights.card, halo=halo))
    return float(np.rint(255 * np.abs(_tiled(told, image, tile) - _whole(run, image)).max()))


def _share(halo: int | None) -> float | None:
    """Of a tile of `TILE`, the pixels that are new with that halo on all sides."""
    return (1 - 2 * halo / TILE) ** 2 if halo is not None else None


def _tiled(weights: Weights, image: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
    return Upscaler(weights, EngineOptions("openvino", precision="f32")).upscale(image, tile=tile)


def _mean_psnr(errors: Iterable[float]) -> float:
    """The PSNR in dB of the mean of several mean squared errors."""
    return to_decibels(float(np.mean(list(errors))))


def _photographs(side: int | None = None) -> list[NDArray[np.float32]]:
    """Three photographs, float32 in [0, 1], of sides that windows divide; with a `side` repeated by
    reflection to it.
    """
    images: list[NDArray[np.float32]] = []
    for photo in list_photos(data_root() / "photos", ["valid"])[:3]:
        pixels = read_rgb(photo)
        height, width = (length // 8 * 8 for length in pixels.shape[:2])
        pixels = pixels[:height, :width]
        if side is not None:
            widths = [(0, max(0, side - length)) for length in (height, width)]
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
        "# What do tiles cost?",
        "",
        signature(result, "tiles"),
        "",
        "- *ratio*: throughput on the whole picture, relative to that on a single tile (in bf16 if",
        "  the processor has it).",
        "- *pixels*: the ratio that would follow from the overlap alone.",
        f"- *PSNR*: the picture in tiles of {WHOLE_TILE}² against the picture computed as a whole,",
        "  in f32; three photographs. 200 stands for equal.",
        "",
        "| model | picture | tiles | overlap | ratio | pixels | PSNR, dB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, found in result["throughput"].items():
        psnr = f"{found['psnr']:.1f}" if "psnr" in found else ""
        name += f" (commit {found['commit']})" if "commit" in found else ""
        lines.append(
            f"| {name} | {found['side']}² | {found['tile']}² | {found['halo']} "
            f"| {found['ratio']:.2f} | {found['pixels']:.2f} | {psnr} |"
        )
    for rrdb in result["rrdb"]:
        lines += ["", *_halo_page(rrdb)]
    return "\n".join([*lines, ""])


def _halo_page(rrdb: dict[str, Any]) -> list[str]:
    shown = [h for h in rrdb["found"] if h % 8 == 0]
    shares = "; ".join(
        f"{why} with an overlap of {rrdb['halos'][why]} ({share:.2f} of a tile of {TILE}² is not "
        "overlap)"
        if share is not None
        else f"{why}: not reached"
        for why, share in rrdb["shares"].items()
    )
    check = rrdb["check"]
    return [
        "## How much overlap does RRDB need?",
        "",
        f"{rrdb['model']} has {rrdb['blocks']} blocks × {rrdb['features']} features, a",
        f"receptive margin of {rrdb['margin']} pixels, and an overlap of {rrdb['card']} on its",
        f"card. The table compares tiles of {rrdb['tile']}² with the whole picture, in f32, on",
        "three photographs. A network trained for longer may need more overlap, so enlarge",
        "measures each checkpoint that it opens.",
        "",
        "| pixels from the sides | PSNR beyond, dB | largest difference beyond, levels of 255 |",
        "|--:|--:|--:|",
        *(
            f"| {h} | {rrdb['found'][h]['psnr']:.1f} | {rrdb['found'][h]['levels']:.0f} |"
            for h in shown
        ),
        "",
        f"Reached: {shares}.",
        *(
            [f"In tiles with that overlap, a photograph differs by {check:.0f} levels at most."]
            if check is not None
            else []
        ),
    ]


def main() -> None:
    """Measure, and write the page and the cards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    parser.add_argument("--models", action="store_true", help="EDSR-baseline stays as it was")
    parser.add_argument("files", nargs="*", type=Path, help="RRDBs, instead of training one")
    arguments = parser.parse_args()
    trial = arguments.trial
    tile, times = (128, 1) if trial else (TILE, 4)
    found: dict[str, dict[str, Any]] = {}
    if arguments.models:
        known = json.loads((RESULTS / "tiles.json").read_text())
        row = known["throughput"]["EDSR-baseline"]
        found["EDSR-baseline"] = {"commit": known["commit"], **row}
    else:
        print("EDSR-baseline …", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            side = 9 * (tile - 72) + 72
            found["EDSR-baseline"] = throughput(edsr(Path(folder), tile), side, tile, 1)
    for weights in list_weights()[: 1 if trial else None]:
        name = weights.card.name
        print(f"{name} …", flush=True)
        measured = throughput(weights, 3 * tile, tile, times)
        found[name] = {**measured, "psnr": tiled_is_whole(weights, WHOLE_TILE)}
        if not trial:
            tiling = {
                "tile": tile,
                "psnr": round(found[name]["psnr"], 1),
                "throughput": round(found[name]["ratio"], 3),
            }
            put_cards(weights.path, replace(weights.card, tiling=tiling))
    rrdb = []
    for file in arguments.files or [trained("rrdb-small", 0.0 if trial else MINUTES)]:
        print(f"{file} …", flush=True)
        sizes = {"tile": 96, "side": 160} if trial else {"tile": HALO_TILE, "side": HALO_SIDE}
        rrdb.append(effective_halo(file, **sizes, step=4))
        print(rrdb[-1]["found"], flush=True)
        if rrdb[-1]["found"][4]["psnr"] > DEAF and not trial:
            print("it gives the same 4 pixels from the sides: it has learned nothing; left out")
            rrdb.pop()
    result = {**stamp(), "throughput": found, "rrdb": rrdb}
    write("tiles", result, page(result), trial=trial)


if __name__ == "__main__":
    main()
