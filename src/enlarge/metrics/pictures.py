"""Whole pictures in memory, for metrics."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError, OutputError
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from enlarge.metrics.protocol import to_rgb


def read_pixels(source: Path | bytes, name: str = "", *, page: int | None = None) -> NDArray[Any]:
    """The RGB of a picture file (or of a file's bytes, called `name`), upright: (H, W, 3). `page`:
    which of several pictures in it, from 1.

    uint8, uint16 or float32 as the file has it; gray as R = G = B, transparency over white. Raises
    `InputError`.
    """
    return to_rgb(read_channels(source, name, page=page).pixels)


class Channels(NamedTuple):
    """A picture file's pixels, (H, W, 1 to 4), with the channels that it has; and a line for each
    thing that was left out or converted.
    """

    pixels: NDArray[Any]
    notes: tuple[str, ...]


def read_channels(source: Path | bytes, name: str = "", *, page: int | None = None) -> Channels:
    """The same with the channels that the file has."""
    try:
        with open_picture(source, page=page) as picture:
            rows = picture.rows()
            return Channels(rows.read(rows.height), picture.facts.notes)
    except InputError as error:
        unnamed = str(error).removeprefix("picture in memory: ")
        if name and unnamed != str(error):
            raise InputError(f"{name}: {unnamed}") from error
        raise


def write_pixels(pixels: NDArray[Any], target: Path | BinaryIO) -> None:
    """Write (H, W, 3) as a PNG, replacing what is there. Raises `OutputError`."""
    if isinstance(target, Path):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{target}: its folder cannot be made: {error.strerror or error}"
            ) from error
    height, width, channels = pixels.shape
    with create_picture(
        target,
        PictureSpec(width, height, channels, pixels.dtype),
        WriteOptions("png", keep="none"),
    ) as sink:
        sink.write(np.ascontiguousarray(pixels))
        sink.finish()


def png_url(pixels: NDArray[Any]) -> str:
    """(H, W, 3) as a PNG in a data URL, for a page that is one file."""
    file = io.BytesIO()
    write_pixels(pixels, file)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
