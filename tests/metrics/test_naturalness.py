"""NIQE against MATLAB's value, and where it has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from enlarge.errors import DataError
from enlarge.metrics import niqe
from enlarge.metrics.pictures import read_pixels


def test_equal_to_matlab_on_the_baboon(data: Path) -> None:
    """BasicSR documents MATLAB R2021a's value for Set14's baboon, 5.72957338; a Y that lies between
    two levels is rounded the other way in single precision, hence the tolerance."""
    baboon = read_pixels(data / "benchmarks/Set14/x4/HR/img_001.png")
    assert niqe(baboon) == pytest.approx(5.72957338, abs=5e-4)


def test_blur_and_noise_are_less_natural(data: Path) -> None:
    picture = read_pixels(data / "benchmarks/Set14/x4/HR/img_001.png")[:288, :288]
    noise = np.random.default_rng(1).normal(0, 40, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    large = picture[::3, ::3].repeat(3, axis=0).repeat(3, axis=1)
    assert niqe(picture) < niqe(noisy)
    assert niqe(picture) < niqe(large)


def test_what_it_cannot_judge() -> None:
    with pytest.raises(DataError, match="192×96 pixels, got 100×100×3"):
        niqe(np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(DataError, match="texture"):
        niqe(np.zeros((200, 200, 3), np.uint8))
