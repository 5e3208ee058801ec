"""The pictures that a method does worst on, as crops for the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.metrics.comparison import Place, difference, worst_places
from enlarge.metrics.evaluation import Method, Result, bicubic, in_db
from enlarge.metrics.pairs import DataSet, load
from enlarge.metrics.pictures import write_pixels
from enlarge.report import Crops


def worst_crops(
    method: Method, sets: Sequence[DataSet], results: Sequence[Result], count: int = 10
) -> list[Crops]:
    """The `count` pictures of all sets on which the method's PSNR is lowest, each where it differs
    most from the original: bicubic, the method, the original.
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
        low, high, _ = load(pair, data.factor)
        height, width = high.shape[:2]
        large = method.run(low, data.factor)[:height, :width]
        plain = bicubic().run(low, data.factor)[:height, :width]
        places = worst_places(difference(large, high), 1) or [Place(0, 0, min(64, height, width))]
        shown = (("bicubic", plain), (method.name, large), ("original", high))
        pictures = tuple((caption, _png(_part(pixels, places[0]))) for caption, pixels in shown)
        crops.append(Crops(f"{data.name} {name}: {in_db(value)} dB", pictures))
    return crops


def _part(pixels: NDArray[Any], place: Place) -> NDArray[Any]:
    return pixels[place.y : place.y + place.side, place.x : place.x + place.side]


def _png(pixels: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    if pixels.dtype == np.float32:
        pixels = np.rint(pixels.clip(0.0, 1.0) * 255.0).astype(np.uint8)
    write_pixels(pixels, stream)
    return stream.getvalue()
