"""The frames of a video in the order in which they are shown, as arrays with exact times."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from enlarge.video.colour import frame_array, to_working
from enlarge.video.ending import is_cut_off
from enlarge.video.facts import VideoFacts
from enlarge.video.graphs import Chain
from enlarge.video.missing import check_av
from enlarge.video.probing import opened

if TYPE_CHECKING:
    from av import VideoFrame

JUMP = 1
"""Seconds that a time lies before the last one where another recording begins in the same file."""
_JUMP_IN_FRAMES = 2
"""Frames that the time of a key frame does; recordings begin with one."""
_PROGRESSIVE = frozenset({"vp8", "vp9", "av1", "h263", "gif", "apng", "png", "webp"})
"""Codecs without fields."""


@dataclass(frozen=True)
class TimedFrame:
    """A frame: its number from 0 on, when it is shown and for how long in ticks of
    `VideoFacts.time_base`, and its pixels (height, width, 3), RGB, uint8 or uint16.
    """

    number: int
    time: int
    duration: int
    pixels: NDArray[Any] = field(repr=False)


@dataclass
class Damage:
    """What was found broken while frames were read. `concealed`: the times in seconds of frames
    that the decoder had to guess in parts. `missing`: frames that could not be decoded.
    `ends_early`: the seconds that are there, where the header promises more, or the file was cut
    off. `promised`: the seconds that the header promises. `short`: about as many frames lie between
    them, where `missing` does not count them.
    """

    concealed: list[float] = field(default_factory=list)
    missing: int = 0
    ends_early: float | None = None
    promised: float | None = None
    short: int = 0


@dataclass(frozen=True)
class Excerpt:
    """Which frames are read: from `start` up to `end`, in seconds from the first frame; None: from
    the beginning, or up to the end. `deinterlace`: auto, on or off.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    deinterlace: str = "auto"

    @property
    def is_whole(self) -> bool:
        """Whether all frames are read."""
        return self.start is None and self.end is None


