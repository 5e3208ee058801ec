"""Enlarging a video file into another one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from enlarge.errors import Cancelled, InputError
from enlarge.media.temporary import TemporaryFile
from enlarge.memory import peak, trim_memory
from enlarge.picture.hooks import Hooks, Seal
from enlarge.picture.model import OpenModel
from enlarge.picture.resuming import SourceStamp, Transfer
from enlarge.picture.run import NO_HOOKS, Done, check_target
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.version import __version__
from enlarge.video.ahead import WriteBehind, read_ahead
from enlarge.video.encoding import SegmentEncoder, VideoEncoding
from enlarge.video.enlarging import FrameEnlarger, cropped, tile_sizes
from enlarge.video.facts import MARK
from enlarge.video.missing import check_av
from enlarge.video.muxing import Join, Span, join_file
from enlarge.video.outlook import VideoOutlook, forecast_video
from enlarge.video.reading import Damage, FrameReader, TimedFrame
from enlarge.video.segments import (
    KEY,
    Segment,
    SegmentStore,
    SegmentWriter,
)

_NAMED = 3
"""Concealed frames whose times are named; of more, the number is."""


@dataclass(frozen=True)
class Made:
    """The segments of a video, the tiles of a pass, how many were computed and copied, what was
    broken, and the `jumps` of its reader.
    """

    segments: list[Segment]
    tile: tuple[int, int]
    tiles: int
    reused: int
    damage: Damage
    jumps: tuple[Fraction, ...]
    notes: tuple[str, ...]


def enlarge_video(
    transfer: Transfer, settings: Settings, model: OpenModel, *, hooks: Hooks = NO_HOOKS
) -> Done:
    """Enlarge a video file into a file. Its pictures go through the model, all other streams are
    copied. Raises `EnlargeError`s.

    Finished segments are kept in `TARGET.parts/` until the file is complete; an interrupted run
    leaves them, and the next one goes on there.
    """
    begun = time.perf_counter()
    source, target = transfer.source, transfer.path
    if not isinstance(source, Path) or target is None:
        raise InputError("a video is read from a file and written to a file; save it first")
    check_target(transfer)
    outlook = forecast_video(source, settings, model, target=target)
    outlook.check_disk(target)
    timings = Timings()
    about = _about(outlook, transfer)
    stamp = SourceStamp(source)
    with SegmentStore(target, about, keep=settings.resume) as store:
        made = _make_segments(source, outlook, store, hooks, timings)
        stamp.check()
        with timings.measured("encode"):
            lost = _write(target, outlook, made, transfer, store.sealing(hooks.seal))
        store.remove()
    engine = outlook.model.engine(outlook.dtype)
    return Done(
        output=str(target),
        width=outlook.width,
        height=outlook.height,
        model=outlook.model.card.name,
        engine=engine.name,
        precision=engine.precision,
        tile=made.tile,
        tiles=made.tiles,
        seconds=time.perf_counter() - begun,
        stages=dict(timings),
        peak_memory=peak(),
        notes=tuple(_notes(outlook, made, lost)),
        device=engine.device,
        frames=sum(len(segment.times) for segment in made.segments),
        broken=_broken(made.damage),
    )


def _about(outlook: VideoOutlook, transfer: Transfer) -> dict[str, Any]:
    """What determines the segments of a result, beside the tiles."""
    settings, model, encoding = outlook.settings, outlook.model, outlook.encoding
    engine = model.engine(outlook.dtype)
    coding = encoding.coding
    return {
        "version": __version__,
        "model": model.digest_for(outlook.dtype),
        "engine": f"{engine.name} {engine.device} {engine.precision}",
        "result": f"{outlook.width}x{outlook.height} {coding.codec} {coding.crf} {coding.pixels}",
        "crop": settings.crop,
        "tile": settings.tile_text,
        "exact": settings.exact,
        "ensemble": settings.ensemble,
        "part": [None if at is None else str(at) for at in (settings.start, settings.end)],
        "deinterlace": settings.deinterlace,
        "segment": outlook.segment_frames,
        "look_ahead": encoding.look_ahead,
        "av": check_av().__version__,  # with another FFmpeg, parameter sets may differ
        "input": transfer.source_digest(),
    }


def _make_segments(
    source: Path, outlook: VideoOutlook, store: SegmentStore, hooks: Hooks, timings: Timings
) -> Made:
    """Enlarge and encode all frames that no finished segment holds."""
    enlarger = FrameEnlarger(outlook.frame, timings=timings, earlier=store.tiles())
    store.begin(tile_sizes(enlarger.plans))
    segments = store.stored()
    notes = list(store.notes)
    done = sum(len(segment.times) for segment in segments)
    if done:
        notes.append(f"{done:,} frames were finished by an earlier run")
    enlarger.skip(done)
    sink = _Sink(outlook, store, segments, timings)
    with (
        FrameReader(source, outlook.facts, outlook.part) as reader,
        closing(sink),
        WriteBehind() as writing,
        closing(read_ahead(reader.frames())) as frames,
    ):
        for frame in _timed(frames, timings):
            if hooks.cancel is not None and hooks.cancel.is_set():
                raise Cancelled("cancelled")
            if frame.number < done:
                continue
            image = cropped(frame.pixels, outlook.settings)
            times = frame.time, frame.duration
            writing.add(partial(sink.add, *times, enlarger(image, hooks, outlook.frames)))
        writing.finish()
        sink.finish()
    if not segments:
        raise InputError(f"{source}: there are no frames in the part that was asked for")
    plan = enlarger.plans[-1]
    tile = plan.tile_width, plan.tile_height
    tiles, reused, jumps = enlarger.tiles, enlarger.reused, tuple(reader.jumps)
    return Made(segments, tile, tiles, reused, reader.damage, jumps, tuple(notes))


def _timed(frames: Iterator[TimedFrame], timings: Timings) -> Iterator[TimedFrame]:
    """The same frames; waiting for them is measured."""
    while True:
        with timings.measured("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


class _Sink:
    """Encodes frames into segments, each of which appears when it is complete."""

    def __init__(
        self,
        outlook: VideoOutlook,
        store: SegmentStore,
        segments: list[Segment],
        timings: Timings,
    ) -> None:
        self._encoding: VideoEncoding = outlook.encoding
        self._frames = outlook.segment_frames
        self._store, self._segments, self._timings = store, segments, timings
        self._encoder: SegmentEncoder | None = None
        self._writer: SegmentWriter | None = None
        self._times: list[int] = []
        self._durations: list[int] = []
        self._delay = self._packets = 0

    def add(self, time: int, duration: int, large: NDArray[Any]) -> None:
        """Encode an enlarged frame (height, width, 3); its time and duration are in ticks."""
        with self._timings.measured("encode"):
            if self._encoder is None:
                self._encoder = SegmentEncoder(self._encoding)
                self._writer = SegmentWriter(self._store.path(len(self._segments)))
            self._times.append(time)
            self._durations.append(duration)
            self._keep(self._encoder.add(large))
            if len(self._times) == self._frames:
                self._complete()

    def _keep(self, packets: Sequence[Any]) -> None:
        assert self._writer is not None
        for packet in packets:
            self._delay = max(self._delay, self._packets - packet.pts)
            self._packets += 1
            self._writer.add(packet.pts, KEY if packet.is_keyframe else 0, bytes(packet))

    def _complete(self) -> None:
        assert self._encoder is not None
        assert self._writer is not None
        self._keep(self._encoder.finish())
        facts = {"delay": self._delay}
        self._segments.append(self._writer.finish(self._times, self._durations, facts))
        self._encoder = self._writer = None
        trim_memory()
        self._times, self._durations = [], []
        self._delay = self._packets = 0

    def finish(self) -> None:
        """Complete the last segment."""
        with self._timings.measured("encode"):
            if self._encoder is not None:
                self._complete()

    def close(self) -> None:
        """Remove a segment that is not complete."""
        if self._writer is not None:
            self._writer.abort()


def _write(
    target: Path,
    outlook: VideoOutlook,
    made: Made,
    transfer: Transfer,
    seal: Seal,
) -> list[str]:
    """Join the segments, and give the file its name. Returns what was lost."""
    assert isinstance(transfer.source, Path)
    span = None
    part, facts, segments = outlook.part, outlook.facts, made.segments
    if not part.is_whole:
        first = segments[0].times[0] * facts.time_base
        last = segments[-1].times[-1] + segments[-1].durations[-1]
        span = Span(first, None if part.end is None else last * facts.time_base)
    join = Join(
        transfer.source, facts, outlook.encoding, segments, span, _mark(outlook), made.jumps
    )
    temporary = TemporaryFile(target)
    try:
        lost = join_file(temporary.path, join, target)
        temporary.finish(seal, overwrite=transfer.overwrite)
    finally:
        temporary.abort()
    return lost


def _mark(outlook: VideoOutlook) -> str | None:
    """What the file says of how it was made; None if it is to say nothing."""
    settings, model = outlook.settings, outlook.model
    if not settings.provenance:
        return None
    engine = model.engine(outlook.dtype)
    size = f"{outlook.width}x{outlook.height}"
    return f"{MARK} {__version__}, {model.card.name}, {size}, {engine.name} {engine.precision}"


def _notes(outlook: VideoOutlook, made: Made, lost: Sequence[str]) -> Iterator[str]:
    """What there is to know about a result."""
    facts, encoding = outlook.facts, outlook.encoding
    yield from made.notes
    if made.jumps:
        count = len(made.jumps)
        times = f"{count} times" if count > 1 else "once"
        yield f"its times begin again {times}; the recordings in it follow each other"
    if facts.colour.assumed:
        yield f"its colours are not tagged; assumed, and tagged: {', '.join(facts.colour.assumed)}"
    if encoding.size != (encoding.width, encoding.height):
        width, height = encoding.size
        codec = encoding.coding.codec
        yield f"stored as {width}×{height}: {codec} takes even sizes, so the edge is repeated"
    yield from facts.lost
    yield from lost
    if made.reused:
        share = made.reused / made.tiles
        yield f"{share:.0%} of the tiles did not change from frame to frame and were not computed"


def _broken(damage: Damage) -> str | None:
    """What was broken, in words; None if nothing was."""
    parts = []
    if damage.concealed:
        named = ", ".join(f"{at:.2f}" for at in damage.concealed[:_NAMED])
        more = ", …" if len(damage.concealed) > _NAMED else ""
        count = len(damage.concealed)
        parts.append(f"{count:,} damaged frame{'s' * (count != 1)} (at {named}{more} s)")
    if damage.missing:
        parts.append(f"{damage.missing:,} frame{'s' * (damage.missing != 1)} missing")
    if damage.ends_early is not None:
        parts.append(_ending(damage.ends_early, damage))
    return "; ".join(parts) or None


def _ending(end: float, damage: Damage) -> str:
    """Where a video ends too early, in words."""
    if damage.promised is None:
        return f"it was cut off at {end:.2f} s"
    text = f"it ends at {end:.2f} of {damage.promised:.2f} s"
    if damage.short:
        text += f", about {damage.short:,} frame{'s' * (damage.short != 1)} early"
    return text
