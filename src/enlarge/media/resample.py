"""Bicubic resampling, equal to MATLAB's `imresize` in every value.

The kernel is Keys' cubic with a = -0.5 (R. Keys, "Cubic convolution interpolation for digital
image processing", 1981), stretched by the factor when shrinking (antialiasing), edges replicated.
The benchmarks of the field (Set5, Set14, DIV2K, …) were made with it; a network that is trained or
evaluated with another kernel cannot be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 32  # outputs of one matrix product


@dataclass(frozen=True)
class Taps:
    """The source samples of each output sample along one axis, with their weights.

    `indices` int64 (out, k), clipped to the source; `weights` float64 (out, k), rows sum to 1.
    """

    indices: NDArray[np.int64]
    weights: NDArray[np.float64]

    def rows(self, start: int, stop: int) -> tuple[int, int]:
        """The half-open range of source samples that the outputs `start:stop` read."""
        part = self.indices[start:stop]
        return int(part.min()), int(part.max()) + 1


def _keys_cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1.0, near, np.where(x <= 2.0, far, 0.0))


def bicubic_taps(source: int, target: int) -> Taps:
    """The taps that resample an axis of `source` samples to `target` samples (both at least 1)."""
    if source < 1 or target < 1:
        raise ValueError(f"an axis needs at least one sample, got {source} -> {target}")
    scale = target / source
    shrink = min(scale, 1.0)
    width = 4.0 / shrink
    centre = (np.arange(target, dtype=np.float64) + 0.5) / scale - 0.5
    first = np.floor(centre - width / 2.0).astype(np.int64) + 1
    indices = first[:, None] + np.arange(int(np.ceil(width)) + 1)
    weights = shrink * _keys_cubic(shrink * (centre[:, None] - indices))
    weights /= weights.sum(axis=1, keepdims=True)
    used = np.flatnonzero(np.any(weights != 0.0, axis=0))
    return Taps(np.clip(indices, 0, source - 1)[:, used], weights[:, used])


def apply_taps(image: NDArray[Any], taps: Taps, axis: int) -> NDArray[Any]:
    """Resample one axis. float32 stays float32; everything else is computed in float64, with each
    sum in MATLAB's order.
    """
    if image.dtype == np.float32:
        return _multiplied(image, taps, axis)
    shape = [1] * image.ndim
    shape[axis] = len(taps.indices)
    out: NDArray[Any] | None = None
    for index, weight in zip(taps.indices.T, taps.weights.T, strict=True):
        part = np.take(image, index, axis=axis) * weight.reshape(shape)
        if out is None:
            out = part
        else:
            out += part
    assert out is not None
    return out


def _multiplied(image: NDArray[np.float32], taps: Taps, axis: int) -> NDArray[np.float32]:
    """The same as matrix products: the taps are a band matrix, cut into dense blocks of rows."""
    moved = np.moveaxis(image, axis, 0)
    source = moved.reshape(len(moved), -1)
    out = np.empty((len(taps.indices), source.shape[1]), np.float32)
    for start in range(0, len(out), _BLOCK):
        stop = min(start + _BLOCK, len(out))
        first, last = taps.rows(start, stop)
        block = np.zeros((stop - start, last - first))
        rows = np.arange(stop - start)[:, None]
        np.add.at(block, (rows, taps.indices[start:stop] - first), taps.weights[start:stop])
        np.matmul(block.astype(np.float32), source[first:last], out=out[start:stop])
    return np.moveaxis(out.reshape(-1, *moved.shape[1:]), 0, axis)


def round_half_up(values: NDArray[Any], levels: int) -> NDArray[Any]:
    """Clamp to [0, `levels`] and round half up, as MATLAB converts to integers. Returns floats."""
    return np.clip(np.floor(values + 0.5), 0, levels)


def imresize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """MATLAB's `imresize(image, [height, width], "bicubic")`.

    `image`: H×W or H×W×C. Integer pictures keep their dtype and are rounded half up after each
    pass (vertical first); float pictures (of any range) are neither rounded nor clamped.
    """
    integer = np.issubdtype(image.dtype, np.integer)
    levels = int(np.iinfo(image.dtype).max) if integer else 0
    out: NDArray[Any] = image
    for axis, size in ((0, height), (1, width)):
        out = apply_taps(out, bicubic_taps(image.shape[axis], size), axis)
        if integer:
            out = round_half_up(out, levels)
    return out.astype(image.dtype)
