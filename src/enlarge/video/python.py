"""The functions for Python: frames as arrays, and a file from a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Unpack

from numpy.typing import NDArray

from enlarge.keywords import FrameOptions, VideoOptions
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.model import OpenModel, engine_options
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import Done
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.video.ahead import read_ahead
from enlarge.video.enlarging import FrameEnlarger, cropped
from enlarge.video.outlook import forecast_video
from enlarge.video.reading import FrameReader
from enlarge.video.run import enlarge_video
from enlarge.weights.catalog import DEFAULT
from enlarge.weights.starting import starting_weights


def frames(
    video: str | Path,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    **options: Unpack[FrameOptions],
) -> Iterator[NDArray[Any]]:
    """The frames of a video, enlarged, in the order in which they are shown.

    >>> for frame in enlarge.frames("tape.mp4", model="fast"):  # H×W×3 uint8 → 4H×4W×3 uint8
    ...     print(frame.shape)

    Each is an array (height, width, 3), RGB, uint8, or uint16 for videos of more than 8 bits; it is
    upright, deinterlaced, and not to be changed, since tiles that stay the same are copied from it.
    Frames are read ahead in a thread, and memory is bounded. The options: `model`, its name or
    file, and the others of `open_model`; `scale`, `width`, `height`, `crop`, `tile`, `memory`,
    `exact`, `ensemble`; `start`, `end` (seconds, or text such as "00:01:23.5") and `deinterlace`
    (auto, on, off). Raises `EnlargeError`s.
    """
    settings = Settings.from_keywords(options, FrameOptions.__optional_keys__, "frames")
    path, model, hooks = Path(video), _open(settings), Hooks(progress, cancel)
    outlook = forecast_video(path, settings, model)
    enlarger = FrameEnlarger(outlook.frame, timings=Timings())
    with (
        FrameReader(path, outlook.facts, outlook.part) as reader,
        closing(read_ahead(reader.frames())) as found,
    ):
        for frame in found:
            yield enlarger(cropped(frame.pixels, settings), hooks, outlook.frames)


def upscale_video(
    video: str | Path,
    output: str | Path,
    *,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    **options: Unpack[VideoOptions],
) -> Done:
    """Enlarge a video file into another one, whose suffix (.mp4, .mkv, .mov, .webm) names the
    container. Audio, subtitles and all other streams are copied.

    >>> enlarge.upscale_video("tape.mp4", "large.mp4", model="photo", crf=16)

    The options are those of `frames`, and `codec` (h264, hevc, av1, ffv1, prores), `crf`,
    `provenance`, `resume`. What is finished is kept in `OUTPUT.parts/` until the file is complete;
    after an interruption, the same call goes on there. `Done.notes` names what could not be kept,
    and `Done.broken` what was damaged. Raises `EnlargeError`s.
    """
    settings = Settings.from_keywords(options, VideoOptions.__optional_keys__, "upscale_video")
    transfer = Transfer(Path(video), Path(output), overwrite=overwrite)
    return enlarge_video(transfer, settings, _open(settings), hooks=Hooks(progress, cancel))


def _open(settings: Settings) -> OpenModel:
    weights = starting_weights(
        settings.model or DEFAULT,
        settings.scale,
        strength=settings.strength,
        engine=settings.engine,
        device=settings.device,
    )
    return OpenModel(weights, engine_options(settings))
