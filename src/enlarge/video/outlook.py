"""The forecast of a video's enlargement, made once from its facts and the settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.errors import OptionError
from enlarge.media.rows import ArrayRows
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import Outlook, check_disk, plan_array
from enlarge.settings import Settings
from enlarge.video.ahead import WAITING
from enlarge.video.containers import choose_coding, choose_container
from enlarge.video.encoding import VideoEncoding, plan_encoding
from enlarge.video.facts import VideoFacts
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt
from enlarge.video.segments import kept_bytes

_DECODER_FRAMES = 20
"""Frames that a decoder holds: references, and those that its threads work on."""
SEGMENT_FLOPS = 1.2e13
"""The work of a segment: some two minutes of two cores."""
SEGMENT_FRAMES = (24, 250)
"""The least and the most frames of a segment."""


@dataclass(frozen=True)
class VideoOutlook:
    """What is known of a video's enlargement before its frames are read; sizes in pixels and bytes.

    `frame`: the forecast of one frame, as for a picture. `encoding`: how the result is stored.
    `part`: which frames are read. `frames`: how many, as the header says or estimated.
    """

    settings: Settings
    model: OpenModel = field(repr=False, compare=False)
    facts: VideoFacts
    frame: Outlook
    encoding: VideoEncoding
    part: Excerpt
    frames: int

    @property
    def width(self) -> int:
        """Width of the result's pictures."""
        return self.frame.width

    @property
    def height(self) -> int:
        """Height of the result's pictures."""
        return self.frame.height

    @property
    def format(self) -> str:
        """The suffix of the result's file, without its dot."""
        return self.encoding.coding.container

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the frames as arrays."""
        return self.facts.dtype

    @property
    def pixels_read(self) -> int:
        """Pixels of all frames that are enlarged."""
        return self.frames * self.frame.pixels_read

    @property
    def pixels_made(self) -> int:
        """Pixels of all frames of the result."""
        return self.frames * self.frame.pixels_made

    @property
    def best_bytes(self) -> int:
        """Memory that the enlargement takes with the tiles that suit it best."""
        return self.frame.best_bytes

    @property
    def file_bytes(self) -> int:
        """About the most that the result's file takes, without what is copied."""
        return int(self.pixels_made * self.encoding.coding.encoder.bytes_per_pixel)

    @property
    def bands_bytes(self) -> int:
        """The finished segments that are kept while the result is made: as much as the file."""
        return self.file_bytes

    def missing_bands(self, target: Path) -> int:
        """The bytes of segments that will be kept, beside those that are there."""
        return max(self.bands_bytes - kept_bytes(target), 0)

    def check_disk(self, target: Path) -> None:
        """Raise `OutputError` where the disk has less free than the work will take."""
        folder = target.absolute().parent
        check_disk([(folder, self.file_bytes)], [(folder, self.missing_bands(target))])

    @property
    def segment_frames(self) -> int:
        """The frames of a segment: the most that a kill costs, and the distance of key frames."""
        least, most = SEGMENT_FRAMES
        work = max(self.model.card.flops * self.frame.pixels_made, 1)
        return max(least, min(most, int(SEGMENT_FLOPS / work)))


def forecast_video(
    path: Path, settings: Settings, model: OpenModel, *, target: Path | None = None
) -> VideoOutlook:
    """The forecast for a video file. `target`: the result, where its name is given.

    Raises `InputError` for a file that is no video, and what `plan_video` raises.
    """
    return plan_video(probe(path), settings, model, source=path.suffix, target=target)


def plan_video(
    facts: VideoFacts, settings: Settings, model: OpenModel, *, source: str, target: Path | None
) -> VideoOutlook:
    """The forecast for a video with these facts.

    `source`: the input's suffix, whose container is kept if possible; `target`: the file, where its
    name is given. Raises `OptionError` for options that contradict each other or the video.
    """
    if model.weights.choices:  # frames are not looked at: they were all compressed
        model = model.chosen("degraded")
    model = model.current()
    coding = choose_coding(settings, facts, choose_container(settings, source, target))
    part = Excerpt(settings.start, settings.end, settings.deinterlace)
    blank = np.broadcast_to(np.zeros(1, facts.dtype), (facts.height, facts.width, 3))
    if settings.crop is not None:
        x, y, width, height = settings.crop
        if x + width > facts.width or y + height > facts.height:
            raise OptionError(
                f"--crop {x},{y},{width},{height} is not inside {facts.width}×{facts.height}"
            )
        blank = blank[y : y + height, x : x + width]
    alone = plan_array(ArrayRows(blank), replace(settings, crop=None), model)
    given = blank.shape[1], blank.shape[0]
    encoding = plan_encoding(facts, coding, (alone.width, alone.height), given)
    input_bytes = facts.width * facts.height * 3 * facts.dtype.itemsize
    result_bytes = alone.pixels_made * 3 * facts.dtype.itemsize
    # Of each, `plan_array` counts one; the last result stays for tiles that do not change.
    buffers = alone.buffers + (WAITING + 2) * (input_bytes + result_bytes)
    buffers += _DECODER_FRAMES * input_bytes // 2 + encoding.memory
    frames = facts.frames
    if not part.is_whole:
        begin = part.start or Fraction(0)
        end = Fraction(facts.seconds) if part.end is None else part.end
        seconds = min(float(end), facts.seconds) - float(begin)
        frames = max(1, min(frames, round(seconds * float(facts.rate))))
    return VideoOutlook(
        settings=settings,
        model=model,
        facts=facts,
        frame=replace(alone, buffers=buffers),
        encoding=encoding,
        part=part,
        frames=frames,
    )
