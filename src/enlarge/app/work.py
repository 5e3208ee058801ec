"""From the visitor's settings to a result: the same library calls as the command line's."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from enlarge.app.options import Options
from enlarge.errors import EnlargeError, InputError
from enlarge.media.formats import FORMATS
from enlarge.media.naming import page_mark
from enlarge.media.reading import Facts, open_picture
from enlarge.media.repair.opening import ADVICE, SALVAGE_ADVICE
from enlarge.model_file import Weights
from enlarge.picture.choosing import finding_in_file
from enlarge.picture.hooks import ProgressCallback
from enlarge.picture.looking import Finding
from enlarge.picture.outlook import Outlook, plan_picture
from enlarge.picture.run import Done
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import AUTO, DEFAULT, auto_weights, find_weights

MEGA = 1_000_000


def weights_of(settings: Settings) -> Weights:
    """The model file: as on the command line, the ×2 variant for small factors."""
    model = settings.model or DEFAULT
    if model == AUTO:
        return auto_weights(settings.scale)
    if settings.strength is None:
        return find_weights(model, settings.scale)
    found = _mixture(model, settings.strength)
    if not found.path.exists():  # the cache was trimmed
        _mixture.cache_clear()
        found = _mixture(model, settings.strength)
    return found


def looked_at(source: Path, page: int | None) -> Finding:
    """What a picture looks like, for the model `auto`; clean if it cannot be read, which whoever
    enlarges it reports.
    """
    try:
        return finding_in_file(source, Settings(page=page))
    except EnlargeError:
        return Finding("clean", "")


def model_for(kind: str, settings: Settings) -> str:
    """The model that `auto` takes for a kind of picture."""
    return auto_weights(settings.scale).choices[kind].path.stem


def model_label(settings: Settings) -> str:
    """The name of the model beside others."""
    if settings.strength is None:
        return settings.model or DEFAULT
    return weights_of(settings).card.name


def result_outlook(settings: Settings, facts: Facts) -> Outlook:
    """The forecast of a picture's enlargement.

    Raises `OptionError` or `OutputError` if the size or the format does not suit the picture.
    """
    return plan_picture(facts, settings, Upscaler(weights_of(settings)))


def result_name(settings: Settings, name: str, outlook: Outlook, page: int | None = None) -> str:
    """The file name of the result of a picture called `name`, or of a page of it: as on the command
    line.
    """
    mark = f"{outlook.width}x{outlook.height}"
    if settings.width is None:
        scale = weights_of(settings).card.scale if settings.scale is None else settings.scale
        mark = f"x{scale:.15g}"
    if page is not None and outlook.facts is not None:
        mark = f"{page_mark(page, outlook.facts.pages)}_{mark}".removeprefix("_")
    return f"{Path(name).stem}_{mark}{FORMATS[settings.format or 'png'].suffixes[0]}"


@dataclass(frozen=True)
class Enlargement:
    """The work of a `QueuedJob`: enlarge a file by a model with the visitor's settings."""

    settings: Settings
    model: Upscaler
    source: Path
    target: Path
    memory: str | None
    page: int | None = None

    def __call__(self, progress: ProgressCallback, cancel: threading.Event) -> Done:
        """Enlarge the picture, calling `progress` for each tile until `cancel` is set."""
        settings = self.settings
        return self.model.upscale_file(
            self.source,
            self.target,
            scale=settings.scale,
            width=settings.width,
            format=settings.format,
            quality=settings.quality,
            metadata=settings.metadata,
            memory=self.memory,
            page=self.page,
            ensemble=settings.ensemble,
            overwrite=True,
            resume=False,
            progress=progress,
            cancel=cancel,
        )


@lru_cache(maxsize=64)
def _mixture(model: str, strength: float) -> Weights:
    """Cached, because every run of the page asks, and both models would be read each time."""
    return find_weights(model, strength=strength)


@dataclass(frozen=True)
class Sentence:
    """A sentence of `texts` and its values, for which no language was chosen yet."""

    key: str
    values: dict[str, Any]


def reason_of(error: EnlargeError, path: Path, name: str) -> str:
    """Why a picture cannot be read, with the visitor's name for it, and without advice that only
    the command line can follow.
    """
    return str(error).replace(str(path), name).replace(SALVAGE_ADVICE, ADVICE)


def inspect_upload(
    path: Path, name: str, options: Options, page: int | None = None
) -> Facts | Sentence:
    """A picture's facts, or why this page does not accept it. `name`: the visitor's name for it;
    `page`: which of several pictures in the file.
    """
    size = path.stat().st_size
    if size > options.max_upload:
        limit = format_file_size(options.max_upload)
        return Sentence("too_large", {"name": name, "size": format_file_size(size), "limit": limit})
    try:
        with open_picture(path, page=page) as picture:
            facts = picture.facts
    except InputError as error:
        return Sentence("unreadable", {"name": name, "reason": reason_of(error, path, name)})
    if facts.width * facts.height > options.max_pixels:
        values = _pixels(facts.width, facts.height, options.max_pixels)
        return Sentence("too_many_pixels", {"name": name} | values)
    return facts


def check_result_size(width: int, height: int, options: Options) -> Sentence | None:
    """Why this page does not make a result of that size; None if it does."""
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


def format_file_size(size: int) -> str:
    """A file size for people: "1.2 MB", "64 MB", "2 GB"."""
    if size >= 1000 * MEGA:
        return f"{size / MEGA / 1000:.3g} GB"
    return f"{size / MEGA:.1f} MB" if size < 10 * MEGA else f"{size / MEGA:.0f} MB"
