"""Views of pictures for a browser: 8-bit RGB of a bounded size, as data URLs.

A result may be larger than a browser can hold, so it is shown reduced by a whole factor, and the
region that is zoomed into in its own pixels.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.media.pixels import over_white, to_depth
from enlarge.media.reading import open_picture
from enlarge.media.resample import Taps, apply_taps, bicubic_taps
from enlarge.media.rows import CropRows, Rows
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from enlarge.picture.hooks import Progress

Pixels = NDArray[np.uint8]
"""(H, W, 3), RGB."""

LARGEST = 16_000_000
"""Pixels of a result that is shown whole, in its own pixels."""
_EXACT = 1_500_000
"""Pixels up to which a view is a PNG; larger ones are JPEGs of quality 95 with full colour."""
_CANVAS = 720


@dataclass(frozen=True)
class Box:
    """A part of a picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int


def shown(band: NDArray[Any]) -> Pixels:
    """(H, W, 1 to 4), uint8, uint16 or float32 → uint8 (H, W, 3), alpha over white."""
    if band.shape[2] in (2, 4):
        band = over_white(band)
    band = to_depth(band, np.dtype(np.uint8))
    return np.repeat(band, 3, axis=2) if band.shape[2] == 1 else band


def read_part(path: Path, box: Box, page: int | None = None) -> Pixels:
    """A part of a picture file, or of one of its pages. Raises `InputError`."""
    with open_picture(path, page=page) as picture:
        rows = CropRows(picture.rows(), box.x, box.y, box.width, box.height)
        return shown(rows.read(rows.height))


def read_reduced(path: Path, most: int = LARGEST, page: int | None = None) -> tuple[Pixels, int]:
    """A picture, or one of a file's pages, reduced to at most `most` pixels, and the whole factor
    by which it was reduced.

    Blocks of that side are averaged; incomplete ones at the right and the bottom are left out.
    Raises `InputError`.
    """
    with open_picture(path, page=page) as picture:
        rows = picture.rows()
        factor = max(1, int(np.ceil((rows.width * rows.height / most) ** 0.5)))
        factor = min(factor, rows.width, rows.height)
        return _reduced(rows, factor), factor


def _reduced(rows: Rows, factor: int) -> Pixels:
    if factor == 1:
        return shown(rows.read(rows.height))
    width, height = rows.width // factor, rows.height // factor
    out = np.empty((height, width, 3), np.uint8)
    step = max(1, 256 // factor)
    for start in range(0, height, step):
        stop = min(start + step, height)
        band = shown(rows.read((stop - start) * factor))[:, : width * factor]
        blocks = band.reshape(stop - start, factor, width, factor, 3)
        out[start:stop] = np.rint(blocks.mean(axis=(1, 3), dtype=np.float32))
    return out


def enlarge_bicubic(pixels: Pixels, width: int, height: int, box: Box | None = None) -> Pixels:
    """Enlarge by MATLAB's bicubic to `width` × `height`, or compute only the part `box` of that."""
    box = box or Box(0, 0, width, height)
    out: NDArray[Any] = pixels.astype(np.float32)
    for axis, (size, target, start, count) in enumerate(
        ((out.shape[0], height, box.y, box.height), (out.shape[1], width, box.x, box.width))
    ):
        taps = bicubic_taps(size, target)
        part = slice(start, start + count)
        out = apply_taps(out, Taps(taps.indices[part], taps.weights[part]), axis)
    return np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8)


def data_url(pixels: Pixels) -> str:
    """The picture as a data URL: a PNG, or a JPEG if it is large."""
    height, width, _ = pixels.shape
    exact = width * height <= _EXACT
    file = io.BytesIO()
    kind = "png" if exact else "jpeg"
    with create_picture(
        file,
        PictureSpec(width, height, 3, np.dtype(np.uint8)),
        WriteOptions(kind, keep="none"),
    ) as sink:
        sink.write(np.ascontiguousarray(pixels))
        sink.finish()
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


class Canvas:
    """A small view of a result in progress: bicubic at first, replaced tile by tile.

    The queue's thread writes it; `pixels` may be read at any time.
    """

    def __init__(self, source: Path, width: int, height: int, page: int | None = None) -> None:
        small, _ = read_reduced(source, _CANVAS * _CANVAS, page)
        share = min(1.0, _CANVAS / max(width, height))
        self.width, self.height = max(1, round(width * share)), max(1, round(height * share))
        self.pixels = enlarge_bicubic(small, self.width, self.height)
        self._columns = _nearest(self.width, width)
        self._rows = _nearest(self.height, height)

    def paste(self, progress: Progress) -> None:
        """Put a finished tile where it belongs."""
        height, width, _ = progress.pixels.shape
        rows, columns = self._rows, self._columns
        top, bottom = np.searchsorted(rows, (progress.y, progress.y + height))
        left, right = np.searchsorted(columns, (progress.x, progress.x + width))
        part = progress.pixels[rows[top:bottom] - progress.y][:, columns[left:right] - progress.x]
        if part.size:
            self.pixels[top:bottom, left:right] = shown(part)


def _nearest(small: int, large: int) -> NDArray[np.int64]:
    """For each sample of the small axis the one of the large axis under its centre."""
    return ((np.arange(small) + 0.5) * large / small).astype(np.int64)
