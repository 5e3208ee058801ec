"""`--dry-run`: how many pictures and megapixels, how long it will take, and how much disk."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from enlarge.batch.jobs import PictureJob, open_source
from enlarge.batch.plan import BatchPlan
from enlarge.cli.console import FAILED, SOME_FAILED, one_line, say
from enlarge.cli.invocation import Invocation
from enlarge.cli.summary import document_before, print_before, print_json
from enlarge.errors import InputError
from enlarge.media.formats import WRITERS
from enlarge.memory import format_size
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import Outlook
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import enlarge_file

_SAMPLE = 512
"""The side of the part of a picture that is enlarged to measure the speed, in input pixels."""


def dry_run(batch: BatchPlan, model: OpenModel, options: Invocation) -> int:
    """Print what the command would do; nothing is written. Returns the exit status."""
    facts = _facts(batch, model)
    status = 0 if not batch.failed else SOME_FAILED if batch.todo or batch.kept else FAILED
    if options.json:
        failed = [{"input": entry.source, "error": entry.message} for entry in batch.failed]
        print_json(facts | {"failed": failed} | document_before(batch))
        return status
    for entry in batch.failed:
        say(f"enlarge: {one_line(entry.message)}", sys.stderr)
    if options.quiet:
        return status
    print_before(batch, verbose=options.verbose)
    if options.verbose:
        for item in batch.todo:
            say(one_line(f"{item.job.source} → {item.job.target}"))
    plural = "s" * (facts["pictures"] != 1)
    say(f"{facts['pictures']:,} picture{plural} to enlarge{_rest(facts)}")
    if facts["pictures"]:
        say(
            f"{facts['megapixels_in']:,.1f} megapixels become {facts['megapixels_out']:,.1f}; "
            f"up to about {format_size(facts['disk_bytes'])} of disk space"
        )
    if facts["strength"] is not None:
        say(f"strength {facts['strength']:g}, between photo (0) and photo-sharp (1)")
    if facts["seconds"] is not None:
        sample = one_line(facts["sample"])
        say(f"about {_in_words(facts['seconds'])}, estimated from a part of {sample}")
    return status


def _facts(batch: BatchPlan, model: OpenModel) -> dict[str, Any]:
    known = [(item.job, item.outlook) for item in batch.todo if item.outlook is not None]
    pixels_made = sum(outlook.pixels_made for _, outlook in known)
    needs = [*batch.file_needs(), *batch.band_needs()]
    pace, sample = _measured_pace(known)
    return {
        "model": model.card.name,
        "strength": batch.request.settings.strength,
        "pictures": len(batch.todo),
        "done_already": len(batch.kept),
        "unreadable": len(batch.failed),
        "megapixels_in": sum(outlook.pixels_read for _, outlook in known) / 1e6,
        "megapixels_out": pixels_made / 1e6,
        "disk_bytes": sum(size for _, size in needs),
        "seconds": pace * pixels_made if sample else None,
        "sample": sample,
    }


def _measured_pace(known: Sequence[tuple[PictureJob, Outlook]]) -> tuple[float, str | None]:
    """Seconds for each pixel of a result, and the picture they were measured on: the one of median
    size, or the next one that can be read.
    """
    ordered = sorted(known, key=lambda pair: pair[1].pixels_made)
    middle = len(ordered) // 2
    for job, outlook in ordered[middle:] + ordered[:middle]:
        with contextlib.suppress(InputError):
            return _pace(job, outlook), str(job.source)
    return 0.0, None


def _pace(job: PictureJob, outlook: Outlook) -> float:
    """Seconds of this machine for each pixel of a result, including reading and writing.

    A part of the picture, in the middle at the top, is enlarged twice: the first time compiles the
    network. A batch, which reads and writes while it computes, is somewhat faster.
    """
    settings, first = outlook.settings, outlook.passes[0]
    x, y = settings.crop[:2] if settings.crop else (0, 0)
    side = (min(_SAMPLE, first.width), min(_SAMPLE, first.height))
    settings = replace(
        settings,
        crop=(x + (first.width - side[0]) // 2, y, *side),  # rows above would have to be read first
        scale=max(1.0, (outlook.pixels_made / outlook.pixels_read) ** 0.5),
        width=None,
        height=None,
        pyramid=False,  # a stream takes neither this nor DeepZoom
    )
    if not WRITERS[settings.format or "png"].to_stream:
        settings = replace(settings, format="png", quality=None)
    seconds, pixels = 0.0, 1
    for _ in range(2):
        source = open_source(job.source)
        start = time.perf_counter()
        done = enlarge_file(Transfer(source, io.BytesIO()), settings, outlook.model)
        seconds, pixels = time.perf_counter() - start, done.width * done.height
    return seconds / pixels


def _rest(facts: dict[str, Any]) -> str:
    parts = [
        f"{facts[key]:,} {words}"
        for key, words in (("done_already", "already done"), ("unreadable", "unreadable"))
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
