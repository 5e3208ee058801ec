"""The result's file: the segments joined without encoding again, and all other streams copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enlarge.errors import OutputError
from enlarge.video.clocks import Clock
from enlarge.video.containers import OF_CONTAINER
from enlarge.video.encoding import VideoEncoding, configure, scheduling_kept
from enlarge.video.facts import MARK_TAGS, VideoFacts
from enlarge.video.missing import check_av
from enlarge.video.probing import as_file, as_fraction, opened
from enlarge.video.segments import KEY, Segment

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

_OWN_TAGS = frozenset(
    {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "vendor_id"}
)
"""Tags that say how a file is built; the new file has its own."""
_SECOND = 1_000_000


@dataclass(frozen=True)
class Span:
    """The part of a file that is copied, in seconds of the file's own times; `end` None: all that
    follows. Times in the result begin at 0 with it.
    """

    begin: Fraction
    end: Fraction | None


@dataclass(frozen=True)
class Join:
    """What a result is made of: its segments, and the file whose other streams are copied. `span`:
    the part that is copied; None: the whole file, with its times. `mark`: how it was made, in
    words. `jumps`: those of `FrameReader`.
    """

    source: Path
    facts: VideoFacts
    encoding: VideoEncoding
    segments: Sequence[Segment]
    span: Span | None = None
    mark: str | None = None
    jumps: Sequence[Fraction] = ()


def join_file(place: Path, join: Join, target: Path) -> list[str]:
    """Write the result to a new file at `place`, which becomes `target`. Returns a line for each
    thing that is lost.

    Raises `OutputError` or `InputError`.
    """
    av = check_av()
    container = OF_CONTAINER[join.encoding.coding.container]
    options = {"movflags": "+faststart"} if container in ("mp4", "mov") else {}
    try:
        with (
            opened(join.source) as (given, pictures),
            av.open(as_file(place), mode="w", format=container, container_options=options) as made,
        ):
            return _Joining(join, given, pictures, made).run()
    except av.error.FFmpegError as error:
        problem = getattr(error, "strerror", None) or error
        raise OutputError(f"{target}: cannot be written: {problem}") from error


class _Joining:
    """One file being put together."""

    def __init__(
        self, join: Join, given: InputContainer, pictures: VideoStream, made: OutputContainer
    ) -> None:
        self._join, self._given, self._pictures, self._made = join, given, pictures, made
        self._notes: list[str] = []
        self._base = join.facts.time_base

    def run(self) -> list[str]:
        video = self._add_pictures()
        copies = self._add_others()
        self._copy_about(video)
        with scheduling_kept():
            self._made.start_encoding()  # from here on, streams have the container's time bases
        for packet in merge(self._video_packets(video), self._other_packets(copies), key=_seconds):
            self._made.mux(packet)
        return self._notes

    def _add_pictures(self) -> Any:
        """The stream of enlarged pictures, with the encoder's parameter sets."""
        encoding = self._join.encoding
        library: Any = encoding.coding.encoder.library
        video: Any = self._made.add_stream(library, rate=encoding.rate)
        configure(video.codec_context, encoding)
        if encoding.coding.codec == "hevc" and encoding.coding.container in ("mp4", "mov"):
            video.codec_context.codec_tag = "hvc1"  # what Apple's players ask for
        video.time_base = self._base
        return video

    def _video_packets(self, video: Any) -> Iterator[Packet[Any]]:
        """The packets of all segments, with the times of their frames.

        Decoding times are the presentation times in order, late by as many frames as the encoder
        reorders: so they rise, whatever the times.
        """
        from av.packet import Packet

        times = [time for segment in self._join.segments for time in segment.times]
        shift = self._shift()
        delay = max((int(segment.facts["delay"]) for segment in self._join.segments), default=0)
        decoding = self._decoding_times(times, delay)
        number = 0
        for segment in self._join.segments:
            for frame, flags, data in segment.packets():
                packet = Packet(data)
                packet.stream, packet.time_base = video, self._base
                packet.pts = segment.times[frame] - shift
                packet.dts = decoding[number] - shift
                packet.duration = segment.durations[frame]
                packet.is_keyframe = bool(flags & KEY)
                yield packet
                number += 1

    @staticmethod
    def _decoding_times(times: Sequence[int], delay: int) -> list[int]:
        step = max(1, times[1] - times[0]) if len(times) > 1 else 1
        early = [times[0] - step * (delay - n) for n in range(delay)] if times else []
        return [*early, *times][: len(times)]

    def _shift(self) -> int:
        """Ticks that are taken from the times of pictures."""
        span = self._join.span
        return 0 if span is None else round(span.begin / self._base)

    def _add_others(self) -> dict[int, Any]:
        """A stream for each other one that the container holds, by the number of the original."""
        copies: dict[int, Any] = {}
        for stream in self._given.streams:
            if stream.index == self._pictures.index or self._is_chapters(stream):
                continue
            name = f"stream {stream.index} ({stream_name(stream)})"
            copy = self._new_stream(stream)
            if copy is True:
                continue
            if copy is None:
                where = self._join.encoding.coding.container
                self._notes.append(f"{name} is left out: .{where} cannot hold it")
                continue
            copy.metadata.clear()
            copy.metadata.update(self._stream_tags(stream))
            copy.disposition = int(stream.disposition)
            copies[stream.index] = copy
        return copies

    def _is_chapters(self, stream: Stream) -> bool:
        """Whether a stream is the track in which MP4 keeps its chapters."""
        return (
            stream.type == "data"
            and "mov" in self._given.format.name
            and stream.name == "bin_data"
            and bool(self._given.chapters())
        )

    def _new_stream(self, stream: Stream) -> Any:
        """A stream like another one; True for one that is complete, None for one that the container
        does not hold.
        """
        container = self._join.encoding.coding.container
        if stream.type == "attachment" and container != "mkv":
            return None
        if _is_cover(stream) and container == "mkv":
            name, kind = _cover_names(stream)
            self._made.add_attachment(name, kind, _first_payload(self._join.source, stream.index))
            return True
        if stream.type != "attachment" and not _can_hold(container, stream):
            return None
        return self._made.add_stream_from_template(stream, opaque=True)

    def _copy_about(self, video: Any) -> None:
        """Tags, dispositions and chapters."""
        self._made.metadata.update(_tags(self._given.metadata))
        video.metadata.update(self._stream_tags(self._pictures))
        video.metadata.pop("rotate", None)
        if self._join.mark is not None:
            video.metadata[MARK_TAGS[self._join.encoding.coding.container]] = self._join.mark
        video.disposition = int(self._pictures.disposition)
        chapters = self._given.chapters()
        if not chapters:
            return
        kept: list[Any] = []
        for chapter in chapters:
            base = chapter["time_base"] or Fraction(1, _SECOND)
            found = self._placed(chapter["start"] * base, chapter["end"] * base)
            if found is not None:
                start, end = (round(at / base) for at in found)
                kept.append({**chapter, "start": start, "end": end})
        if kept:
            self._made.set_chapters(kept)

    def _stream_tags(self, stream: Stream) -> dict[str, str]:
        """The tags of a stream, by the names that the container has for them."""
        tags = _tags(stream.metadata)
        if "name" in tags and "title" not in tags:  # a track's title, as MP4 is read
            tags["title"] = tags.pop("name")
        if self._join.encoding.coding.container not in ("mp4", "mov"):
            tags.pop("handler_name", None)
        return tags

    def _placed(self, start: Fraction, end: Fraction) -> tuple[Fraction, Fraction] | None:
        """Where something from `start` to `end` seconds is in the result; None: outside."""
        span = self._join.span
        if span is None:
            return start, end
        last = end if span.end is None else min(end, span.end)
        if last <= span.begin or (span.end is not None and start >= span.end):
            return None
        return max(start - span.begin, Fraction(0)), last - span.begin

    def _other_packets(self, copies: dict[int, Any]) -> Iterator[Packet[Any]]:
        """The packets of the streams that are copied, with their times, in the file's order."""
        av = check_av()
        if not copies:
            return
        streams = [self._given.streams[index] for index in copies]
        streams = [one for one in streams if one.type != "attachment"]
        if not streams:
            return
        packets = self._given.demux(*streams)
        clocks = {index: Clock(self._join.jumps) for index in copies}
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                return  # cut off; the pictures' reader says so
            if packet is None:
                return
            if packet.size == 0:
                continue
            if packet.dts is None and packet.pts is None:
                if not _is_cover(packet.stream):
                    continue
                packet.pts = packet.dts = 0
            copy, clock = copies[packet.stream_index], clocks[packet.stream_index]
            clock.move(packet)
            if self._is_kept(packet):
                clock.steady(packet, as_fraction(copy.time_base))
                packet.stream = copy
                yield packet

    def _is_kept(self, packet: Packet[Any]) -> bool:
        """Whether a packet is in the part that is copied; its times are moved there."""
        span, base = self._join.span, packet.time_base
        if span is None:
            return True
        at = packet.pts if packet.pts is not None else packet.dts
        assert at is not None
        if _is_cover(packet.stream):
            return True
        begin, length = at * base, (packet.duration or 0) * base
        if begin + length <= span.begin and begin < span.begin:
            return False
        if span.end is not None and begin >= span.end:
            return False
        shift = round(span.begin / base)
        if begin < span.begin and packet.stream.type == "subtitle":  # its rest is shown
            packet.duration = max(1, (packet.duration or 0) - (shift - at))
            shift = at
        elif begin < span.begin and self._join.encoding.coding.container in ("mkv", "webm"):
            return False  # which hold no times below zero
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        return True


