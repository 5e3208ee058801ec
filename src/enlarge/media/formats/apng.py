"""Animated PNG (the third edition of PNG, 11.3.6): its frames as a viewer shows them.

libvips reads the picture in IDAT only, which need not be a frame. The other frames are PNGs
without a file: their pixels are decoded by libvips, behind a header made for each, and composed on
the canvas here. (Pillow composes them too, but reads 16 bits as 8, and is not in the base install.)
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.bounded import position_kept
from enlarge.media.formats.png_chunks import SIGNATURE, chunks_of, png_chunk
from enlarge.media.rows import ArrayRows, Rows

_KEPT, _CLEARED, _RESTORED = 0, 1, 2
_OVER = 1


@dataclass(frozen=True)
class Frame:
    """A frame: where it lies on the canvas, what becomes of its place after it (0: it stays, 1:
    cleared, 2: as before), whether it is blended (1) or replaces (0), and where its compressed
    pixels are in the file (offset and bytes of each piece).
    """

    width: int
    height: int
    x: int
    y: int
    dispose: int
    blend: int
    pieces: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Animation:
    """The frames of a file. `has_still`: its own picture is none of them. `header`: the body of
    IHDR; `shared`: the chunks that every frame needs (palette and transparency); `claimed`: how
    many frames the file says it has.
    """

    frames: tuple[Frame, ...]
    has_still: bool
    header: bytes
    shared: bytes
    claimed: int = 0

    def notes(self) -> list[str]:
        """A line about frames that are not there."""
        count = len(self.frames)
        if self.claimed <= count:
            return []
        return [f"claims to have {self.claimed:,} frames, but holds {count:,}"]

    @property
    def pages(self) -> int:
        """The pictures in the file: a picture that is not a frame comes first."""
        return max(1, len(self.frames) + self.has_still)


def read_animation(file: BinaryIO) -> Animation:
    """The frames of a PNG; none if it is not animated. The file's position stays."""
    control, header, shared = 0, b"", b""
    frames: list[tuple[bytes, list[tuple[int, int]]]] = []
    has_still = False
    with position_kept(file):
        end = file.seek(0, os.SEEK_END)
        for kind, at, length in chunks_of(file):
            if at + length > end:
                break
            if kind == b"IHDR":
                header = file.read(length)
            elif kind in (b"PLTE", b"tRNS"):
                shared += struct.pack(">I", length) + kind + file.read(length + 4)
            elif kind == b"acTL" and length >= 8:
                (control,) = struct.unpack(">I", file.read(4))
            elif kind == b"fcTL" and length >= 26:
                frames.append((file.read(26), []))
            elif kind == b"IDAT":
                if not control:
                    break
                if frames:
                    frames[-1][1].append((at, length))
                has_still = not frames
            elif kind == b"fdAT" and frames and length > 4:
                frames[-1][1].append((at + 4, length - 4))
    complete = [_frame(body, pieces) for body, pieces in frames[:control] if pieces]
    if not complete:
        return Animation((), False, header, shared, control)
    return Animation(tuple(complete), has_still, header, shared, control)


def _frame(body: bytes, pieces: list[tuple[int, int]]) -> Frame:
    width, height, x, y, _, _, dispose, blend = struct.unpack_from(">IIIIHHBB", body, 4)
    return Frame(width, height, x, y, dispose, blend, tuple(pieces))


def frame_bytes(still: Rows) -> int:
    """The memory that composing a frame takes: canvas, frame and what was there before, and the
    floating-point numbers of a blend.
    """
    pixel = still.channels * (3 * still.dtype.itemsize + 4 * 4)
    return still.width * still.height * pixel + (8 << 20)


class FrameRows:
    """The rows of a frame that is composed when the first are read. `still`: the file's own
    picture, of the canvas's size, channels and depth, which is closed. Owns the file.
    """

    def __init__(
        self, file: BinaryIO, name: str, animation: Animation, number: int, still: Rows
    ) -> None:
        """`number`: of the frame, from 0."""
        self.width, self.height = still.width, still.height
        self.channels, self.dtype = still.channels, still.dtype
        self._file, self._name = file, name
        self._animation, self._number = animation, number
        self._rows: ArrayRows | None = None

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        if self._rows is None:
            self._rows = ArrayRows(self._composed())
        return self._rows.read(count)

    def _composed(self) -> NDArray[Any]:
        """The canvas, (height, width, channels), when the frame is shown."""
        canvas = np.zeros((self.height, self.width, self.channels), self.dtype)
        first = self._first_needed()
        for number, frame in enumerate(self._animation.frames[first : self._number + 1], first + 1):
            place = canvas[frame.y : frame.y + frame.height, frame.x : frame.x + frame.width]
            if place.shape[:2] != (frame.height, frame.width) or not place.size:
                raise self._damaged(number, "it does not lie inside the picture")
            pixels = self._pixels(frame, number)
            dispose = _KEPT if number > self._number else frame.dispose
            before = place.copy() if dispose == _RESTORED else None
            place[...] = _over(pixels, place) if frame.blend == _OVER else pixels
            if dispose == _CLEARED or (dispose == _RESTORED and number == 1):
                place[...] = 0
            elif before is not None:
                place[...] = before
        return canvas

    def _first_needed(self) -> int:
        """The last frame that replaces the whole canvas, and is not undone before this one."""
        for number in range(self._number, 0, -1):
            frame = self._animation.frames[number]
            is_whole = (frame.width, frame.height) == (self.width, self.height)
            replaces = frame.blend != _OVER or self.channels in (1, 3)
            if is_whole and replaces and (number == self._number or frame.dispose != _RESTORED):
                return number
        return 0

    def _pixels(self, frame: Frame, number: int) -> NDArray[Any]:
        """A frame's own pixels, (height, width, channels)."""
        import pyvips

        animation = self._animation
        header = struct.pack(">II", frame.width, frame.height) + animation.header[8:]
        data = b"".join(self._piece(*piece) for piece in frame.pieces)
        png = SIGNATURE + png_chunk(b"IHDR", header) + animation.shared
        png += png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
        try:
            image = pyvips.Image.pngload_buffer(png, fail_on="error")
            pixels = np.frombuffer(image.write_to_memory(), self.dtype)
        except pyvips.Error as error:
            raise self._damaged(number, "its pixels cannot be decoded") from error
        return pixels.reshape(image.height, image.width, image.bands)

    def _piece(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(size)

    def _damaged(self, number: int, why: str) -> InputError:
        return InputError(
            f"{self._name}: frame {number} of this PNG is truncated or damaged ({why}); copy or "
            "download it again"
        )

    def close(self) -> None:
        """Free the picture, and close the file."""
        self._rows = None
        self._file.close()


def _over(front: NDArray[Any], back: NDArray[Any]) -> NDArray[Any]:
    """`front` over `back`, both with straight alpha in their last channel; `front` itself where
    there is no alpha. The formula of PNG's section 13.16.
    """
    if front.shape[2] not in (2, 4):
        return front
    top = np.float32(np.iinfo(front.dtype).max)
    a, b = front[..., -1:].astype(np.float32) / top, back[..., -1:].astype(np.float32) / top
    alpha = a + (1 - a) * b
    mixed = front[..., :-1] * a + back[..., :-1] * ((1 - a) * b)
    colours = np.divide(mixed, alpha, out=np.zeros_like(mixed), where=alpha > 0)
    return np.rint(np.concatenate([colours, alpha * top], axis=2)).astype(front.dtype)
