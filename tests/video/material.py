"""Small videos of every kind, made by FFmpeg's own encoders from synthetic pictures."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

av: Any = __import__("av")
WIDTH, HEIGHT, FRAMES = 96, 64, 8
RATE = Fraction(25)


def scene(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A frame: coloured blocks that lie still, and a bar that moves."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (60, 120, 180)
    image[: height // 2, : width // 2] = (200, 60, 40)
    image[height // 2 :, width // 2 :] = (40, 170, 60)
    at = (4 * number) % (width - 12)
    image[height // 4 : height // 4 + 8, at : at + 12] = (235, 225, 70)
    return image


@dataclass(frozen=True)
class Recipe:
    """How a video is made. `times`: of its frames, in ticks of `base`."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "4", "preset": "ultrafast"})
    size: tuple[int, int] = (WIDTH, HEIGHT)
    base: Fraction = 1 / RATE
    times: Sequence[int] = tuple(range(FRAMES))
    tags: tuple[int, int, int] | None = None  # matrix, primaries, transfer function
    full_range: bool | None = None
    aspect: Fraction | None = None
    fields: bool = False
    audio: int = 0
    subtitles: bool = False
    picture: Callable[[int, int, int], NDArray[np.uint8]] = scene


def make(path: Path, recipe: Recipe) -> Path:
    """Write a video. Its colours are converted by the matrix that it is tagged with, or that is
    right for its size.
    """
    width, height = recipe.size
    with av.open(str(path), "w") as file:
        stream = file.add_stream(recipe.codec, rate=RATE)
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = width, height, recipe.pixels
        context.time_base = recipe.base
        context.options = dict(recipe.options)
        context.thread_count = 1
        if recipe.aspect is not None:
            context.sample_aspect_ratio = recipe.aspect
        if recipe.tags is not None:
            context.colorspace, context.color_primaries, context.color_trc = recipe.tags
        if recipe.full_range is not None:
            context.color_range = 2 if recipe.full_range else 1
        sounds = [file.add_stream("aac", rate=48000) for _ in range(recipe.audio)]
        for number, sound in enumerate(sounds):
            sound.metadata["language"] = ("eng", "kor")[number]
        texts = file.add_mux_stream("subrip") if recipe.subtitles else None
        chain: Any = None
        for number, time in enumerate(recipe.times):
            frame = av.VideoFrame.from_ndarray(
                recipe.picture(number, width, height), format="rgb24"
            )
            frame.pts, frame.time_base = time, recipe.base
            chain = chain or _chain(recipe)
            chain.vpush(frame)
            file.mux(stream.encode(chain.vpull()))
        file.mux(stream.encode(None))
        seconds = float(recipe.times[-1] * recipe.base) + 0.04
        for number, sound in enumerate(sounds):
            add_tone(file, sound, seconds, 220 * (number + 1))
        if texts is not None:
            for number in range(2):
                packet = av.Packet(f"line {number}".encode())
                packet.stream, packet.time_base = texts, Fraction(1, 1000)
                packet.pts = packet.dts = number * 100
                packet.duration = 80
                file.mux(packet)
    return path


def _chain(recipe: Recipe) -> Any:
    from av.filter import Graph

    width, height = recipe.size
    matrix = {1: "bt709", 9: "bt2020"}.get(recipe.tags[0] if recipe.tags else 0, "smpte170m")
    if recipe.tags is None and height >= 720:
        matrix = "bt709"
    span = "pc" if recipe.full_range or recipe.pixels.startswith("yuvj") else "tv"
    siting = "center" if recipe.codec == "mjpeg" else "left"
    flags = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
    arguments = f"flags={flags}:out_color_matrix={matrix}:out_range={span}"
    steps = [
        ("scale", f"{arguments}:out_chroma_loc={siting}"),
        ("format", recipe.pixels),
    ]
    if recipe.fields:
        steps.append(("setfield", "tff"))
    graph = Graph()
    last = graph.add(
        "buffer",
        f"video_size={width}x{height}:pix_fmt=rgb24"
        + f":time_base={recipe.base.numerator}/{recipe.base.denominator}",
    )
    for name, arguments in (*steps, ("buffersink", "")):
        context = graph.add(name, arguments or None)
        last.link_to(context)
        last = context
    graph.configure()
    return graph


def add_tone(file: Any, stream: Any, seconds: float, hertz: float) -> None:
    for first in range(0, int(seconds * 48000), 1024):
        wave = 0.2 * np.sin(2 * np.pi * hertz * (first + np.arange(1024)) / 48000)
        samples = np.repeat(wave.astype(np.float32)[None], 2, axis=0)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = 48000, first, Fraction(1, 48000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def turn(path: Path, degrees: int) -> Path:
    """Give the first track of an MP4 a display matrix, as a phone that is held upright does."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4
    at += 4 + (32 if content[at] == 1 else 20) + 16
    content[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(content)
    return path


def frames_of(path: Path) -> list[Any]:
    """A video's frames, decoded by PyAV alone."""
    with av.open(str(path)) as file:
        return list(file.decode(file.streams.video[0]))


def times_of(path: Path) -> list[Fraction]:
    """The times of a video's frames, in seconds."""
    return [frame.pts * frame.time_base for frame in frames_of(path)]


def payloads(path: Path) -> dict[int, list[tuple[Fraction, bytes]]]:
    """The packets of every stream that is not the pictures: their times in seconds and bytes."""
    found: dict[int, list[tuple[Fraction, bytes]]] = {}
    with av.open(str(path)) as file:
        pictures = file.streams.video[0].index
        for packet in file.demux():
            if packet.stream_index == pictures or not packet.size:
                continue
            time = (packet.pts or 0) * packet.time_base
            found.setdefault(packet.stream_index, []).append((time, bytes(packet)))
    return found


def packets_of(path: Path) -> list[tuple[int, Any, Any, bytes]]:
    """Every packet of a file: stream, times and bytes."""
    with av.open(str(path)) as file:
        return [(one.stream_index, one.pts, one.dts, bytes(one)) for one in file.demux()]
