"""Small pictures and pairs in the competition's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.data.photos import Pixels


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_archive(folder: Path, count: int, side: int, scale: int = 4) -> Path:
    """`count` pairs as the Dacon archive has them; returns the csv."""
    rows = ["LR,HR"]
    for kind in ("lr", "hr"):
        (folder / "train" / kind).mkdir(parents=True)
    for i in range(count):
        low = noise(side, side, i)
        high = np.repeat(np.repeat(low, scale, 0), scale, 1)
        Image.fromarray(low).save(folder / f"train/lr/{i:04d}.png", compress_level=1)
        Image.fromarray(high).save(folder / f"train/hr/{i:04d}.png", compress_level=1)
        rows.append(f"./train/lr/{i:04d}.png,./train/hr/{i:04d}.png")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return folder / "train.csv"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four pairs of 32² and 128²."""
    return write_archive(tmp_path / "archive", 4, 32)
