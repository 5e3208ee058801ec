"""Models judged on data sets: every picture enlarged, measured, and kept for the next run."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from enlarge import __version__
from enlarge.digests import file_digest
from enlarge.errors import DataError
from enlarge.media.resample import Taps, apply_taps, imresize, round_half_up
from enlarge.memory import peak
from enlarge.metrics.pairs import DataSet, Pair, load
from enlarge.metrics.pictures import write_pixels
from enlarge.metrics.protocol import Protocol, levels
from enlarge.upscaler import Upscaler
from enlarge.weights.files import Weights

if TYPE_CHECKING:
    from enlarge.metrics.perceptual import Perceptual

Enlarge = Callable[[NDArray[Any], int], NDArray[Any]]


@dataclass(frozen=True)
class Method:
    """Something that enlarges: `run` takes (H, W, 3) and a factor. `precision` says what pictures
    of a dtype are computed in ("" where that is no question). Whenever its results may change,
    `identity` or the precision does: what is kept of it counts no longer.
    """

    name: str
    identity: str
    run: Enlarge
    precision: Callable[[np.dtype[Any]], str] = lambda _: ""


class ImageScore(NamedTuple):
    """One picture: PSNR in dB, SSIM, the seconds that enlarging it took, and LPIPS and DISTS by
    their names where they were wished for.
    """

    name: str
    psnr: float
    ssim: float
    seconds: float
    perceptual: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class Result:
    """A method on a data set: means over pictures, seconds of enlarging in all, and the process's
    peak memory in bytes while it enlarged (0: unknown, or all taken from the cache).
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
"""Called with the method, the data set, what is done, and of how many pictures."""


def bicubic() -> Method:
    """MATLAB's bicubic."""
    return Method("bicubic", "bicubic", lambda low, k: imresize(low, *_times(low, k)))


def lanczos() -> Method:
    """The Lanczos kernel of three lobes, edges replicated, placed as MATLAB places it."""
    return Method("lanczos", "lanczos3", _lanczos)


def model_method(
    weights: Weights,
    *,
    name: str = "",
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    ensemble: bool = False,
) -> Method:
    """A model file as a method; its identity is the digest of the file that is read and what it
    runs on.

    `ensemble`: the mean over the eight flips and rotations of the picture, called NAME+.
    """
    upscaler = Upscaler(weights, engine=engine, device=device, precision=precision)
    found = upscaler.engine(np.dtype(np.uint8))
    file = weights.path
    if found.name == "torch":
        from enlarge.engines.torch import parameters_of

        file = parameters_of(file)
    digest = file_digest(file)

    def run(low: NDArray[Any], factor: int) -> NDArray[Any]:
        return np.asarray(upscaler.upscale(low, scale=factor, ensemble=ensemble))

    return Method(
        (name or weights.path.stem) + ("+" if ensemble else ""),
        f"{digest} {found.name} {found.device}{' ensembled' if ensemble else ''}",
        run,
        lambda dtype: upscaler.engine(dtype).precision,
    )


class Kept:
    """Scores of earlier runs, by a digest of all that they depend on, and which of them the saved
    pictures belong to: a file of JSON lines, each added as it is found. Without a path nothing is
    kept beyond the run.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._scores: dict[str, ImageScore] = {}
        self._saved: dict[str, str] = {}
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
                self._take(line)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot keep scores there ({error})") from error

    def _take(self, line: str) -> None:
        try:
            key, *values = json.loads(line)
            if len(values) == 1:
                self._saved[str(key)] = str(values[0])
                return
            psnr, ssim, seconds, perceptual = values
            scores = (float(psnr), float(ssim), float(seconds))
            found = {str(name): float(value) for name, value in perceptual.items()}
            self._scores[str(key)] = ImageScore("", *scores, found)
        except (ValueError, TypeError, AttributeError):
            return  # a line that was cut off when a run was killed

    def get(self, key: str) -> ImageScore | None:
        """The score, without its picture's name, if it is known."""
        return self._scores.get(key)

    def put(self, key: str, score: ImageScore) -> None:
        """Keep a score, on the disk at once."""
        self._scores[key] = score
        _, psnr, ssim, seconds, perceptual = score
        self._add([key, json_safe(psnr), ssim, seconds, dict(perceptual)])

    def has_saved(self, target: Path, key: str) -> bool:
        """Whether the picture at `target` is there, and the one that the score is of."""
        return self._saved.get(self._place(target)) == key and target.exists()

    def put_saved(self, target: Path, key: str) -> None:
        """Remember which score the picture at `target` belongs to."""
        self._saved[self._place(target)] = key
        self._add([self._place(target), key])

    def _place(self, target: Path) -> str:
        """The picture's path as seen from the file of scores: both may move together."""
        return os.path.relpath(target, self._path.parent) if self._path else str(target.resolve())

    def _add(self, values: list[Any]) -> None:
        if self._path is None:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" + json.dumps(values))
        except OSError as error:
            raise DataError(f"{self._path}: cannot keep scores there ({error})") from error


