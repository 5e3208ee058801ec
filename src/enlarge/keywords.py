"""The keyword arguments of the Python functions: names and types of the options of `Settings`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

from enlarge.settings import ColourChoice, Keep


class PictureOptions(TypedDict, total=False):
    """The options of `Settings` that apply to an array or a Pillow image, with the types that they
    take in Python.
    """

    scale: float | None
    width: int | None
    height: int | None
    crop: Sequence[int] | None
    page: int | str | None
    tile: float | str | None
    memory: float | str | None
    exact: bool
    ensemble: bool
    salvage: bool


class FileOptions(PictureOptions, total=False):
    """The options of `Settings` that apply to a file."""

    format: str | None
    quality: int | None
    pyramid: bool
    colour: ColourChoice
    metadata: Keep
    provenance: bool
    resume: bool


class AllOptions(FileOptions, total=False):
    """All options of `Settings`."""

    model: str | Path | None
    strength: float | None
    engine: str
    device: str
    precision: str
    threads: int


class FrameOptions(TypedDict, total=False):
    """The options of `Settings` that apply to the frames of a video."""

    scale: float | None
    width: int | None
    height: int | None
    crop: Sequence[int] | None
    tile: float | str | None
    memory: float | str | None
    exact: bool
    ensemble: bool
    start: float | str | Fraction | None
    end: float | str | Fraction | None
    deinterlace: str
    model: str | Path | None
    strength: float | None
    engine: str
    device: str
    precision: str
    threads: int


class VideoOptions(FrameOptions, total=False):
    """The options of `Settings` that apply to a video file."""

    codec: str | None
    crf: int | None
    format: str | None
    provenance: bool
    resume: bool
