"""From the visitor's settings to an enlarged video: the same calls as the command line's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from enlarge.app.options import Options
from enlarge.app.work import (
    Sentence,
    check_result_size,
    format_file_size,
    reason_of,
    weights_of,
)
from enlarge.errors import EnlargeError
from enlarge.media.not_a_picture import HEAD, is_video
from enlarge.memory import parse_size
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import Done
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler
from enlarge.video.facts import VideoFacts
from enlarge.video.outlook import VideoOutlook, plan_video

MEDIA_TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
}
"""Of the containers, for browsers."""
SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".vob", ".wmv", ".asf", ".flv", ".3gp", ".3g2", ".ogv", ".dv", ".mxf", ".rm", ".m2v", ".y4m"),
)
"""How files are named that the browser offers as videos."""


def inspect_clip(path: Path, name: str) -> VideoFacts | Sentence:
    """A video's facts, or why this page does not accept it. `name`: the visitor's name for it."""
    from enlarge.video.probing import probe

    with path.open("rb") as file:
        head = file.read(HEAD)
    # Playlists are text, and could name other files of this machine: they are no videos here.
    if not is_video(head, Path(name).suffix):
        return Sentence("no_video", {"name": name})
    try:
        return probe(path)
    except EnlargeError as error:
        return Sentence("unreadable_video", {"name": name, "reason": reason_of(error, path, name)})


def clip_outlook(
    settings: Settings, facts: VideoFacts, options: Options
) -> VideoOutlook | Sentence:
    """The forecast of a video's enlargement, or why this page does not make it."""
    target = Path(f"result.{settings.format}")
    try:
        outlook = plan_video(
            facts, settings, Upscaler(weights_of(settings)), source="", target=target
        )
    except EnlargeError as error:
        return Sentence("impossible", {"reason": str(error)})
    if outlook.frames > options.max_frames:
        values = {"frames": f"{outlook.frames:,}", "limit": f"{options.max_frames:,}"}
        return Sentence("too_many_frames", values)
    return check_result_size(outlook.width, outlook.height, options) or outlook


def clip_result_name(settings: Settings, name: str, outlook: VideoOutlook) -> str:
    """The file name of the result of a video called `name`: as on the command line."""
    mark = f"{outlook.width}x{outlook.height}"
    if settings.width is None:
        scale = weights_of(settings).card.scale if settings.scale is None else settings.scale
        mark = f"x{scale:.15g}"
    return f"{Path(name).stem}_{mark}.{outlook.format}"


def frame_settings(settings: Settings) -> Settings:
    """Those of one frame as a picture: a PNG, otherwise the same."""
    return replace(settings, format="png", start=None, end=None, codec=None, crf=None)


def frame_name(name: str, at: Fraction) -> str:
    """What a frame of the video `name` is called: its result is called as --at calls it."""
    return f"{Path(name).stem}_at{float(at):.15g}.png"


def frame_picture(path: Path, at: Fraction) -> bytes:
    """The frame that is shown at a time, in seconds, as a PNG. Raises `InputError`."""
    from enlarge.video.still import still_picture

    return still_picture(path, Settings(at=at))


@dataclass(frozen=True)
class ClipWork:
    """The work of a `QueuedJob`: enlarge a video file by a model with the visitor's settings."""

    settings: Settings
    model: Upscaler
    source: Path
    target: Path
    memory: str | None = None

    def __call__(self, progress: ProgressCallback, cancel: threading.Event) -> Done:
        """Enlarge the video, calling `progress` for each tile until `cancel` is set. What is
        finished then stays for the next time.
        """
        from enlarge.video.run import enlarge_video

        memory = None if self.memory is None else parse_size(self.memory, "--memory")
        settings = replace(self.settings, memory=memory)
        transfer = Transfer(self.source, self.target, overwrite=True)
        return enlarge_video(transfer, settings, self.model, hooks=Hooks(progress, cancel))


def too_large(name: str, options: Options) -> Sentence:
    """What is said of a video that has too many bytes."""
    return Sentence("too_large_video", {"name": name, "limit": format_file_size(options.max_video)})
