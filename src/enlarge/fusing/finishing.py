"""From the fused scene to the picture: cut to the region, and enlarged, by a network if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.camera import Scene
from enlarge.fusing.settings import NONE, FuseSettings
from enlarge.fusing.tracking import Region
from enlarge.media.pixels import to_depth
from enlarge.media.resample import imresize
from enlarge.upscaler import Upscaler
from enlarge.weights.starting import starting_weights

DEFAULT_MODEL = "photo"


@dataclass(frozen=True)
class Finished:
    """`picture`: the result. `fused`: the same before it was enlarged. `model`: which ran, or
    "none". `words`: what was done, for the provenance.
    """

    picture: NDArray[Any]
    fused: NDArray[Any]
    model: str
    words: str


def finish(
    scene: Scene, factor: int, inner: Region, depth: np.dtype[Any], settings: FuseSettings
) -> Finished:
    """Cut the region `inner` (in the camera's pixels) from the scene, and enlarge it to the scale.

    `depth`: the dtype of the result.
    """
    pixels = to_depth(scene * np.float32(1 / 255), depth)
    fused = _cut(pixels, inner, factor)
    width, height = round(inner.width * settings.scale), round(inner.height * settings.scale)
    model = DEFAULT_MODEL if settings.then is None else settings.then
    if model == NONE:
        picture = fused if fused.shape[:2] == (height, width) else imresize(fused, height, width)
        words = "no network ran: nothing in this picture was learned from other pictures"
        return Finished(picture, fused, NONE, words)
    rest = settings.scale / factor
    weights = starting_weights(
        model, rest, engine=settings.engine.engine, device=settings.engine.device
    )
    upscaler = Upscaler(weights, settings.engine)
    large = upscaler.upscale(pixels, scale=rest, memory=settings.memory)
    picture = _cut(large, inner, settings.scale)
    if picture.shape[:2] != (height, width):
        picture = imresize(picture, height, width)
    name = weights.card.name
    words = (
        f"then the network {name} ran, whose knowledge comes from other pictures: the finest "
        "details may be its own"
    )
    return Finished(picture, fused, name, words)


def _cut(pixels: NDArray[Any], inner: Region, factor: float) -> NDArray[Any]:
    """A region of a picture that is `factor` times larger than it says."""
    x, y, width, height = (round(factor * value) for value in inner)
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])
