"""Models of ncnn that installed packages carry, against ncnn itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.checkpoints.rows import Case, Home, Run
from benchmarks.speed.ncnn import open_net
from enlarge.weights.installed import list_pairs
from enlarge.weights.runner import Picture

_LARGE, _SMALL_SIDE = 5_000_000, 64
"""Networks of more parameters are timed on a smaller picture."""


def cases() -> list[Case]:
    """All models that have a name."""
    return [
        Case(
            weights.path.stem,
            ".param, .bin",
            partial(_at, weights.path),
            in_ncnn,
            side=_SMALL_SIDE if weights.card.parameters > _LARGE else 128,
        )
        for weights in list_pairs()
    ]


def _at(path: Path, folder: Path) -> Path:
    return path


def in_ncnn(path: Path) -> Home:
    """A pair of files in ncnn: in f32, and as ncnn is by default."""
    return Home("ncnn", _runs(path, ()), _runs(path, None))


def _runs(path: Path, options: tuple[str, ...] | None) -> Run:
    import ncnn

    net = open_net(path.with_suffix(".param"), options)
    (source, *_), target = net.input_names(), net.output_names()[-1]

    def run(image: Picture) -> Picture:
        pixels = np.ascontiguousarray(image[0])  # a Mat only points to it
        with net.create_extractor() as extractor:
            extractor.input(source, ncnn.Mat(pixels).clone())
            return np.array(extractor.extract(target)[1])[None]

    return run
