"""What a video is: its header, and what only its first frames tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from enlarge.errors import InputError
from enlarge.video.colour import EXACT, check_matrix, raw_plane
from enlarge.video.facts import (
    MARK,
    MARK_TAGS,
    ColourCode,
    LightLevels,
    VideoFacts,
    complete_colour,
)
from enlarge.video.graphs import Chain
from enlarge.video.missing import check_av

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.stream import Disposition
    from av.video.stream import VideoStream

_PROBED = 3
"""Frames that are looked at."""
_FASTEST = 1000
_TRIED = 500
"""Packets of video that are read to find a first frame."""
_CENTERED = frozenset({"mjpeg", "mpeg1video", "jpeg2000", "theora", "vp8", "png", "webp"})
"""Codecs that place chroma in the middle between the luma samples."""
_FULL = 2
"""The full range, as FFmpeg numbers it."""
_LEAST_FRAME = 8
"""Bytes of a file that a frame takes at least, with its entry in the index."""
_DECODER_THREADS = 2


def as_file(path: Path) -> str:
    """A path as FFmpeg takes it for a file's, whatever it looks like: `a:b` is no protocol."""
    return f"file:{path}"


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video file, open, and its stream of pictures: the default one, else the first.

    Raises `InputError` for a file that FFmpeg does not read, has no such stream, or whose decoder
    is missing.
    """
    av = check_av(path)
    try:
        # Tags that are no UTF-8 keep their bytes; PyAV 19 sees to that by itself.
        is_old = int(av.__version__.partition(".")[0]) < 19
        errors = {"metadata_errors": "surrogateescape"} if is_old else {}
        container = av.open(as_file(path), mode="r", **errors)
    except (av.error.FFmpegError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or error
        if isinstance(error, av.error.InvalidDataError | EOFError):
            problem = f"{problem}; if it was cut off or damaged, copy or download it again"
        raise InputError(f"{path}: cannot be read as a video: {problem}") from error
    with container:
        yield container, _pictures(container, path)


def _pictures(container: InputContainer, path: Path) -> VideoStream:
    from av.stream import Disposition

    streams = [one for one in container.streams if one.type == "video"]
    moving = [one for one in streams if not _is(one.disposition, Disposition.attached_pic)]
    if not moving:
        others = sorted({one.type for one in container.streams if one.type != "video"})
        held = f"only {' and '.join(others)}" if others else "nothing"
        held = "only a cover picture" if streams else held
        raise InputError(f"{path}: has no video stream, {held}")
    stream: Any = next(
        (one for one in moving if _is(one.disposition, Disposition.default)), moving[0]
    )
    if stream.codec_context is None:
        raise InputError(
            f"{path}: there is no decoder for its video, {stream.name or 'of an unknown codec'}; "
            "convert it to H.264 first"
        )
    stream.thread_count = _DECODER_THREADS
    stream.thread_type = "AUTO"
    return stream


def _is(disposition: Disposition, flag: int) -> bool:
    return bool(int(disposition) & int(flag))


def probe(path: Path) -> VideoFacts:
    """The facts of a video. Raises `InputError` for one without a frame that can be decoded."""
    with opened(path) as (container, stream):
        first = _first_frames(container, stream, path)
        frame = first[0]
        seconds = _seconds(container, stream)
        rate = _rate(stream)
        frames = stream.frames or max(1, round(seconds * rate))
        frames = min(frames, max(1, path.stat().st_size // _LEAST_FRAME))  # headers may lie
        form = frame.format
        components = form.components
        depth = 8 if form.has_palette else max(part.bits for part in components)
        rotation = round(frame.rotation / 90) * 90 % 360
        width, height = frame.width, frame.height
        aspect = as_fraction(stream.sample_aspect_ratio or 1)
        colour = _colour(stream, frame)
        check_matrix(colour.matrix)
        if rotation % 180:
            width, height, aspect = height, width, 1 / aspect
        lost = list(_lost(frame))
        if not form.is_rgb and not form.has_palette and len(components) in (2, 4):
            lost.append("its transparency is left out")
        return VideoFacts(
            container=container.format.name,
            codec=stream.codec_context.name,
            width=width,
            height=height,
            frames=frames,
            seconds=seconds or float(frames / rate),
            rate=rate,
            time_base=as_fraction(stream.time_base or 1 / rate),
            depth=depth,
            colour=colour,
            chroma=_chroma(frame),
            aspect=aspect,
            rotation=rotation,
            is_flipped=_is_flipped(frame),
            is_interlaced=frame.interlaced_frame,
            light=_light(first),
            lost=tuple(lost),
            made=_mark(stream),
        )


def _mark(stream: VideoStream) -> str | None:
    """What a result of ours says of how it was made."""
    found = (stream.metadata.get(name) for name in set(MARK_TAGS.values()))
    return next((text for text in found if text and text.startswith(f"{MARK} ")), None)


def as_fraction(value: Any) -> Fraction:
    """A number of Python; PyAV 19 has a class of its own."""
    return Fraction(value.numerator, value.denominator)


def _rate(stream: VideoStream) -> Fraction:
    """Frames per second: the first figure that can be meant; some demuxers give their clock's."""
    for found in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if found and (rate := as_fraction(found)) <= _FASTEST:
            return rate
    return Fraction(25)


