"""The pictures with a method's lowest scores, as crops for the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.metrics.comparison import Square, difference, worst_squares
from enlarge.metrics.evaluation import Result
from enlarge.metrics.fidelity import format_psnr
from enlarge.metrics.methods import Method, bicubic_method
from enlarge.metrics.pairs import DataSet, read_pair
from enlarge.metrics.pictures import write_pixels
from enlarge.report import CropRow


def worst_crops(
    method: Method, sets: Sequence[DataSet], results: Sequence[Result], count: int = 10
) -> list[CropRow]:
    """CropRow of the `count` pictures on which the method's PSNR is lowest, from all sets.

    Each is the square that differs most from the original: bicubic, the method, the original.
    """
    by_name = {data.name: data for data in sets}
    found = [
        (image.psnr, image.name, by_name[result.data])
        for result in results
        if result.model == method.name and result.data in by_name
        for image in result.images
    ]
    crops = []
    for value, name, data in sorted(found, key=lambda item: item[0])[:count]:
        pair = next(pair for pair in data.pairs if pair.name == name)
        low, high, _ = read_pair(pair, data.factor)
        height, width = high.shape[:2]
        large = method.run(low, data.factor)[:height, :width]
        plain = bicubic_method().run(low, data.factor)[:height, :width]
        corner = Square(0, 0, min(64, height, width))
        square = next(iter(worst_squares(difference(large, high), 1)), corner)
        shown = (("bicubic", plain), (method.name, large), ("original", high))
        pictures = tuple((caption, _png(_part(pixels, square))) for caption, pixels in shown)
        crops.append(CropRow(f"{data.name} {name}: {format_psnr(value)} dB", pictures))
    return crops


def _part(pixels: NDArray[Any], square: Square) -> NDArray[Any]:
    return pixels[square.y : square.y + square.side, square.x : square.x + square.side]


def _png(pixels: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    if pixels.dtype == np.float32:
        pixels = np.rint(pixels.clip(0.0, 1.0) * 255.0).astype(np.uint8)
    write_pixels(pixels, stream)
    return stream.getvalue()