class FrameReader:
    """Reads a file's frames. `damage` is complete when all were read, and so is `jumps`: at each
    place where the times begin again, as in recordings that were joined byte by byte, the seconds
    by which all times from there on are later than the file says. Use it in `with`.
    """

    def __init__(self, path: Path, facts: VideoFacts, part: Excerpt) -> None:
        self.damage = Damage()
        self.jumps: list[Fraction] = []
        self._moved = 0
        self._path, self._facts, self._part = path, facts, part
        self._opened = opened(path)
        self._container, self._stream = self._opened.__enter__()
        self._chain: Chain | None = None
        self._kind: tuple[Any, ...] = ()
        self._is_fields = part.deinterlace == "on"
        self._nominal = max(1, round(1 / facts.rate / facts.time_base))
        self._last: int | None = None
        self._packets = 0

    @property
    def origin(self) -> int:
        """The time of the first frame, in ticks."""
        return self._stream.start_time or 0

    def close(self) -> None:
        """Close the file."""
        self._opened.__exit__(None, None, None)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def frames(self) -> Generator[TimedFrame, None, None]:
        """The frames of the part, numbered from 0 on. Raises `InputError`."""
        base = self._facts.time_base
        begin, end = self._bounds()
        held: tuple[int, NDArray[Any], int] | None = None
        number, time = 0, begin or 0
        for picture in self._filtered(self._decoded()):
            time = round((picture.pts or 0) * (picture.time_base or base) / base)
            if end is not None and time >= end:
                break
            if begin is not None and time < begin:
                continue
            if held is not None:
                yield TimedFrame(number, held[0], time - held[0], held[1])
                number += 1
            span = round((picture.duration or 0) * (picture.time_base or base) / base)
            held = time, self._pixels(picture), span or self._nominal
        if held is not None:
            left = held[2] if end is None else min(held[2], max(1, end - held[0]))
            yield TimedFrame(number, held[0], left, held[1])
            if self._part.is_whole:
                self._note_end((held[0] + held[2]) * base)

    def _bounds(self) -> tuple[int | None, int | None]:
        """The part in ticks. Seeks to its beginning."""
        base, part = self._facts.time_base, self._part
        origin = self.origin
        begin, end = (
            None if at is None else origin - (-at // base) for at in (part.start, part.end)
        )
        if part.start is not None and begin is not None and part.start > 0:
            before = max(origin, begin - round(2 / base))  # the deinterlacer looks back
            try:
                self._container.seek(int(before), stream=self._stream)
            except check_av().error.FFmpegError:
                pass  # read from the beginning
        return begin, end

    def _decoded(self) -> Iterator[VideoFrame]:
        """Every frame that can be decoded, upright or not, as FFmpeg has it."""
        av = check_av()
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # cut off
                self.damage.missing += max(self._stream.frames - self._packets, 1)
                with suppress(av.error.FFmpegError):
                    yield from self._timed(self._stream.decode(None))
                return
            if packet is None:
                return
            self._packets += packet.size > 0
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                self.damage.missing += 1
                continue
            yield from self._timed(pictures)

    def _timed(self, pictures: Sequence[VideoFrame]) -> Iterator[VideoFrame]:
        """Decoded frames, with their times."""
        base = self._facts.time_base
        for picture in pictures:
            time = self._time_of(picture)
            if picture.is_corrupt:
                self.damage.concealed.append(float((time - self.origin) * base))
            picture.pts, picture.time_base = time, base
            yield picture

    def _filtered(self, pictures: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
        """Frames in the working format, without fields."""
        for picture in pictures:
            if picture.interlaced_frame and self._part.deinterlace == "auto":
                self._is_fields = self._facts.codec not in _PROGRESSIVE
            kind = (
                *(picture.width, picture.height, picture.format.name, self._is_fields),
                *(int(picture.colorspace), int(picture.color_range), picture.time_base),
            )
            if kind != self._kind:
                yield from self._flushed()
                self._chain, self._kind = self._new_chain(picture), kind
            assert self._chain is not None
            yield from self._chain.push(picture)
        yield from self._flushed()

    def _flushed(self) -> Iterator[VideoFrame]:
        if self._chain is not None:
            yield from self._chain.push(None)

    def _new_chain(self, picture: VideoFrame) -> Chain:
        facts = self._facts
        filters: list[tuple[str, str]] = []
        if self._is_fields:
            which = "all" if self._part.deinterlace == "on" else "interlaced"
            filters.append(("bwdif", f"mode=send_frame:parity=auto:deint={which}"))
        scale, form = to_working(facts.colour, picture.format.name, facts.depth)
        width, height = facts.width, facts.height
        if facts.rotation % 180:
            width, height = height, width
        scale = scale[0], f"w={width}:h={height}:interl={0 if self._is_fields else -1}:{scale[1]}"
        return Chain(picture, [*filters, scale, form])

    def _time_of(self, picture: VideoFrame) -> int:
        """A decoded frame's time in ticks: later than the last one's, and after it if it has none.

        AVI has decoding times only, one for each frame; what is taken for others there is guessed,
        and wrong where B-frames are packed.
        """
        given, base = picture.pts, self._facts.time_base
        if "avi" in self._facts.container or given is None:
            given = picture.dts
        time = None
        if given is not None:
            time = round(given * (picture.time_base or base) / base) + self._moved
            if self._last is not None and self._begins_again(picture, self._last - time):
                self._moved += self._last + self._nominal - time
                self.jumps.append(self._moved * base)
                time = self._last + self._nominal
        if time is None:
            time = self.origin if self._last is None else self._last + self._nominal
        if self._last is not None and time <= self._last:
            time = self._last + 1
        self._last = time
        return time

    def _begins_again(self, picture: VideoFrame, back: int) -> bool:
        """Whether another recording begins with a frame that lies `back` ticks before the last."""
        is_short = picture.key_frame and back > _JUMP_IN_FRAMES * self._nominal
        return is_short or back * self._facts.time_base > JUMP

    def _pixels(self, picture: VideoFrame) -> NDArray[Any]:
        pixels = frame_array(picture, self._facts.colour)
        if self._facts.rotation:
            pixels = np.rot90(pixels, self._facts.rotation // 90)
        if self._facts.is_flipped:
            pixels = pixels[:, ::-1] if self._facts.rotation % 180 else pixels[::-1]
        return np.ascontiguousarray(pixels)

    def _note_end(self, end: Fraction) -> None:
        """Compare what was read with what the header promises."""
        facts, damage, counted = self._facts, self.damage, self._stream.frames
        there = float(end - self.origin * facts.time_base)
        promised = max(facts.seconds, float(counted / facts.rate))
        is_cut = is_cut_off(self._path, facts.container)
        # Sound may be longer than the pictures, and durations are rough.
        slack = 0.0 if is_cut else max(1.0, 0.02 * promised)
        if not is_cut and there >= promised - slack:
            return
        damage.ends_early = there
        if there < promised - slack:
            damage.promised = promised
            damage.short = 0 if counted else round((promised - there) * float(facts.rate))
