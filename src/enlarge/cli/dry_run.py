"""`--dry-run`: how many pictures, how many megapixels, how long, how much disk."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from enlarge.batch.worker import Recipe
from enlarge.cli.console import FAILED, SOME_FAILED, say
from enlarge.cli.outputs import is_archive
from enlarge.cli.planning import Plan, Planned, band_needs, file_needs
from enlarge.cli.request import Request
from enlarge.errors import InputError, OutputError
from enlarge.media.formats import ZOOMS
from enlarge.memory import format_size
from enlarge.upscaler import Upscaler

_SAMPLE = 512
"""The side of the part of a picture that is enlarged to measure the speed, in input pixels."""


def foretell(request: Request, plan: Plan, upscaler: Upscaler, recipe: Recipe) -> int:
    """Say what the invocation would do; nothing is written. Returns the exit status."""
    facts = _facts(request, plan, upscaler, recipe)
    status = 0 if not plan.failed else SOME_FAILED if plan.todo or plan.kept else FAILED
    if request.options.json:
        document = facts | {
            "failed": [{"input": failure.source, "error": failure.line} for failure in plan.failed]
        }
        error = say(json.dumps(document, ensure_ascii=False, indent=2))
        if error is not None:
            raise OutputError(f"standard output: cannot be written: {error.strerror}")
        return status
    for failure in plan.failed:
        say(f"enlarge: {failure.line}", sys.stderr)
    if request.options.quiet:
        return status
    if request.options.verbose:
        for planned in plan.todo:
            say(f"{planned.job.source} → {planned.job.target}")
    plural = "s" * (facts["pictures"] != 1)
    say(f"{facts['pictures']:,} picture{plural} to enlarge{_rest(facts)}")
    if facts["pictures"]:
        say(
            f"{facts['megapixels_in']:,.1f} megapixels become {facts['megapixels_out']:,.1f}; "
            f"at most about {format_size(facts['disk_bytes'])} of disk"
        )
    if request.settings.strength is not None:
        say(f"strength {request.settings.strength:g}, between photo (0) and photo-sharp (1)")
    if facts["seconds"] is not None:
        say(f"about {_in_words(facts['seconds'])}, as measured on a part of {facts['sample']}")
    return status


def _facts(request: Request, plan: Plan, upscaler: Upscaler, recipe: Recipe) -> dict[str, Any]:
    known = [planned for planned in plan.todo if planned.facts and planned.outlook]
    pixels_in = sum(_pixels_in(planned, request) for planned in known)
    pixels_out = sum(_pixels_out(planned) for planned in known)
    disk = sum(size for _, size in file_needs(plan))
    if request.options.output is not None and is_archive(request.options.output):
        disk += disk + sum(Path(kept.output).stat().st_size for _, kept in plan.kept)
    disk += sum(size for _, size in band_needs(plan))
    pace, sample = _measured(known, upscaler, recipe)
    return {
        "model": upscaler.card.name,
        "strength": request.settings.strength,
        "pictures": len(plan.todo),
        "done_already": len(plan.kept),
        "unreadable": len(plan.failed),
        "megapixels_in": pixels_in / 1e6,
        "megapixels_out": pixels_out / 1e6,
        "disk_bytes": disk,
        "seconds": pace * pixels_out if sample else None,
        "sample": sample,
    }


def _measured(
    known: Sequence[Planned], upscaler: Upscaler, recipe: Recipe
) -> tuple[float, str | None]:
    """Seconds for each pixel of a result, and the picture they were measured on: of middle size,
    or the next one that can be read.
    """
    ordered = sorted(known, key=_pixels_out)
    middle = len(ordered) // 2
    for planned in ordered[middle:] + ordered[:middle]:
        with contextlib.suppress(InputError):
            return _pace(planned, upscaler, recipe), planned.job.source
    return 0.0, None


def _pixels_in(planned: Planned, request: Request) -> int:
    assert planned.facts is not None
    if request.settings.crop:
        return request.settings.crop[2] * request.settings.crop[3]
    return planned.facts.width * planned.facts.height


def _pixels_out(planned: Planned) -> int:
    assert planned.outlook is not None
    return planned.outlook.width * planned.outlook.height


def _pace(planned: Planned, upscaler: Upscaler, recipe: Recipe) -> float:
    """Seconds of this machine for each pixel of a result, reading and writing included.

    The upper middle of a picture is enlarged twice: the first time compiles the network. A batch,
    which reads and writes beside the computing, is somewhat faster.
    """
    assert planned.facts is not None
    x, y, width, height = recipe.options["crop"] or (
        *(0, 0), planned.facts.width, planned.facts.height,
    )  # fmt: skip
    part = (min(_SAMPLE, width), min(_SAMPLE, height))
    at = (x + (width - part[0]) // 2, y)  # what lies above would have to be read first
    scale = _pixels_out(planned) / (width * height)
    options = dict(recipe.options) | {
        "crop": (*at, *part),
        "scale": max(1.0, scale**0.5),
        "width": None,
        "height": None,
        "pyramid": False,  # neither goes to a stream
    }
    if recipe.options["format"] in ZOOMS:
        options |= {"format": "png", "quality": None}
    member = planned.job.member
    passed, made = 0.0, 1
    for _ in range(2):
        source: Any = Path(planned.job.source) if member is None else member.open()
        begun = time.perf_counter()
        done = upscaler.upscale_file(source, io.BytesIO(), **options)
        passed, made = time.perf_counter() - begun, done.width * done.height
    return passed / made


def _rest(facts: dict[str, Any]) -> str:
    parts = [
        f"{facts[key]:,} {words}"
        for key, words in (("done_already", "done already"), ("unreadable", "cannot be read"))
        if facts[key]
    ]
    return "".join(f", {part}" for part in parts)


def _in_words(seconds: float) -> str:
    if seconds < 1.5:
        return "a second"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
