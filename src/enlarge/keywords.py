"""The keyword arguments of the Python functions: names and types of the options of `Settings`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

from enlarge.settings import ColourChoice, Keep


class SizeOptions(TypedDict, total=False):
    """The options of `Settings` that apply to pictures and to frames of videos, with the types that
    they take in Python.
    """

    scale: float | None
    width: int | None
    height: int | None
    crop: Sequence[int] | None
    tile: float | str | None
    memory: float | str | None
    exact: bool
    ensemble: bool


class ModelOptions(TypedDict, total=False):
    """The options of `Settings` by which a model is opened."""

    model: str | Path | None
    strength: float | None
    engine: str
    device: str
    precision: str
    threads: int


class PictureOptions(SizeOptions, total=False):
    """The options of `Settings` that apply to an array or a Pillow image."""

    page: int | str | None
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


class AllOptions(FileOptions, ModelOptions, total=False):
    """The options of `Settings` that apply to a picture file, and those of its model."""


class FrameOptions(SizeOptions, ModelOptions, total=False):
    """The options of `Settings` that apply to the frames of a video, and those of its model."""

    start: float | str | Fraction | None
    end: float | str | Fraction | None
    deinterlace: str


class VideoOptions(FrameOptions, total=False):
    """The options of `Settings` that apply to a video file."""

    codec: str | None
    crf: int | None
    format: str | None
    provenance: bool
    resume: bool
