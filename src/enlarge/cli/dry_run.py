"""`--dry-run`: how many pictures and megapixels, how long it will take, and how much disk."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from enlarge.batch.jobs import PictureJob
from enlarge.batch.locations import File
from enlarge.batch.plan import BatchPlan, PlannedPicture
from enlarge.batch.worker import finding_of, wanted_picture
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
    say(f"{_counted(facts)} to enlarge{_rest(facts)}")
    if batch.todo:
        say(
            f"{facts['megapixels_in']:,.1f} megapixels become {facts['megapixels_out']:,.1f}; "
            f"up to about {format_size(facts['disk_bytes'])} of disk space"
        )
    _print_choices(facts.get("choices", {}), verbose=options.verbose)
    if facts["strength"] is not None:
        say(f"strength {facts['strength']:g}, between photo (0) and photo-sharp (1)")
    if facts["seconds"] is not None:
        sample = one_line(facts["sample"])
        say(f"about {_in_words(facts['seconds'])}, estimated from a part of {sample}")
    return status


def _counted(facts: dict[str, Any]) -> str:
    """How many pictures and videos there are, in words."""
    pictures, videos = facts["pictures"], facts.get("videos", 0)
    parts = []
    if pictures or not videos:
        parts.append(f"{pictures:,} picture{'s' * (pictures != 1)}")
    if videos:
        frames = facts["frames"]
        parts.append(f"{videos:,} video{'s' * (videos != 1)} of {frames:,} frames")
    return " and ".join(parts)


def _print_choices(choices: Mapping[str, Mapping[str, str]], *, verbose: bool) -> None:
    """Which models `auto` takes: for each picture, or of several their numbers."""
    if verbose or len(choices) == 1:
        for name, choice in choices.items():
            say(one_line(f"{name}: {choice['model']}: {choice['reason']}"))
    elif choices:
        counts = Counter(choice["model"] for choice in choices.values())
        listed = ", ".join(f"{model} for {count:,}" for model, count in counts.most_common())
        say(f"auto takes {listed}")


def _facts(batch: BatchPlan, model: OpenModel) -> dict[str, Any]:
    known = [item.outlook for item in batch.todo if item.outlook is not None]
    pictures = [
        (item.job, item.outlook) for item in batch.todo if isinstance(item.outlook, Outlook)
    ]
    videos = [item for item in batch.todo if item.job.video]
    pixels_made = sum(outlook.pixels_made for outlook in known)
    needs = [*batch.file_needs(), *batch.band_needs()]
    choices = {
        job.source_name: found for job, outlook in pictures if (found := _choice(job, outlook))
    }
    total, sample = _estimate(pictures, choices)
    seconds = total if sample else None
    if videos:
        frames, of_videos = _forecast_videos(videos)
        seconds = (seconds or 0.0) + of_videos
        sample = sample or str(videos[0].job.source)
    return {
        "model": model.card.name,
        **({"choices": choices} if choices else {}),
        "strength": batch.request.settings.strength,
        "pictures": len(batch.todo) - len(videos),
        **({"videos": len(videos), "frames": frames} if videos else {}),
        "done_already": len(batch.kept),
        "unreadable": len(batch.failed),
        "megapixels_in": sum(outlook.pixels_read for outlook in known) / 1e6,
        "megapixels_out": pixels_made / 1e6,
        "disk_bytes": sum(size for _, size in needs),
        "seconds": seconds,
        "sample": sample,
    }


def _forecast_videos(videos: Sequence[PlannedPicture]) -> tuple[int, float]:
    """The frames of all videos, and the seconds that they take; of each, one frame is measured."""
    from enlarge.video.outlook import VideoOutlook
    from enlarge.video.pace import seconds_of_frame

    frames, seconds = 0, 0.0
    for item in videos:
        assert isinstance(item.outlook, VideoOutlook)
        assert isinstance(item.job.source, File)
        frames += item.outlook.frames
        seconds += item.outlook.frames * seconds_of_frame(item.job.source.path, item.outlook)
    return frames, seconds


def _choice(job: PictureJob, outlook: Outlook) -> dict[str, str] | None:
    """The model that `auto` takes for a picture, and why; None for a model that was named, or a
    picture that cannot be read.
    """
    if not outlook.model.weights.choices:
        return None
    try:
        found = finding_of(job, outlook.settings)
    except InputError:
        return None
    return {"model": outlook.model.chosen(found.kind).card.name, "reason": found.reason}


def _estimate(
    known: Sequence[tuple[PictureJob, Outlook]], choices: Mapping[str, Mapping[str, str]]
) -> tuple[float, str | None]:
    """Seconds for all pictures, and the one that they were estimated from; of several models each
    is estimated from a picture of its own, and the largest share's is named.
    """
    groups: dict[str, list[tuple[PictureJob, Outlook]]] = {}
    for job, outlook in known:
        model = choices.get(job.source_name, {}).get("model", "")
        groups.setdefault(model, []).append((job, outlook))
    total, sample = 0.0, None
    for group in sorted(groups.values(), key=len):
        pace, found = _measured_pace(group)
        total += pace * sum(outlook.pixels_made for _, outlook in group)
        sample = found or sample
    return total, sample


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
        with wanted_picture(job, outlook.settings) as source:
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
