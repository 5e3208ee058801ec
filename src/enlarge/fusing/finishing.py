"""From the fused scene to the picture: cut to the region, and enlarged, by a network if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.camera import Floats
from enlarge.fusing.least_squares import FACTOR
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.settings import NONE, FuseSettings
from enlarge.fusing.tracking import Region
from enlarge.media.pixels import to_depth
from enlarge.media.resample import imresize
from enlarge.upscaler import Upscaler
from enlarge.weights.starting import starting_weights

DEFAULT_MODEL = "photo"
_GIVEN = 2
"""How many times finer than the frames the picture is that a network receives."""


@dataclass(frozen=True)
class Finished:
    """`picture`: the result. `fused`: the same without a network. `model`: which ran, or
    "none". `words`: what was done, for the provenance.
    """

    picture: NDArray[Any]
    fused: NDArray[Any]
    model: str
    words: str


def network_of(settings: FuseSettings) -> Upscaler | None:
    """The model that enlarges what was fused; None if none does. Raises `WeightsError`."""
    if settings.then == NONE:
        return None
    model = DEFAULT_MODEL if settings.then is None else settings.then
    engine = settings.engine
    rest = settings.scale / _GIVEN
    weights = starting_weights(model, rest, engine=engine.engine, device=engine.device)
    return Upscaler(weights, engine)


def finish(
    scene: Floats,
    inner: Region,
    depth: np.dtype[Any],
    settings: FuseSettings,
    network: Upscaler | None,
    alone: NDArray[Any] | None = None,
) -> Finished:
    """Cut the region `inner` (in the camera's pixels) from the scene, and bring it to the scale.

    `depth`: the dtype of the result. `network`: from `network_of`. `alone`: what one frame shows of
    the window, (H, W, 3), where the others add nothing: then the network enlarges it.
    """
    width, height = round(inner.width * settings.scale), round(inner.height * settings.scale)
    fused = _cut(to_depth(scene * np.float32(1 / 255), depth), inner, FACTOR)
    if fused.shape[:2] != (height, width):
        fused = imresize(fused, height, width)
    if network is None:
        words = "no network ran: nothing in this picture was learned from other pictures"
        return Finished(fused, fused, NONE, words)
    rest = settings.scale
    if alone is None:
        alone, rest = _halved(scene, depth), settings.scale / _GIVEN
    large = network.upscale(alone, scale=rest, memory=settings.memory)
    picture = _cut(large, inner, settings.scale)
    if picture.shape[:2] != (height, width):
        picture = imresize(picture, height, width)
    name = network.card.name
    words = (
        f"then the network {name} ran, whose knowledge comes from other pictures: the finest "
        "details may be its own"
    )
    return Finished(picture, fused, name, words)


def _halved(scene: Floats, depth: np.dtype[Any]) -> NDArray[Any]:
    """The scene as a network receives it, `_GIVEN` times finer than the frames."""
    high, wide = (side // FACTOR * _GIVEN for side in scene.shape[:2])
    cv2 = load_opencv()
    given = cv2.resize(scene, (wide, high), interpolation=cv2.INTER_AREA)
    return to_depth(given * np.float32(1 / 255), depth)


def _cut(pixels: NDArray[Any], inner: Region, factor: float) -> NDArray[Any]:
    """A region of a picture that is `factor` times larger than it says."""
    x, y, width, height = (round(factor * value) for value in inner)
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])
