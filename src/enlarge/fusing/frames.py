"""The frames that are fused: arrays or picture files, one after another."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.digests import file_digest
from enlarge.errors import InputError
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.tracking import to_luma
from enlarge.media.colour_fitting import converted_colour
from enlarge.media.converting import to_srgb
from enlarge.media.pixels import to_depth
from enlarge.media.reading import open_picture
from enlarge.metrics.protocol import to_rgb

Pixels = NDArray[Any]
"""(H, W, 3) RGB, sRGB-coded, uint8 or uint16."""


class NamedFrame(NamedTuple):
    """An array, as `read_frames` takes it, with the name that reports give it."""

    name: str
    pixels: NDArray[Any]


@dataclass(frozen=True)
class Frame:
    """One frame. `number`: its place among those that were given, from 0. `name`: of its file, or
    "frame N". `digest`: the SHA-256 of its file, or of an array's pixels, in hexadecimal digits.
    `field`: 0 or 1 where only the even or odd rows count, which were seen at one moment.
    """

    number: int
    name: str
    pixels: Pixels
    digest: str
    field: int | None = None

    @property
    def filled(self) -> Pixels:
        """The pixels, with the rows of the other field interpolated."""
        if self.field is None:
            return self.pixels
        rows = np.arange(len(self.pixels))
        mine = rows[self.field :: 2]
        above = np.clip(np.searchsorted(mine, rows, "right") - 1, 0, len(mine) - 1)
        below = np.clip(above + (mine[above] < rows), 0, len(mine) - 1)
        both = self.pixels[mine[above]].astype(np.float32) + self.pixels[mine[below]]
        pixels: Pixels = (both / 2).round().astype(self.pixels.dtype)
        return pixels


@dataclass(frozen=True)
class Frames:
    """The frames that may be fused, in their order, and those that were too many: number, name and
    digest of each.
    """

    kept: list[Frame]
    dropped: list[tuple[int, str, str]]

    @property
    def count(self) -> int:
        """How many were given."""
        return len({frame.number for frame in self.kept}) + len(self.dropped)

    def fields(self) -> Frames:
        """Each frame as two, of its even and its odd rows."""
        words = "even rows", "odd rows"
        kept = [
            replace(frame, name=f"{frame.name}, {words[field]}", field=field)
            for frame in self.kept
            for field in (0, 1)
        ]
        return Frames(kept, self.dropped)


def read_frames(
    frames: Iterable[Any],
    limit: int,
    reference: int = 0,
    admit: Callable[[Frame, int], None] = lambda _frame, _count: None,
) -> Frames:
    """The frames, all of one size. Of more than `limit` the sharpest are kept, and the one with the
    number `reference`. Raises `InputError`.

    `frames`: paths, or arrays (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16, also as
    `NamedFrame`. At most `limit` of them are held at a time. `admit` is called with the first frame
    and how many will be held; what it raises ends the work.
    """
    if isinstance(frames, str | Path):
        raise InputError(f"expected several frames, got one path, {str(frames)!r}")
    heap: list[tuple[float, int, Frame]] = []
    dropped: list[tuple[int, str, str]] = []
    first: Frame | None = None
    for number, source in enumerate(frames):
        frame = _read(number, source)
        if first is None:
            first = frame
            admit(frame, min(limit, len(frames)) if isinstance(frames, Sized) else limit)
        if frame.pixels.shape != first.pixels.shape:
            raise InputError(
                f"the frames have different sizes: {first.name} is {_size(first)}, {frame.name} is "
                f"{_size(frame)}; expected frames of one camera"
            )
        sharpness = np.inf if number == reference else _sharpness(frame.pixels)
        heapq.heappush(heap, (sharpness, number, frame))
        if len(heap) > limit:
            _, _, least = heapq.heappop(heap)
            dropped.append((least.number, least.name, least.digest))
    if first is None:
        raise InputError("there are no frames; expected at least two of one scene")
    kept = sorted((frame for _, _, frame in heap), key=lambda frame: frame.number)
    if any(frame.pixels.dtype == np.uint16 for frame in kept):
        deep = np.dtype(np.uint16)
        kept = [replace(frame, pixels=to_depth(frame.pixels, deep)) for frame in kept]
    return Frames(kept, sorted(dropped))


def _sharpness(pixels: Pixels) -> float:
    """How strong fine detail is, of what a slight blur leaves: blurred frames have less."""
    cv2 = load_opencv()
    return float(cv2.Laplacian(to_luma(pixels), cv2.CV_32F).var())


def _size(frame: Frame) -> str:
    height, width = frame.pixels.shape[:2]
    return f"{width}×{height}"


def _read(number: int, source: Any) -> Frame:
    if isinstance(source, str | Path):
        return _read_file(number, Path(source))
    name = f"frame {number}"
    if isinstance(source, NamedFrame):
        name, source = source
    if not isinstance(source, np.ndarray):
        raise InputError(
            f"{name}: expected an array or the path of a picture, got {type(source).__name__}"
        )
    if source.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{name}: expected uint8 or uint16, got {source.dtype}")
    if source.ndim not in (2, 3) or 0 in source.shape or source.shape[2:] not in ((), (3,), (4,)):
        raise InputError(f"{name}: expected an array H×W, H×W×3 or H×W×4, got {source.shape}")
    pixels = np.ascontiguousarray(source)
    digest = hashlib.sha256(str((pixels.shape, pixels.dtype.name)).encode() + pixels.tobytes())
    return Frame(number, name, np.ascontiguousarray(to_rgb(pixels)), digest.hexdigest())


def _read_file(number: int, path: Path) -> Frame:
    with open_picture(path) as picture:
        rows = picture.rows()
        pixels = rows.read(rows.height)
        _, icc, _ = converted_colour(picture.metadata, picture.facts.channels)
    if icc is not None:
        shape = pixels.shape
        pixels = to_srgb(pyvips.Image.new_from_array(pixels), icc).numpy().reshape(shape)
    rgb = to_rgb(pixels)
    if rgb.dtype == np.float32:
        rgb = to_depth(rgb, np.dtype(np.uint16))
    return Frame(number, str(path), np.ascontiguousarray(rgb), file_digest(path))