def _first_frames(container: InputContainer, stream: VideoStream, path: Path) -> list[VideoFrame]:
    """Up to three frames, at least one: some metadata comes with the second."""
    av = check_av()
    tried = 0
    frames: list[VideoFrame] = []
    try:
        for packet in container.demux(stream):
            if packet.has_sidedata("encryption_info"):
                raise InputError(f"{path}: is encrypted (DRM); its pictures cannot be decoded")
            tried += packet.size > 0
            with suppress(av.error.FFmpegError):
                frames += packet.decode()
            if len(frames) >= _PROBED or tried >= _TRIED:
                break
    except av.error.FFmpegError:
        pass  # the file ends here
    if frames:
        return frames[:_PROBED]
    found = "has no frames"
    if tried:
        which = "its only frame cannot" if tried == 1 else f"none of its first {tried} frames can"
        found = f"{which} be decoded"
    raise InputError(f"{path}: {found}")


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / 1_000_000


def _chroma(frame: VideoFrame) -> str:
    components = frame.format.components
    if len(components) < 3 or frame.format.is_rgb:
        return "444"
    across = frame.width / components[1].width
    down = frame.height / components[1].height
    return "420" if down > 1.5 else "422" if across > 1.5 else "444"


def _colour(stream: VideoStream, frame: VideoFrame) -> ColourCode:
    """The colour's tags, completed."""
    form, name = frame.format, frame.format.name
    is_rgb = form.is_rgb or form.has_palette
    is_full = name.startswith("yuvj") or int(frame.color_range) == _FULL
    assumed = []
    if not is_rgb and not int(frame.color_range) and not is_full:
        assumed.append("the limited range")
    colour = ColourCode(
        matrix=int(frame.colorspace),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        full_range=is_full,
        siting=_siting(stream, frame),
        assumed=tuple(assumed),
    )
    return complete_colour(colour, min(frame.width, frame.height), is_rgb=is_rgb)


def _siting(stream: VideoStream, frame: VideoFrame) -> str:
    """Where the chroma samples of a stream lie. PyAV 18 does not tell; libswscale does, by what it
    makes of a ramp that has the frame's properties.
    """
    if _chroma(frame) == "444":
        return "left"
    if stream.codec_context.name in _CENTERED:
        return "center"
    if _chroma(frame) != "420":
        return "left"
    try:
        model = frame.reformat(width=16, height=16, format="yuv420p")
    except Exception:  # an exotic format: the usual place
        return "left"
    for number, side in enumerate((16, 8, 8)):
        ramp = np.add.outer(np.arange(side), np.arange(side)) * (6 if number else 0) + 60
        raw_plane(model, number)[:side, :side] = ramp
    results = {}
    for name in ("", "left", "topleft"):
        chain = Chain(
            model,
            (("scale", f"flags={EXACT}" + (f":in_chroma_loc={name}" if name else "")),
             ("format", "rgb24")),
        )  # fmt: skip
        (found,) = chain.push(model)
        results[name] = found.to_ndarray()
    return "topleft" if np.array_equal(results[""], results["topleft"]) else "left"


def _lost(frame: VideoFrame) -> Iterator[str]:
    """What of a frame's metadata the result cannot hold."""
    kinds = {name for name, _ in _side_data(frame)}
    if "DYNAMIC_HDR_PLUS" in kinds:
        yield "its HDR10+ metadata is left out"
    if kinds & {"DOVI_RPU_BUFFER", "DOVI_METADATA"}:
        yield "its Dolby Vision metadata is left out"


def _side_data(frame: VideoFrame) -> list[tuple[str, bytes]]:
    """The side data of a frame, by the names of its kinds; none if PyAV does not know a kind."""
    try:
        found: Any = frame.side_data
        entries = [found[number] for number in range(len(found))]  # iterated, PyAV 19 gives keys
        return [(entry.type.name, bytes(entry)) for entry in entries]
    except ValueError:
        return []


def _is_flipped(frame: VideoFrame) -> bool:
    """Whether the display matrix (3×3 int32) mirrors, as that of cameras that face the user may."""
    for name, raw in _side_data(frame):
        if name == "DISPLAYMATRIX" and len(raw) >= 36:
            a, b, _, c, d = map(int, np.frombuffer(raw[:20], np.int32))
            return a * d < b * c
    return False


def _light(frames: Sequence[VideoFrame]) -> LightLevels:
    """The static metadata of HDR10, from the structures of libavutil."""
    mastering, content = None, None
    for name, raw in (entry for frame in frames for entry in _side_data(frame)):
        if name == "MASTERING_DISPLAY_METADATA" and len(raw) >= 88:
            mastering = _mastering(raw)
        elif name == "CONTENT_LIGHT_LEVEL" and len(raw) >= 8:
            most, mean = np.frombuffer(raw[:8], np.uint32)
            content = int(most), int(mean)
    return LightLevels(mastering, content)


def _mastering(raw: bytes) -> tuple[int, ...] | None:
    """AVMasteringDisplayMetadata: primaries of red, green, blue, white, least, greatest luminance,
    each a fraction of two int32; then two flags.
    """
    numbers = np.frombuffer(raw[:80], np.int32).reshape(10, 2)
    has_primaries, has_luminance = np.frombuffer(raw[80:88], np.int32)
    if not (has_primaries and has_luminance) or (numbers[:, 1] == 0).any():
        return None
    values = [Fraction(int(over), int(under)) for over, under in numbers]
    red, green, blue, white = (values[n : n + 2] for n in range(0, 8, 2))
    places = [round(value * 50000) for pair in (green, blue, red, white) for value in pair]
    return (*places, round(values[9] * 10000), round(values[8] * 10000))
