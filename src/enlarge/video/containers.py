"""Which codecs a file can hold, and what is chosen where nothing is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from enlarge.errors import OptionError
from enlarge.media.formats import CONTAINERS
from enlarge.settings import Settings
from enlarge.video.facts import VideoFacts

HOLDS: dict[str, tuple[str, ...]] = {
    "mp4": ("h264", "hevc", "av1"),
    "mov": ("h264", "hevc", "prores"),
    "mkv": ("h264", "hevc", "av1", "ffv1", "prores"),
    "webm": ("av1",),
}
"""The codecs of each container, the usual one first."""
USUAL = {"ffv1": "mkv", "prores": "mov"}
"""The container of a codec that mp4 does not hold."""
OF_CONTAINER = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
"""FFmpeg's names of the muxers."""


@dataclass(frozen=True)
class Encoder:
    """A codec. `library`: FFmpeg's name of the encoder. `crf`: its quality by default (None: it has
    none), and `best` to `worst` of what can be asked for. `bytes_per_pixel`: about the most that a
    pixel of the result takes in a file.
    """

    library: str
    crf: int | None
    worst: int
    bytes_per_pixel: float


ENCODERS: dict[str, Encoder] = {
    "h264": Encoder("libx264", 18, 51, 0.06),
    "hevc": Encoder("libx265", 20, 51, 0.05),
    "av1": Encoder("libsvtav1", 24, 63, 0.04),
    "ffv1": Encoder("ffv1", None, 0, 2.0),
    "prores": Encoder("prores_ks", None, 0, 0.8),
}


@dataclass(frozen=True)
class Coding:
    """How frames are stored. `pixels`: FFmpeg's name of the pixel format."""

    container: str
    codec: str
    crf: int | None
    pixels: str

    @property
    def encoder(self) -> Encoder:
        """The encoder that does it."""
        return ENCODERS[self.codec]

    @property
    def depth(self) -> int:
        """Bits of a sample in the result."""
        return 10 if "10" in self.pixels else 16 if "16" in self.pixels else 8

    @property
    def steps(self) -> tuple[int, int]:
        """What width and height are multiples of."""
        if "420" in self.pixels:
            return 2, 2
        return (2, 1) if "422" in self.pixels else (1, 1)

    def even(self, width: int, height: int) -> tuple[int, int]:
        """The size of the stored picture: the next one that its chroma allows."""
        across, down = self.steps
        return -(-width // across) * across, -(-height // down) * down


def container_of(name: str) -> str | None:
    """The container that a suffix or a format's name means; None for another one."""
    return CONTAINERS.get(name.lower().removeprefix("."))


def choose_container(settings: Settings, source: str, target: Path | None = None) -> str:
    """The container of a result: as the target's suffix or --format says, else the source's if it
    holds the codec, else the codec's usual one. `source`: the suffix of the input.

    Raises `OptionError` for a target that is none.
    """
    asked = container_of(target.suffix) if target is not None else None
    asked = asked or container_of(settings.format or "")
    if asked is not None:
        return asked
    if target is not None and target.suffix:
        raise OptionError(
            f"{target} is no video file; choose .mp4, .mkv, .mov or .webm, or --at TIME for one "
            "frame as a picture"
        )
    own = container_of(source)
    if own is not None and (settings.codec is None or settings.codec in HOLDS[own]):
        return own
    return USUAL.get(settings.codec or "", "mp4")


def choose_coding(settings: Settings, facts: VideoFacts, container: str) -> Coding:
    """How the frames of a video are stored. Raises `OptionError` for a codec that the container
    does not hold, or a quality that the codec does not have.
    """
    codec = settings.codec or HOLDS[container][0]
    if codec not in HOLDS[container]:
        others = [name for name, codecs in HOLDS.items() if codec in codecs]
        raise OptionError(
            f"--codec {codec} and .{container} contradict each other: .{container} holds "
            f"{', '.join(HOLDS[container])}; {codec} goes into .{' or .'.join(others)}"
        )
    encoder = ENCODERS[codec]
    if settings.crf is not None and encoder.crf is None:
        raise OptionError(
            f"--crf and {codec} contradict each other: {codec} has no such quality; leave it out"
        )
    if settings.crf is not None and settings.crf > encoder.worst:
        raise OptionError(f"--crf of {codec} is between 0 and {encoder.worst}, got {settings.crf}")
    crf = encoder.crf if settings.crf is None else settings.crf
    return Coding(container, codec, crf, _pixels(codec, facts))


def _pixels(codec: str, facts: VideoFacts) -> str:
    """4:2:0 but for codecs that archive: FFV1 keeps RGB as it is (4:4:4), ProRes 4:2:2 or 4:4:4."""
    if codec == "ffv1":
        return "bgr0" if facts.depth <= 8 else "gbrp10le" if facts.depth <= 10 else "gbrp16le"
    if codec == "prores":
        return "yuv444p10le" if facts.chroma == "444" else "yuv422p10le"
    return "yuv420p" if facts.depth <= 8 else "yuv420p10le"
