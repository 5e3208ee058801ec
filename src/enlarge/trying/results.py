"""A part of a picture through one model after another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from enlarge.card import Card
from enlarge.engines import EngineOptions
from enlarge.errors import OptionError
from enlarge.media.resample import imresize
from enlarge.model_file import Weights
from enlarge.trying.part import Part, Pixels
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights

PURPOSES = {
    "fast": "clean photographs, at once",
    "fast-x2": "clean photographs, at once",
    "quality": "clean photographs, as closely as possible",
    "quality-x2": "clean photographs, as closely as possible",
    "photo": "compressed, noisy, old and CCTV pictures",
    "photo-fast": "compressed, noisy, old and CCTV pictures, at once",
    "photo-sharp": "the same, with crisper contours",
}
"""What the bundled models are for."""
SLOW = 10.0
"""Seconds from which a model is announced before it runs."""
_AGAIN = 3.0
"""Seconds below which a model runs a second time, since the first one compiles its network."""
_PREPARED_ON = 220_000
"""Input pixels that preparing a large network computes, in all its measurements."""


@dataclass(frozen=True)
class Tried:
    """A part enlarged by one model: uint8 (H, W, 3) RGB.

    `seconds` for the part, once the model is loaded; `whole`: the same for the whole picture, by
    its area. `call`: what `--model` takes for it. `purpose`: what the model is for, of those in
    `PURPOSES`. `data`, `licence`: what it was trained on, and the licence, as its card tells them.
    Each may be empty.
    """

    model: str
    pixels: Pixels
    seconds: float
    whole: float
    purpose: str = ""
    data: str = ""
    licence: str = ""
    call: str = ""


def at_hand(found: Sequence[Weights], scale: int) -> list[Weights]:
    """The models whose own factor is `scale`, the quickest first. Raises `OptionError`."""
    fitting = sorted((w for w in found if w.card.scale == scale), key=lambda w: _flops(w.card))
    if not fitting:
        there = ", ".join(f"×{factor}" for factor in sorted({w.card.scale for w in found}))
        raise OptionError(f"no model enlarges ×{scale}; those at hand: {there}")
    return fitting


def _flops(card: Card) -> float:
    """Operations per output pixel; of a model that is not prepared at least those of convolutions
    on the input's pixels.
    """
    return card.flops or 2.0 * card.parameters / card.scale**2


def _is_unprepared(weights: Weights) -> bool:
    """Whether it is a model of ncnn as it was found, which is converted and measured first."""
    return weights.path.suffix.lower() == ".param" and not weights.card.tiles


def without_model(part: Part, scale: int) -> Tried:
    """What a viewer without a network shows."""
    height, width = part.pixels.shape[:2]
    large = imresize(part.pixels, height * scale, width * scale)
    return Tried("bicubic", _inner(large, part, scale), 0.0, 0.0)


@dataclass
class Trials:
    """The models' trials, one after another. `limit`: seconds that one may be expected to take (0:
    any).
    """

    part: Part
    scale: int
    options: EngineOptions
    limit: float = 0.0
    _rate: float = 0.0

    def expected(self, weights: Weights) -> float:
        """Seconds that the model will take for the part, with preparing it once if that has to be
        done, by the operations per second of those that ran before; 0 if none did.
        """
        if not self._rate:
            return 0.0
        more = _PREPARED_ON * self.scale**2 if _is_unprepared(weights) else 0
        return (self._work(weights) + _flops(weights.card) * more) / self._rate

    def is_too_slow(self, weights: Weights) -> bool:
        """Whether it is expected to take longer than `limit`."""
        return bool(self.limit) and self.expected(weights) > self.limit

    def run(self, weights: Weights) -> Tried:
        """Enlarge the part. Raises `EnlargeError`."""
        licence = weights.card.licence
        if weights.path.suffix.lower() == ".param":  # as it was found
            weights = find_weights(weights.path, quiet=True)
            weights = replace(weights, card=replace(weights.card, licence=licence))
        model = Upscaler(weights, self.options)
        large, seconds = self._timed(model)
        if seconds < _AGAIN:
            large, seconds = self._timed(model)
        if weights.card.flops:
            self._rate = max(self._rate, self._work(weights) / max(seconds, 1e-6))
        width, height = self.part.size
        share = width * height / (self.part.pixels.shape[0] * self.part.pixels.shape[1])
        card = weights.card
        return Tried(
            weights.path.stem,
            _inner(large, self.part, self.scale),
            seconds,
            seconds * share,
            PURPOSES.get(weights.path.stem, ""),
            card.data,
            card.licence,
            weights.path.stem,
        )

    def _timed(self, model: Upscaler) -> tuple[Pixels, float]:
        begun = time.perf_counter()
        large = model.upscale(self.part.pixels, scale=float(self.scale))
        return large, time.perf_counter() - begun

    def _work(self, weights: Weights) -> float:
        height, width = self.part.pixels.shape[:2]
        return _flops(weights.card) * height * width * self.scale**2


def _inner(large: Pixels, part: Part, scale: int) -> Pixels:
    """The part itself, of its enlarged surroundings."""
    x, y, width, height = (scale * value for value in part.inner)
    return large[y : y + height, x : x + width]
