"""A small model of ncnn, ×2, as upscayl's are built, and the same computed by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from tests.weights.ncnn.cases import stored

PARAM = """7767517
8 9
Input        data  0 1 data 0=0 1=0 2=0
Split        twice 1 2 data data_0 data_1
Convolution  conv1 1 1 data_0 a 0=8 1=3 4=1 5=1 6=216
PReLU        act   1 1 a b 0=8
Convolution  conv2 1 1 b c 0=12 1=3 4=1 5=1 6=864
PixelShuffle up    1 1 c d 0=2
Interp       base  1 1 data_1 e 0=1 1=2.000000e+00 2=2.000000e+00
BinaryOp     add   2 1 d e output 0=0
"""


def arrays() -> list[NDArray[np.float32]]:
    """The weights in the order in which the layers read them."""
    random = np.random.default_rng(3)
    shapes: list[tuple[int, ...]] = [(8, 3, 3, 3), (8,), (8,), (12, 8, 3, 3), (12,)]
    return [random.normal(0.0, 0.05, shape).astype(np.float32) for shape in shapes]


def content() -> bytes:
    """The weights: of the convolutions in f16 and f32, the others raw."""
    forms = ("f16", "raw", "raw", "f32", "raw")
    return b"".join(stored(f, a.reshape(-1)) for f, a in zip(forms, arrays(), strict=True))


def write_pair(folder: Path, name: str = "tiny") -> Path:
    """Write both files. Returns the list of layers."""
    (folder / f"{name}.bin").write_bytes(content())
    path = folder / f"{name}.param"
    path.write_text(PARAM, encoding="utf-8")
    return path


def in_torch(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, 3, H, W) → (1, 3, 2H, 2W)."""
    first, bias, slopes, second, more = map(torch.from_numpy, arrays())
    x = torch.from_numpy(image)
    y = F.prelu(F.conv2d(x, first.half().float(), bias, padding=1), slopes)
    y = F.pixel_shuffle(F.conv2d(y, second, more, padding=1), 2)
    return (y + F.interpolate(x, scale_factor=2, mode="nearest")).numpy()
