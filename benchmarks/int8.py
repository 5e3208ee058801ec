"""What the 8-bit form of a model loses: `python -m benchmarks.int8 NAME.onnx…`.

Compares NAME.int8.onnx, which lies beside it, with NAME.onnx in f32, under the instruction set AVX2
without VNNI. `--write` stores the figures in the card of NAME.int8.onnx (`--try`: three pictures of
each set and fewer colours, nothing is written):

    valid, detail    PSNR of f32 minus that of int8, in dB, as `benchmarks.score` measures it; the
                     larger of that in Y and in RGB
    flat             the largest distance from f32, in levels of 255, on pictures of one colour
    colour           the same from the colour itself
    gradient         the same from f32 on gradients
    drawing          as `valid`, of the drawing that loses most: text and boards of two colours,
                     drawn in high resolution and reduced
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.sets import bicubic_sets
from enlarge.card import Card, read_card
from enlarge.digests import file_digest
from enlarge.errors import WeightsError
from enlarge.media.resample import imresize
from enlarge.metrics.pairs import DataSet, read_pair
from enlarge.metrics.protocol import Protocol, to_rgb
from enlarge.upscaler import Upscaler, open_model

Pixels = NDArray[np.uint8]

ISA = "AVX2"
CAPS = ("ONEDNN_MAX_CPU_ISA", "OV_CPU_MAX_ISA")
_COLOURS = (((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), ((200, 0, 0), (0, 0, 90)))
"""Of drawings: the foreground, and the background."""
_TEXT = "The quick brown fox\njumps over the lazy dog\n0123456789 &@%"
_CORNERS = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]


def flat_colours(count: int, seed: int = 0) -> list[tuple[int, int, int]]:
    """The corners of the colour cube, as many grays as `count`, and as many random colours."""
    random = np.random.default_rng(seed)
    grays = [(int(v),) * 3 for v in np.linspace(0, 255, count).round()]
    return [*_CORNERS, *grays, *map(tuple, random.integers(0, 256, (count, 3)).tolist())]


def gradients(height: int = 64, width: int = 160) -> Iterator[Pixels]:
    """Gray, coloured and sky-blue gradients, steep and slow; along a line, diagonal and radial."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    across = [
        x / (width - 1),
        (x + y) / (width + height - 2),
        np.hypot(x - width / 2, y - height / 2) / np.hypot(width / 2, height / 2),
    ]
    for low, high in ((0, 255), (100, 140), (30, 60), (200, 250), (90, 100), (0, 20), (235, 255)):
        for share in across:
            gray = low + (high - low) * share
            colour = (0.6 * gray, 0.8 * gray, 60 + 0.5 * gray)
            sky = (60 + 0.5 * gray, 120 + 0.4 * gray, 180 + 0.3 * gray)
            for planes in ((gray,) * 3, colour, sky):
                yield np.clip(np.rint(np.stack(planes, 2)), 0, 255).astype(np.uint8)