def _seconds(packet: Packet[Any]) -> Fraction:
    """When a packet is decoded, in seconds of its own times."""
    at = packet.dts if packet.dts is not None else packet.pts
    return (at or 0) * as_fraction(packet.time_base)


def _is_cover(stream: Stream) -> bool:
    """Whether a stream is a cover picture, which lies beside the pictures."""
    return bool(int(stream.disposition) & 0x400)


def _can_hold(container: str, stream: Stream) -> bool:
    """Whether a container takes a stream: tried with a file in memory."""
    av = check_av()
    try:
        with av.open(BytesIO(), mode="w", format=OF_CONTAINER[container]) as file:
            copy = file.add_stream_from_template(stream, opaque=True)
            copy.disposition = int(stream.disposition)
            file.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _cover_names(stream: Stream) -> tuple[str, str]:
    """The file name and the media type of a cover picture."""
    name = stream.codec_context.name if stream.codec_context is not None else "mjpeg"
    suffix, kind = {"png": ("png", "image/png")}.get(name, ("jpg", "image/jpeg"))
    tags = stream.metadata
    return tags.get("filename", f"cover.{suffix}"), tags.get("mimetype", kind)


def _first_payload(path: Path, index: int) -> bytes:
    """The first packet of a stream."""
    with opened(path) as (file, _):
        return next((bytes(one) for one in file.demux(file.streams[index]) if one.size), b"")


def stream_name(stream: Stream) -> str:
    """A stream's kind and codec, in words."""
    kind = "cover picture" if _is_cover(stream) else stream.type
    try:
        name = stream.name
    except Exception:  # a stream without a codec
        name = None
    return f"{kind}, {name}" if name else str(kind)


def _tags(tags: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in tags.items() if name.lower() not in _OWN_TAGS}
