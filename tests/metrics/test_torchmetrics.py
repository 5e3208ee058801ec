"""PSNR, SSIM and MS-SSIM against torchmetrics, which pads where Wang's program does not.

torchmetrics reflects pictures beyond their edges before the window slides over them, and takes the
mean over all places. Wang's SSIM, scikit-image's and ours know only the places where the window
lies inside the picture. Place by place the three are one; the means differ by a few thousandths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from enlarge.media.resample import imresize
from enlarge.metrics import luma, ms_ssim, psnr, ssim
from enlarge.metrics.pictures import read_pixels
from enlarge.metrics.similarity import SCALES

WINDOW = 11
INSIDE = (..., slice(WINDOW // 2, -(WINDOW // 2)), slice(WINDOW // 2, -(WINDOW // 2)))
Pair = tuple[NDArray[Any], NDArray[Any]]


@pytest.fixture(scope="module")
def noisy() -> Pair:
    random = np.random.default_rng(1)
    first = random.integers(0, 256, (176, 208, 3), dtype=np.uint8)
    noise = random.normal(0, 25, first.shape)
    return first, np.clip(first + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def real(data: Path) -> Pair:
    """The bird of Set5 and its bicubic enlargement."""
    folder = data / "benchmarks/Set5/x4"
    high, low = (read_pixels(folder / side / "img_002.png") for side in ("HR", "LR"))
    return imresize(low, *high.shape[:2]), high


@pytest.fixture(params=["noisy", "real"])
def pair(request: pytest.FixtureRequest) -> Pair:
    found: Pair = request.getfixturevalue(request.param)
    return found


def tensor(picture: NDArray[Any]) -> Tensor:
    """(H, W) or (H, W, C) → (1, C, H, W), float64."""
    planes = picture.reshape(*picture.shape[:2], -1).astype(np.float64)
    return torch.from_numpy(planes).permute(2, 0, 1)[None]


def theirs(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """torchmetrics' SSIM and its map, as large as the picture."""
    found = structural_similarity_index_measure(
        first, second, data_range=255.0, return_full_image=True
    )
    assert isinstance(found, tuple)
    return found


def test_psnr(pair: Pair) -> None:
    """To 1e-5 dB: theirs takes its logarithms in f32."""
    first, second = map(tensor, pair)
    wanted = peak_signal_noise_ratio(first, second, data_range=255.0)
    assert psnr(*pair, data_range=255) == pytest.approx(float(wanted), abs=1e-5)


def test_ssim_where_the_window_lies_inside(pair: Pair) -> None:
    _, places = theirs(*map(tensor, pair))
    wanted = float(places[INSIDE].mean())
    assert ssim(*pair, data_range=255) == pytest.approx(wanted, abs=1e-9)


def test_ssim_with_their_edges(pair: Pair) -> None:
    """What a user sees who compares the two: near, and not the same."""
    wanted, _ = theirs(*map(tensor, pair))
    assert ssim(*pair, data_range=255) == pytest.approx(float(wanted), abs=5e-3)


def test_ms_ssim(pair: Pair) -> None:
    """On Y, theirs put right at the coarsest scale, the only one where it keeps what it padded."""
    first, second = (luma(picture)[:176, :208] for picture in pair)
    x, y = tensor(first), tensor(second)
    found = multiscale_structural_similarity_index_measure(x, y, data_range=255.0, betas=SCALES)
    for _ in SCALES[1:]:
        x, y = (torch.nn.functional.avg_pool2d(value, 2) for value in (x, y))
    padded, places = theirs(x, y)
    wanted = float(found * (places[INSIDE].mean() / padded) ** SCALES[-1])
    assert ms_ssim(first, second, data_range=255) == pytest.approx(wanted, abs=1e-7)
    assert ms_ssim(first, second, data_range=255) == pytest.approx(float(found), abs=5e-3)