def evaluate(
    methods: Sequence[Method],
    data: DataSet,
    protocol: Protocol,
    *,
    perceptual: Perceptual | None = None,
    kept: Kept | None = None,
    save: Path | None = None,
    watch: Watch | None = None,
) -> list[Result]:
    """Judge every method on one data set, in the order given.

    `perceptual`: LPIPS and DISTS as well. `save`: a folder for the enlarged pictures, as
    DATA/METHOD/NAME.png. Raises `DataError`, `InputError` or `OutputError`.
    """
    kept = kept or Kept(None)
    results = []
    for method in methods:
        images: list[ImageScore] = []
        precisions: set[str] = set()
        memory = 0
        for done, pair in enumerate(data.pairs):
            if watch is not None:
                watch(method.name, data.name, done, len(data.pairs))
            target = save / data.name / method.name / f"{pair.name}.png" if save else None
            score, precision, used = _judged(
                method, pair, data.factor, protocol, perceptual, kept, target
            )
            images.append(score)
            precisions.add(precision)
            memory = max(memory, used)
        if watch is not None:
            watch(method.name, data.name, len(images), len(images))
        results.append(_summed(method.name, data, ", ".join(sorted(precisions)), images, memory))
    return results


def _judged(
    method: Method,
    pair: Pair,
    factor: int,
    protocol: Protocol,
    perceptual: Perceptual | None,
    kept: Kept,
    target: Path | None,
) -> tuple[ImageScore, str, int]:
    """A picture's score, its precision, and the peak memory of enlarging it (0 where that was not
    needed).
    """
    low, high, digest = load(pair, factor)
    precision = method.precision(low.dtype)
    parts = [method.identity, precision, digest, str(factor), repr(protocol), __version__]
    parts += [str(perceptual)] if perceptual else []
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    found = kept.get(key)
    if found is not None and (target is None or kept.has_saved(target, key)):
        return found._replace(name=pair.name), precision, 0
    _forget_peak()
    begun = time.perf_counter()
    large = method.run(low, factor)
    seconds = time.perf_counter() - begun
    memory = peak()
    if target is not None:
        write_pixels(large, target)
        kept.put_saved(target, key)
    part = large[: high.shape[0], : high.shape[1]]
    try:
        scores = protocol.measure(part, high, factor=factor)
        others = perceptual.measure(part, high) if perceptual else {}
    except DataError as error:
        raise DataError(f"{pair.high}: {error}") from error
    score = ImageScore(pair.name, *scores, seconds, others)
    kept.put(key, score)
    return score, precision, memory


def _summed(
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


def to_document(
    protocol: Protocol, results: Sequence[Result], perceptual: Perceptual | None = None
) -> dict[str, Any]:
    """What `enlarge evaluate --json` prints; an infinite PSNR is the string "inf"."""
    found = []
    for result in results:
        values = _flat(dict(vars(result)))
        values["images"] = [_flat(image._asdict()) for image in result.images]
        found.append(values)
    return {"protocol": protocol_document(protocol, perceptual), "results": found}


def protocol_document(protocol: Protocol, perceptual: Perceptual | None) -> dict[str, Any]:
    """The protocol for JSON, with what LPIPS and DISTS are computed by, where they are."""
    if perceptual is None:
        return protocol.to_dict()
    text = f"{protocol}; {perceptual}"
    return protocol.to_dict() | {"perceptual": list(perceptual.names), "text": text}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """A score as JSON has it: LPIPS and DISTS behind SSIM, where they are."""
    others = values.pop("perceptual")
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat[key] = json_safe(value) if key == "psnr" else value
        flat |= others if key == "ssim" else {}
    return flat


def json_safe(value: float) -> float | str:
    """A number as JSON can hold it: "inf" for infinity."""
    return "inf" if math.isinf(value) else value


def in_db(value: float) -> str:
    """A PSNR for people: two digits, or ∞."""
    return "∞" if math.isinf(value) else f"{value:.2f}"


def _forget_peak() -> None:
    """Let the system count the process's peak memory afresh, where it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak is then that of the whole run


def _times(low: NDArray[Any], factor: int) -> tuple[int, int]:
    return low.shape[0] * factor, low.shape[1] * factor


def _lanczos(low: NDArray[Any], factor: int) -> NDArray[Any]:
    out: NDArray[Any] = low.astype(np.float64)
    for axis in (0, 1):
        out = apply_taps(out, _lanczos_taps(low.shape[axis], factor), axis)
    if np.issubdtype(low.dtype, np.integer):
        out = round_half_up(out, int(levels(low)))
    return out.astype(low.dtype)


def _lanczos_taps(source: int, factor: int) -> Taps:
    centre = (np.arange(source * factor) + 0.5) / factor - 0.5
    indices = np.floor(centre).astype(np.int64)[:, None] + np.arange(-2, 4)
    distance = centre[:, None] - indices
    weights = np.sinc(distance) * np.sinc(distance / 3.0) * (np.abs(distance) < 3.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(np.clip(indices, 0, source - 1), weights)
