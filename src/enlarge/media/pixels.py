"""Pixels brought into what a format can hold: another depth, or no transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_depth(band: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The band in another depth: full range to full range, rounded to the nearest level."""
    out: NDArray[Any] = band
    if band.dtype == dtype:
        pass
    elif dtype == np.float32:
        out = band.astype(np.float32) / np.float32(np.iinfo(band.dtype).max)
    elif band.dtype == np.float32:
        levels = np.float32(np.iinfo(dtype).max)
        out = (np.clip(band, 0.0, 1.0) * levels + np.float32(0.5)).astype(dtype)
    elif dtype == np.uint8:  # equals round(v / 257) for every v
        out = ((band.astype(np.uint32) * 255 + 32_895) >> 16).astype(np.uint8)
    else:
        out = band.astype(np.uint16) * np.uint16(257)
    return out


def over_white(band: NDArray[Any]) -> NDArray[Any]:
    """A band with straight alpha, composited over white in the picture's own encoding, without its
    alpha.
    """
    out: NDArray[Any]
    if band.dtype == np.float32:
        alpha = band[..., -1:]
        out = band[..., :-1] * alpha + (np.float32(1.0) - alpha)
        return out
    top = int(np.iinfo(band.dtype).max)
    wide: NDArray[Any] = band.astype(np.uint32 if band.dtype == np.uint8 else np.uint64)
    alpha = wide[..., -1:]
    out = (wide[..., :-1] * alpha + top * (top - alpha) + top // 2) // top
    return out.astype(band.dtype)
