"""What a visitor wishes for a picture, and the library calls that fulfil it: the command line's."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from enlarge.app.options import Options
from enlarge.errors import InputError
from enlarge.media.formats import FORMATS
from enlarge.media.metadata import Keep
from enlarge.media.reading import Facts, open_picture
from enlarge.picture.hooks import ProgressCallback
from enlarge.picture.outlook import Outlook, plan_picture
from enlarge.picture.run import Done
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights
from enlarge.weights.files import Weights

MEGA = 1_000_000


@dataclass(frozen=True)
class Wish:
    """The options of the command line that the page offers, by their names there."""

    model: str
    scale: float | None = None
    width: int | None = None
    format: str = "png"
    quality: int | None = None
    metadata: Keep = "keep"
    ensemble: bool = False
    strength: float | None = None

    def weights(self) -> Weights:
        """The model file: as on the command line, a ×2 model of that name for small factors."""
        if self.strength is not None:
            found = _mixture(self.model, self.strength)
            if not found.path.exists():  # the cache was trimmed
                _mixture.cache_clear()
                found = _mixture(self.model, self.strength)
            return found
        return find_weights(self.model, self.scale)

    def label(self) -> str:
        """What its results are called beside others."""
        return self.model if self.strength is None else self.weights().card.name

    def outlook(self, facts: Facts) -> Outlook:
        """The forecast of its enlargement. Raises `OptionError` or `OutputError` where the size or
        the format does not suit the picture.
        """
        settings = Settings(
            scale=self.scale, width=self.width, format=self.format, ensemble=self.ensemble
        )
        return plan_picture(facts, settings, Upscaler(self.weights()))

    def name(self, name: str, outlook: Outlook) -> str:
        """What the result of a picture called `name` is called: as without `-o`."""
        mark = f"{outlook.width}x{outlook.height}"
        if self.width is None:
            scale = self.weights().card.scale if self.scale is None else self.scale
            mark = f"x{scale:.15g}"
        return f"{Path(name).stem}_{mark}{FORMATS[self.format].suffixes[0]}"

    def work(self, model: Upscaler, source: Path, target: Path, options: Options) -> Any:
        """What a `Job` does: `(progress, cancel) -> Done`."""
        return partial(self._enlarge, model, source, target, options.memory)

    def _enlarge(
        self,
        model: Upscaler,
        source: Path,
        target: Path,
        memory: str | None,
        progress: ProgressCallback,
        cancel: threading.Event,
    ) -> Done:
        return model.upscale_file(
            source,
            target,
            scale=self.scale,
            width=self.width,
            format=self.format,
            quality=self.quality,
            metadata=self.metadata,
            memory=memory,
            ensemble=self.ensemble,
            overwrite=True,
            resume=False,
            progress=progress,
            cancel=cancel,
        )


@lru_cache(maxsize=64)
def _mixture(model: str, strength: float) -> Weights:
    """Found once: every run of the page asks, and each would read and digest both models."""
    return find_weights(model, strength=strength)


@dataclass(frozen=True)
class Sentence:
    """A sentence of `texts`, before its language is known."""

    key: str
    values: dict[str, Any]


def look(path: Path, name: str, options: Options) -> Facts | Sentence:
    """A picture's facts, or why this page does not take it. `name`: what the visitor calls it."""
    size = path.stat().st_size
    if size > options.max_upload:
        limit = spoken_size(options.max_upload)
        return Sentence("too_large", {"name": name, "size": spoken_size(size), "limit": limit})
    try:
        with open_picture(path) as picture:
            facts = picture.facts
    except InputError as error:
        reason = str(error).replace(str(path), name)
        return Sentence("unreadable", {"name": name, "reason": reason})
    if facts.width * facts.height > options.max_pixels:
        values = _pixels(facts.width, facts.height, options.max_pixels)
        return Sentence("too_many_pixels", {"name": name} | values)
    return facts


def refusal(width: int, height: int, options: Options) -> Sentence | None:
    """Why this page does not make a result of that size."""
    if width * height <= options.max_result:
        return None
    return Sentence("result_too_large", _pixels(width, height, options.max_result))


def _pixels(width: int, height: int, limit: int) -> dict[str, Any]:
    return {
        "pixels": f"{width * height / MEGA:.3g}",
        "width": f"{width:,}",
        "height": f"{height:,}",
        "limit": f"{limit / MEGA:.3g}",
    }


def spoken_size(size: int) -> str:
    """Bytes for people who look at file sizes: "1.2 MB"."""
    return f"{size / MEGA:.1f} MB" if size < 10 * MEGA else f"{size / MEGA:.0f} MB"
