"""The files of ncnn's models, recognized by their beginnings, and which two belong together."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import NamedTuple

from enlarge.errors import WeightsError
from enlarge.model_file import NCNN
from enlarge.weights.ncnn.heads import IS_BINARY, LISTS, WEIGHTS
from enlarge.weights.sample import FileContent, Sample, foreign

_MODEL = FileContent(NCNN, "is a model of ncnn")
_TOGETHER = "put both files of the model into one folder"


class NcnnPair(NamedTuple):
    """The two files of a model: the list of its layers, and their weights."""

    param: Path
    weights: Path


def find_pair(path: Path) -> NcnnPair:
    """The pair that a file belongs to; the other one has the same name, and ends in .param or .bin.

    Raises `WeightsError` if it is missing.
    """
    if (pair := pair_of(path)) is None:
        content = _described(path)
        raise WeightsError(f"{path}: {content.what}; {content.advice}")
    return pair


def pair_of(path: Path) -> NcnnPair | None:
    """The pair, if the file is one of a complete one. Looks at nothing but its beginning."""
    if _is_list(path):
        other = path.with_suffix(".bin")
        return NcnnPair(path, other) if other.is_file() else None
    return NcnnPair(_list_of(path), path) if _is_list(_list_of(path)) else None


def detect_ncnn(sample: Sample) -> FileContent | None:
    """A list of layers, or weights by the tag that they mostly begin with."""
    if sample.head.startswith(IS_BINARY):
        return foreign("a list of ncnn's layers in binary (.param.bin)", "give the text, .param")
    return _described(sample.path) if sample.head.startswith((*LISTS, *WEIGHTS)) else None


def detect_ncnn_weights(sample: Sample) -> FileContent | None:
    """Weights that begin with an array of f32: a list of layers is beside them, or the first bytes
    are a tag of zero and plausible floats.
    """
    if _is_list(_list_of(sample.path)):
        return _MODEL
    if sample.head[:4] != b"\0\0\0\0" or sample.size % 4 or len(sample.head) < 68:
        return None
    values = struct.unpack("<16f", sample.head[4:68])
    plausible = all(math.isfinite(v) and 1e-9 < abs(v) < 1e3 for v in values)
    return _described(sample.path) if plausible else None


def _described(path: Path) -> FileContent:
    """What one of the two files is, by the other one."""
    if _is_list(path):
        other, what = path.with_suffix(".bin"), "the list of layers"
        if other != path and other.is_file():
            return _MODEL
        return foreign(f"{what} of a model of ncnn without its weights, {other.name}", _TOGETHER)
    other = _list_of(path)
    if _is_list(other):
        return _MODEL
    return foreign(f"the weights of a model of ncnn without its layers, {other.name}", _TOGETHER)


def _list_of(path: Path) -> Path:
    return path.with_suffix(".param")


def _is_list(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(LISTS[0])).startswith(LISTS)
    except OSError:
        return False
