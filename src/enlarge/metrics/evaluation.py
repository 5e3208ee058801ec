"""Evaluation of methods on data sets: every picture is enlarged and measured."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from enlarge.data.pairs import PairFiles
from enlarge.errors import DataError
from enlarge.memory import peak
from enlarge.metrics.fidelity import json_safe
from enlarge.metrics.methods import Method
from enlarge.metrics.pairs import DataSet, read_pair
from enlarge.metrics.pictures import write_pixels
from enlarge.metrics.protocol import Protocol
from enlarge.metrics.score_cache import ImageScore, ScoreCache
from enlarge.version import __version__

if TYPE_CHECKING:
    from enlarge.metrics.perceptual import Perceptual


@dataclass(frozen=True)
class Result:
    """The result of a method on a data set.

    `psnr` (dB), `ssim`, `perceptual`: means over the pictures. `seconds`: of enlarging all of them.
    `peak_memory`: of the process in bytes while it enlarged (0: unknown, or all from the cache).
    """

    model: str
    data: str
    factor: int
    precision: str
    psnr: float
    ssim: float
    seconds: float
    peak_memory: int
    images: tuple[ImageScore, ...]
    perceptual: dict[str, float] = field(default_factory=dict)


Watch = Callable[[str, str, int, int], None]
"""Called with the method's name, the data set's name, pictures done, and pictures in all."""


def evaluate(
    methods: Sequence[Method],
    data: DataSet,
    protocol: Protocol,
    *,
    perceptual: Perceptual | None = None,
    cache: ScoreCache | None = None,
    save: Path | None = None,
    watch: Watch | None = None,
) -> list[Result]:
    """Evaluate every method on one data set, in the order given.

    `perceptual`: measure LPIPS and DISTS too. `save`: write the enlarged pictures to
    SAVE/DATA/METHOD/NAME.png. Raises `DataError`, `InputError` or `OutputError`.
    """
    cache = cache or ScoreCache(None)
    results = []
    for method in methods:
        images: list[ImageScore] = []
        precisions: set[str] = set()
        memory = 0
        for done, pair in enumerate(data.pairs):
            if watch is not None:
                watch(method.name, data.name, done, len(data.pairs))
            target = save / data.name / method.name / f"{pair.name}.png" if save else None
            score, precision, used = _evaluate_one(
                method, pair, data.factor, protocol, perceptual, cache, target
            )
            images.append(score)
            precisions.add(precision)
            memory = max(memory, used)
        if watch is not None:
            watch(method.name, data.name, len(images), len(images))
        results.append(_mean(method.name, data, ", ".join(sorted(precisions)), images, memory))
    return results


def _evaluate_one(
    method: Method,
    pair: PairFiles,
    factor: int,
    protocol: Protocol,
    perceptual: Perceptual | None,
    cache: ScoreCache,
    target: Path | None,
) -> tuple[ImageScore, str, int]:
    """A picture's score, its precision, and the peak memory of enlarging it (0: from the cache)."""
    low, high, digest = read_pair(pair, factor)
    precision = method.precision(low.dtype)
    parts = [method.identity, precision, digest, str(factor), repr(protocol), __version__]
    parts += [str(perceptual)] if perceptual else []
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    found = cache.get(key)
    if found is not None and (target is None or cache.has_saved(target, key)):
        return found._replace(name=pair.name), precision, 0
    _reset_peak()
    begun = time.perf_counter()
    large = method.run(low, factor)
    seconds = time.perf_counter() - begun
    memory = peak()
    if target is not None:
        write_pixels(large, target)
        cache.put_saved(target, key)
    part = large[: high.shape[0], : high.shape[1]]
    try:
        scores = protocol.measure(part, high, factor=factor)
        others = perceptual.measure(part, high) if perceptual else {}
    except DataError as error:
        raise DataError(f"{pair.high}: {error}") from error
    score = ImageScore(pair.name, *scores, seconds, others)
    cache.put(key, score)
    return score, precision, memory


def _mean(
    model: str, data: DataSet, precision: str, images: Sequence[ImageScore], memory: int
) -> Result:
    return Result(
        model=model,
        data=data.name,
        factor=data.factor,
        precision=precision,
        psnr=float(np.mean([image.psnr for image in images])),
        ssim=float(np.mean([image.ssim for image in images])),
        seconds=sum(image.seconds for image in images),
        peak_memory=memory,
        images=tuple(images),
        perceptual={
            name: float(np.mean([image.perceptual[name] for image in images]))
            for name in images[0].perceptual
        },
    )


def evaluation_document(
    protocol: Protocol, results: Sequence[Result], perceptual: Perceptual | None = None
) -> dict[str, Any]:
    """The document of `enlarge evaluate --json`. An infinite PSNR is the string "inf"."""
    found = []
    for result in results:
        values = _flat(dict(vars(result)))
        values["images"] = [_flat(image._asdict()) for image in result.images]
        found.append(values)
    return {"protocol": protocol_document(protocol, perceptual), "results": found}


def protocol_document(protocol: Protocol, perceptual: Perceptual | None) -> dict[str, Any]:
    """The protocol for JSON, with the networks that compute LPIPS and DISTS, if they are used."""
    if perceptual is None:
        return protocol.to_dict()
    text = f"{protocol}; {perceptual}"
    return protocol.to_dict() | {"perceptual": list(perceptual.names), "text": text}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """A score for JSON, with LPIPS and DISTS after SSIM."""
    others = values.pop("perceptual")
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat[key] = json_safe(value) if key == "psnr" else value
        flat |= others if key == "ssim" else {}
    return flat


def _reset_peak() -> None:
    """Reset the process's peak memory, if the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # then the peak is that of the whole run
