"""Enlarged frames to packets: one encoder for each segment, a closed group of pictures.

An encoder sees frames number 0, 1, 2, … at an even rate; their true times are put back when the
segments are joined. So every segment of a video has the same parameter sets, whatever its times.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import OutputError
from enlarge.video.colour import array_frame, to_stored
from enlarge.video.containers import Coding
from enlarge.video.facts import RGB, ColourCode, LightLevels, VideoFacts, complete_colour
from enlarge.video.graphs import Chain
from enlarge.video.missing import check_av

if TYPE_CHECKING:
    from av import VideoCodecContext, VideoFrame
    from av.packet import Packet

LOOK_AHEAD_BYTES = 250_000_000
"""About the memory for the frames that an encoder looks ahead at."""
_FRAME_COST = 3.0
"""What x264 and x265 keep of a frame (padding, smaller copies, half-pixel planes), by its size."""
_LOOK_AHEAD, _LEAST_LOOK_AHEAD = 40, 8
_THREADS = 4
_TASKS = Path("/proc/self/task")
_LEAST_RATE, _MAX_RATE = Fraction(1, 1000), Fraction(1000)
_NARROW = 384
"""Below this width, x264's macroblock tree is off: with AVX-512 it reads beyond narrow frames, and
the same frames give different packets."""


@dataclass(frozen=True)
class VideoEncoding:
    """How the frames of one video are encoded. `width`, `height`: of the enlarged frames. `rate`:
    frames per second. `aspect`: of a pixel.
    """

    coding: Coding
    width: int
    height: int
    rate: Fraction
    aspect: Fraction
    colour: ColourCode
    light: LightLevels

    @property
    def size(self) -> tuple[int, int]:
        """The size as stored: chroma may need even numbers."""
        return self.coding.even(self.width, self.height)

    @property
    def frame_bytes(self) -> int:
        """Memory of a stored frame."""
        width, height = self.size
        across, down = self.coding.steps
        samples = width * height * (1 + 2 / (across * down))
        return int(samples * (1 if self.coding.depth == 8 else 2))

    @property
    def look_ahead(self) -> int:
        """The frames that the encoder looks ahead at: fewer of larger ones."""
        fitting = int(LOOK_AHEAD_BYTES / (_FRAME_COST * self.frame_bytes))
        return max(_LEAST_LOOK_AHEAD, min(_LOOK_AHEAD, fitting))

    @property
    def memory(self) -> int:
        """Bytes that the encoder holds of frames."""
        if self.coding.codec in ("ffv1", "prores"):
            return 4 * self.frame_bytes
        references = 8 + _THREADS
        return int((self.look_ahead + references) * _FRAME_COST * self.frame_bytes)


def plan_encoding(
    facts: VideoFacts, coding: Coding, size: tuple[int, int], given: tuple[int, int]
) -> VideoEncoding:
    """How frames of `given` size, enlarged to `size`, are encoded: with the colours of the stream,
    and pixels that keep the shape of the picture.
    """
    stretch = Fraction(given[0] * size[1], size[0] * given[1])
    colour = facts.colour
    if coding.codec == "ffv1":
        colour = replace(colour, matrix=RGB, full_range=True)
    elif colour.matrix == RGB:
        plain = replace(colour, matrix=2, full_range=False)
        colour = complete_colour(plain, facts.height, is_rgb=False)
    rate = min(Fraction(facts.rate).limit_denominator(1001 * 1000), _MAX_RATE)
    rate = max(rate, _LEAST_RATE)
    aspect = (facts.aspect * stretch).limit_denominator(255)
    if abs(aspect - 1) < Fraction(1, 200):  # sizes are whole numbers
        aspect = Fraction(1) if facts.aspect == 1 else facts.aspect
    return VideoEncoding(coding, *size, rate, aspect, colour, facts.light)


def configure(context: VideoCodecContext, encoding: VideoEncoding) -> None:
    """Set up an encoder, not yet open, the same way every time."""
    context.width, context.height = encoding.size
    context.pix_fmt = encoding.coding.pixels
    context.time_base = 1 / encoding.rate
    context.framerate = encoding.rate
    context.sample_aspect_ratio = encoding.aspect
    colour = encoding.colour
    context.colorspace, context.color_primaries = colour.matrix, colour.primaries
    context.color_trc = colour.transfer
    context.color_range = 2 if colour.full_range else 1
    context.thread_count = _THREADS
    context.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER: parameter sets once, in the header
    context.options = _options(encoding)


def _options(encoding: VideoEncoding) -> dict[str, str]:
    coding, ahead = encoding.coding, encoding.look_ahead
    match coding.codec:
        case "h264":
            own = {"crf": str(coding.crf), "preset": "medium", "rc-lookahead": str(ahead)}
            more = ["sync-lookahead=0", "open-gop=0", *_h264_light(encoding.light)]
            if encoding.width < _NARROW:
                more.append("no-mbtree=1")
            own["x264-params"] = ":".join(more)
            return own
        case "hevc":
            more = [
                *("log-level=none", "open-gop=0", f"rc-lookahead={ahead}", "repeat-headers=0"),
                *("pools=none", "frame-threads=1"),
                *_hevc_light(encoding.light),
            ]
            return {"crf": str(coding.crf), "preset": "medium", "x265-params": ":".join(more)}
        case "av1":
            more = [f"lp={_THREADS}", f"lookahead={min(ahead, 32)}", *_av1_light(encoding.light)]
            return {"crf": str(coding.crf), "preset": "8", "svtav1-params": ":".join(more)}
        case "ffv1":
            return {"level": "3", "g": "1", "slicecrc": "1", "slices": "4"}
        case _:
            return {"profile": "4" if "444" in coding.pixels else "3", "vendor": "apl0"}


def _mastering(light: LightLevels) -> str | None:
    if light.mastering is None:
        return None
    gx, gy, bx, by, rx, ry, wx, wy, most, least = light.mastering
    return f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})"


def _h264_light(light: LightLevels) -> Iterator[str]:
    if (text := _mastering(light)) is not None:
        yield f"mastering-display={text}"
    if light.content is not None:
        yield f"cll={light.content[0]},{light.content[1]}"


def _hevc_light(light: LightLevels) -> Iterator[str]:
    if (text := _mastering(light)) is not None:
        yield f"master-display={text}"
    if light.content is not None:
        yield f"max-cll={light.content[0]},{light.content[1]}"


def _av1_light(light: LightLevels) -> Iterator[str]:
    if light.mastering is not None:
        values = [number / 50000 for number in light.mastering[:8]]
        gx, gy, bx, by, rx, ry, wx, wy = (f"{value:.5f}" for value in values)
        most, least = (number / 10000 for number in light.mastering[8:])
        place = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})"
        yield f"mastering-display={place}L({most:.4f},{least:.4f})"
    if light.content is not None:
        yield f"content-light={light.content[0]},{light.content[1]}"


@contextmanager
def scheduling_kept() -> Iterator[None]:
    """Keep this thread's scheduling policy, and give it to the threads that are started meanwhile.

    Run as root, SVT-AV1 gives the thread that opens it, and its own, the highest real-time
    priority. Whatever they start inherits it, and the machine hardly responds.
    """
    if sys.platform != "linux":
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    before = set(_TASKS.iterdir())
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)
        for thread in set(_TASKS.iterdir()) - before:
            with suppress(OSError):  # it has ended
                os.sched_setscheduler(int(thread.name), policy, priority)


class SegmentEncoder:
    """Encodes the frames of one segment."""

    def __init__(self, encoding: VideoEncoding) -> None:
        av = check_av()
        os.environ.setdefault("SVT_LOG", "1")  # it prints to standard error: errors only
        self._encoding = encoding
        self._context = av.CodecContext.create(encoding.coding.encoder.library, "w")
        configure(self._context, encoding)
        self._count = 0
        self._chain: Chain | None = None
        try:
            with scheduling_kept():
                self._context.open()
        except av.error.FFmpegError as error:
            raise OutputError(_refusal(encoding, error)) from error

    def add(self, image: NDArray[Any]) -> list[Packet[Any]]:
        """Encode the next frame (height, width, 3). Returns the packets that are ready, whose times
        are the numbers of their frames.
        """
        frame = self._stored(image)
        frame.pts = self._count
        frame.time_base = self._context.time_base
        self._count += 1
        return self._context.encode(frame)

    def finish(self) -> list[Packet[Any]]:
        """The packets that are left."""
        return self._context.encode(None)

    def _stored(self, image: NDArray[Any]) -> VideoFrame:
        """A frame as it is stored: padded to an even size by repeating its edge."""
        encoding = self._encoding
        width, height = encoding.size
        if image.shape[:2] != (height, width):
            more = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
            image = np.pad(image, more, mode="edge")
        pixels = encoding.coding.pixels
        frame = array_frame(image, pixels, encoding.colour)
        filters = to_stored(encoding.colour, pixels, frame.format.name)
        if not filters:
            return frame
        frame.pts, frame.time_base = self._count, self._context.time_base
        if self._chain is None:
            self._chain = Chain(frame, filters)
        (stored,) = self._chain.push(frame)
        return stored


def _refusal(encoding: VideoEncoding, error: Exception) -> str:
    width, height = encoding.size
    return (
        f"{encoding.coding.codec} cannot encode {width}×{height} frames here ({error}); choose "
        "another --codec, or a smaller result"
    )
