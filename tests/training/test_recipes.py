"""Every shipped recipe takes two steps, with its network at a small size where it is large.

`python -m benchmarks.proofs recipes` takes them with the networks at their full size.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enlarge.cli import run
from enlarge.networks import build
from enlarge.training.config import load_config
from tests.training.conftest import RECIPES

SHIPPED = {
    "deck_hybrid",
    "deck_hybrid_2",
    "edsr_baseline",
    "edswin_s",
    "quality",
    "quality-x2",
    "fast-x2",
    "photo",
    "photo-fast",
    "photo-fast_flat",
    "photo-sharp",
    "esrgan",
    "fast",
    "real_photo",
    "srgan",
    "swinir_light",
    "toy_edsr",
    "toy_swinir",
}

SMALL = {
    "edswin-deck-64": "{features: 16, blocks: 2, depths: [2, 2], heads: [6, 6]}",
    "rrdb": "{blocks: 2}",
}
"""Options for the networks of more than two million parameters."""


def test_all_are_there() -> None:
    assert {path.stem for path in RECIPES.glob("*.yaml")} >= SHIPPED


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_runs(recipe: Path, photos: Path, pairs: Path, here: Path) -> None:
    config = load_config(recipe, [])
    overrides = [f"data.pairs=[{pairs}]"] if config.data.pairs else []
    overrides += [f"data.photos=[{photos}]"] if config.data.photos or not overrides else []
    patch = 8 if config.adversarial.discriminator == "srgan" and config.adversarial.weight else 16
    overrides += [f"train.patch={patch}"]
    if options := SMALL.get(config.model.network):
        overrides += [f"model.options={options}"]
    with torch.device("meta"):
        network = build(config.model.network, **load_config(recipe, overrides).model.options)
    assert sum(parameter.numel() for parameter in network.parameters()) < 2e6
    assert run(["train", str(recipe), *overrides, "--fast-dev-run", "--quiet"]) == 0
    assert not (here / "runs").exists()
