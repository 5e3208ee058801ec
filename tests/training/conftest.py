"""Tiny photographs and pairs to train on, and an empty folder to train in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.data.photos import Pixels

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(autouse=True)
def freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's process keeps what it frees; the tests' processes would, to their end."""
    monkeypatch.setattr("enlarge.training.fit.keep_freed_memory", lambda: None)


def picture(height: int, width: int, seed: int) -> Pixels:
    """Soft shapes with some noise: something to learn."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16.0
    a, b, c = random.uniform(0.5, 2.0, 3)
    waves = np.stack([np.sin(a * x + y), np.cos(b * y), np.sin(x * c + a * y)], 2)
    return (127 + 100 * waves + random.normal(0, 8, waves.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures to train on."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(picture(70 + i, 90, i)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Five pairs of 20² and 80², in the Dacon layout."""
    folder = tmp_path / "pairs"
    for kind in ("lr", "hr"):
        (folder / kind).mkdir(parents=True)
    rows = ["LR,HR"]
    for i in range(5):
        high = picture(80, 80, 10 + i)
        Image.fromarray(high).save(folder / f"hr/{i}.png")
        Image.fromarray(high[1::4, 1::4]).save(folder / f"lr/{i}.png")
        rows.append(f"lr/{i}.png,hr/{i}.png")
    (folder / "train.csv").write_text("\n".join(rows))
    return folder / "train.csv"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, in which runs/ is made."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recipe(here: Path, photos: Path, pairs: Path) -> Path:
    """A tiny network on the photographs, judged by the pairs."""
    path = here / "tiny.yaml"
    path.write_text(
        f"name: tiny\n"
        f"data: {{photos: ['{photos}'], valid: ['{pairs}']}}\n"
        "model: {network: replain, options: {channels: 8, blocks: 1, taps: 2}}\n"
        "train: {steps: 6, batch: 2, patch: 12, check_every: 2, warmup: 1, lr: 0.02}\n"
    )
    return path
