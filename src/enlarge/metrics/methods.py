"""Ways to enlarge a picture, for evaluation: the classical kernels, and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.digests import file_digest
from enlarge.engines import EngineOptions
from enlarge.media.resample import Taps, apply_taps, imresize, round_half_up
from enlarge.metrics.protocol import levels
from enlarge.model_file import Weights
from enlarge.upscaler import Upscaler

Enlarge = Callable[[NDArray[Any], int], NDArray[Any]]


@dataclass(frozen=True)
class Method:
    """A way to enlarge: `run` takes (H, W, 3) and a factor.

    `precision`: the precision for pictures of a dtype ("" if there is only one). `identity`
    changes, or the precision does, whenever results may change: cached scores are then invalid.
    """

    name: str
    identity: str
    run: Enlarge
    precision: Callable[[np.dtype[Any]], str] = lambda _: ""


def bicubic_method() -> Method:
    """MATLAB's bicubic."""
    return Method("bicubic", "bicubic", lambda low, k: imresize(low, *_times(low, k)))


def lanczos_method() -> Method:
    """Lanczos with three lobes, edges replicated, aligned as in MATLAB."""
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
    """A model as a method. Its identity is the digest of its file, the engine and the device.

    `ensemble`: average over the eight flips and rotations of the picture; the method is NAME+.
    """
    upscaler = Upscaler(weights, EngineOptions(engine, device, precision))
    found = upscaler.engine(np.dtype(np.uint8))
    if found.name == "torch":
        from enlarge.engines.torch import parameters_of

        digest = file_digest(parameters_of(weights.path))
    else:
        digest = weights.stored_for(found.precision).digest

    def run(low: NDArray[Any], factor: int) -> NDArray[Any]:
        return np.asarray(upscaler.upscale(low, scale=factor, ensemble=ensemble))

    return Method(
        (name or weights.path.stem) + ("+" if ensemble else ""),
        f"{digest} {found.name} {found.device}{' ensembled' if ensemble else ''}",
        run,
        lambda dtype: upscaler.engine(dtype).precision,
    )


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