def drawings(factor: int, width: int = 160, height: int = 80) -> Iterator[tuple[Pixels, Pixels]]:
    """Drawings of width × height pixels, and in high resolution: letters 6 to 20 pixels tall, and
    boards with fields of 1, 2 and 5 pixels.
    """
    size = (width * factor, height * factor)
    for colour, ground in _COLOURS:
        for tall in (6, 9, 13, 20):
            high = Image.new("RGB", size, ground)
            font = ImageFont.load_default(tall * factor)
            ImageDraw.Draw(high).text((4 * factor, 4 * factor), _TEXT, colour, font)
            yield _reduced(np.asarray(high), factor)
        y, x = np.mgrid[: size[1], : size[0]] // factor
        for side in (1, 2, 5):
            is_ground = (y // side + x // side) % 2 == 1
            board = np.where(is_ground[..., None], ground, colour).astype(np.uint8)
            yield _reduced(board, factor)


def _reduced(high: Pixels, factor: int) -> tuple[Pixels, Pixels]:
    low = imresize(high, high.shape[0] // factor, high.shape[1] // factor)
    return low, high


def worst_on_flat(
    exact: Upscaler, coarse: Upscaler, colours: list[tuple[int, int, int]], side: int = 48
) -> tuple[int, int]:
    """The largest distance on pictures of one colour, in levels: from f32, and from the colour."""
    from_exact = from_colour = 0
    for colour in colours:
        picture = np.full((side, side, 3), colour, np.uint8)
        result = coarse.upscale(picture).astype(int)
        from_exact = max(from_exact, int(np.abs(result - exact.upscale(picture)).max()))
        from_colour = max(from_colour, int(np.abs(result - np.array(colour)).max()))
    return from_exact, from_colour


def worst_on_gradients(exact: Upscaler, coarse: Upscaler, pictures: Iterator[Pixels]) -> int:
    """The largest distance from f32, in levels."""
    distances = (
        np.abs(coarse.upscale(picture).astype(int) - exact.upscale(picture)).max()
        for picture in pictures
    )
    return int(max(distances))


def lost(
    exact: Upscaler, coarse: Upscaler, low: Pixels, high: Pixels, factor: int
) -> tuple[float, float]:
    """PSNR of f32 minus PSNR of int8 in dB, in Y and in RGB."""
    results = [model.upscale(to_rgb(low), scale=factor) for model in (exact, coarse)]
    y, rgb = (
        [protocol.measure(result, high, factor=factor).psnr for result in results]
        for protocol in (Protocol(), Protocol(colour="rgb"))
    )
    return y[0] - y[1], rgb[0] - rgb[1]


def loss(exact: Upscaler, coarse: Upscaler, data: DataSet) -> float:
    """PSNR of f32 minus PSNR of int8 in dB, mean over a data set; the larger of Y and RGB."""
    read = (read_pair(pair, data.factor)[:2] for pair in data.pairs)
    both = [lost(exact, coarse, low, high, data.factor) for low, high in read]
    return float(np.mean(both, axis=0).max())


def worst_on_drawings(exact: Upscaler, coarse: Upscaler) -> float:
    """The largest loss, in Y or in RGB, as `lost` gives it."""
    factor = exact.card.scale
    return max(max(lost(exact, coarse, *pair, factor)) for pair in drawings(factor))


def measure(model: Path, *, pictures: int | None = None) -> dict[str, Any]:
    """The figures for a card. `pictures`: as many of each data set (None: all)."""
    sibling = model.with_name(f"{model.stem}.int8.onnx")
    exact = open_model(model, engine="openvino", precision="f32")
    coarse = open_model(sibling, engine="openvino", precision="int8")
    found: dict[str, Any] = {"of": file_digest(model), "isa": ISA}
    for data in bicubic_sets(exact.card.scale)[2:]:
        part = DataSet(data.name, data.pairs[:pictures], data.factor)
        found[data.name] = round(loss(exact, coarse, part), 4)
    count = 80 if pictures is None else 8
    found["flat"], found["colour"] = worst_on_flat(exact, coarse, flat_colours(count))
    found["gradient"] = worst_on_gradients(exact, coarse, gradients())
    found["drawing"] = round(worst_on_drawings(exact, coarse), 4)
    return found


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", metavar="NAME.onnx")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--try", action="store_true", dest="trial")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.environ.update(dict.fromkeys(CAPS, ISA))  # OpenVINO reads them when it starts
    for model in arguments.models:
        figures = measure(model.resolve(), pictures=3 if arguments.trial else None)
        text = ", ".join(f"{key} {value}" for key, value in figures.items() if key != "of")
        print(json.dumps(figures) if arguments.json else f"{model.stem}: {text}")
        if arguments.write and not arguments.trial:
            write(model.with_name(f"{model.stem}.int8.onnx"), figures)


def write(sibling: Path, figures: dict[str, Any]) -> Card:
    """Store the figures in the card of an 8-bit form."""
    from enlarge.weights.onnx_file import with_card

    card = read_card(sibling)
    if card is None:
        raise WeightsError(f"{sibling}: has no card; make it again")
    card = replace(card, int8=card.int8 | figures)
    with_card(sibling, card)
    return card


if __name__ == "__main__":
    main()
