"""The projected discriminator's training: what is weighted, compared and shown."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enlarge.data.datasets import Batch
from enlarge.errors import EngineError, OptionError
from enlarge.networks import build
from enlarge.training.config import load_config
from enlarge.training.projected import (
    FLAT,
    TEXTURED,
    WINDOW,
    EfficientNetLite0,
    ProjectedLearner,
    View,
    feature_distance,
    flat_difference,
    grid_energy,
    hinge,
    texture,
    visible,
    without_edges,
    without_grain,
)

TINY = [
    "adversarial.weight=0.03",
    "adversarial.features=0.05",
    "adversarial.lr=0.003",
    "adversarial.discriminator=projected",
    "adversarial.options={features: 8}",
    "train.optimizer=adam",
    "train.lr=0.001",
    "train.warmup=1",
    "train.precision=f32",
    "model.network=srresnet",
    "model.options={features: 8, blocks: 1}",
]


def halves(sigma: float) -> torch.Tensor:
    """(1, 3, 64, 128): gray on the left, gray noise of that standard deviation on the right."""
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * sigma
    flat = torch.full_like(noise, 0.5)
    return torch.cat([flat, flat + noise], dim=3).expand(-1, 3, -1, -1).contiguous()


def test_texture_is_the_local_deviation_of_luma() -> None:
    picture = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1)) * 0.05 + 0.4
    luma = np.tensordot([0.299, 0.587, 0.114], picture[0].double().numpy(), 1)
    windows = np.lib.stride_tricks.sliding_window_view(luma, (WINDOW, WINDOW))
    wanted = np.clip((windows.std((2, 3)) - FLAT) / (TEXTURED - FLAT), 0, 1)
    pad = WINDOW // 2
    found = texture(picture)[0, 0, pad:-pad, pad:-pad].numpy()
    assert found == pytest.approx(wanted, abs=2e-3)
    assert 0.1 < wanted.mean() < 0.99


def test_grain_goes_where_it_is_flat_and_texture_stays() -> None:
    faint, strong = halves(1.5 / 255), halves(20 / 255)
    for picture, kept in ((faint, False), (strong, True)):
        smooth = without_grain(picture, texture(picture))
        right = (slice(None), slice(None), slice(16, 48), slice(80, 112))
        share = float(smooth[right].std() / picture[right].std())
        assert share > 0.99 if kept else share < 0.4


def test_the_feature_distance_is_that_of_unit_vectors() -> None:
    generator = torch.Generator().manual_seed(2)
    a, b = ([torch.randn(2, c, 5, 4, generator=generator) for c in (3, 7)] for _ in range(2))
    weights = [torch.rand(2, 1, 5, 4, generator=generator) for _ in range(2)]
    wanted = 0.0
    for x, y, weight in zip(a, b, weights, strict=True):
        u, v = x.double().numpy(), y.double().numpy()
        u, v = (w / np.linalg.norm(w, axis=1, keepdims=True) for w in (u, v))
        wanted += float((weight.numpy()[:, 0] * ((u - v) ** 2).sum(1)).mean())
    assert float(feature_distance(a, b, weights)) == pytest.approx(wanted, rel=1e-5)


def test_the_hinge_loss_is_that_of_the_weighted_places() -> None:
    logits, weights = torch.tensor([[[[2.0, -0.5, 9.0]]]]), torch.tensor([[[[1.0, 2.0, 0.0]]]])
    assert float(hinge([logits], 1.0, [weights])) == pytest.approx(2 * 1.5 / 3)
    assert float(hinge([logits], -1.0, [weights])) == pytest.approx((3.0 + 2 * 0.5) / 3)
    assert float(hinge([logits], 1.0, [weights * 0])) == 0


def test_edges_in_any_direction_are_no_texture() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for across in (x, y, x + y, 2 * x - y):
        edge = ((across - across.mean()) / 3).sigmoid().expand(1, 3, 64, 64) * 0.5 + 0.2
        assert float(without_edges(edge)[..., 28:36, 28:36].max()) < 0.1
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(7))
    assert float(without_edges(noise).mean()) > 0.95


def test_what_noise_or_blur_hides_is_not_visible() -> None:
    generator = torch.Generator().manual_seed(6)
    coarse = torch.rand(1, 3, 24, 48, generator=generator) * 0.3 + 0.3
    high = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bicubic")
    low = torch.nn.functional.interpolate(high, (24, 48), mode="bicubic", antialias=True)
    assert float(visible(low, high).min()) == 1
    assert float(visible(low * 0.9 + 0.05, high).min()) == 1  # faded
    noisy = low.clone()
    noisy[..., 24:] += torch.randn(1, 3, 24, 24, generator=generator) * 0.3
    shown = visible(noisy, high)
    assert shown.shape == (1, 1, 96, 192)
    assert float(shown[..., :72].min()) == 1
    assert float(shown[..., 120:].max()) < 0.1
    blurred = torch.nn.functional.avg_pool2d(low, 9, stride=1, padding=4, count_include_pad=False)
    assert float(visible(blurred, high).mean()) < 0.2


def test_only_flat_places_count_as_flat() -> None:
    picture = halves(20 / 255)
    textured = texture(picture)
    left, right = torch.zeros_like(picture), torch.zeros_like(picture)
    left[..., :32], right[..., 96:] = 0.1, 0.1
    assert float(flat_difference(picture + left, picture, textured)) == pytest.approx(0.025)
    assert float(flat_difference(picture + right, picture, textured)) == pytest.approx(0, abs=1e-3)


def test_a_grid_is_what_repeats_with_the_inputs_pixels() -> None:
    generator = torch.Generator().manual_seed(5)
    high = torch.rand(2, 3, 132, 196, generator=generator)
    tile = torch.zeros(4, 4)
    tile[1, 2] = 0.16  # its mean is 0.01
    pattern = tile.repeat(33, 49)
    wanted = float(np.sqrt(np.square(tile.numpy() - 0.01).mean()))
    assert float(grid_energy(high + pattern, high, 4)) == pytest.approx(wanted, rel=1e-5)
    assert float(grid_energy(high + 0.2, high, 4)) < 2e-5
    noise = torch.randn(high.shape, generator=generator) * 0.16
    assert float(grid_energy(high + noise, high, 4)) < 0.16 / 8
    small = high[..., :20, :20]
    assert float(grid_energy(small + pattern[:20, :20], small, 4)) == pytest.approx(
        wanted, rel=1e-5
    )


def test_a_view_is_the_same_for_both_and_differs_between_steps() -> None:
    torch.manual_seed(0)
    views = [View.random() for _ in range(20)]
    picture = halves(0.1)
    assert torch.equal(views[0](picture), views[0](picture))
    assert len({(view.top, view.left) for view in views}) > 5
    factors = [view.factor for view in views]
    assert 0.8 <= min(factors) < 0.95 < 1.15 < max(factors) <= 1.3
    assert views[0](picture).shape[2] == round(64 * views[0].factor) - views[0].top


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(EngineError, match="pip install efficientnet-lite-pytorch"):
        EfficientNetLite0()


def test_an_unknown_option_is_named(recipe: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    config = load_config(recipe, [*TINY, "adversarial.options={depth: 4}"])
    network = build(config.model.network, **config.model.options)
    with pytest.raises(OptionError, match=r"adversarial\.options of projected: .*depth"):
        ProjectedLearner(config, network)


@pytest.fixture
def learner(recipe: Path) -> ProjectedLearner:
    pytest.importorskip("efficientnet_lite_pytorch")
    config = load_config(recipe, TINY)
    torch.manual_seed(0)
    return ProjectedLearner(
        config, build(config.model.network, **config.model.options), max_steps=100
    )


def test_the_maps_are_the_classifiers(learner: ProjectedLearner) -> None:
    """The last one is what its own feature extractor goes through on the way to its head."""
    frozen = learner.frozen[0]
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    seen: list[torch.Tensor] = []
    hook = frozen.network._blocks[15].register_forward_hook(lambda m, i, o: seen.append(o))
    with torch.no_grad():
        frozen.network.extract_features((image - frozen.mean) / frozen.deviation)
        hook.remove()
        maps = frozen(image)
    assert torch.equal(maps[-1], seen[0])
    assert [64 // found.shape[2] for found in maps] == [2, 4, 8, 16, 32]


def test_both_networks_learn(learner: ProjectedLearner, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one repeated batch the heads learn to tell, and the classifier stays as it is."""
    optimizers = learner.configure_optimizers()
    monkeypatch.setattr(learner, "manual_backward", lambda loss: loss.backward())
    monkeypatch.setattr(learner, "own_optimizers", lambda: list(optimizers))
    monkeypatch.setattr(learner, "progress", lambda: 0.0)
    monkeypatch.setattr(learner, "after_step", lambda: None)
    notes: list[dict[str, float]] = []

    def note(losses: Any, batch: Batch) -> None:
        notes.append({name: value.item() for name, value in losses.items()})

    monkeypatch.setattr(learner, "add_losses", note)
    generator = torch.Generator().manual_seed(4)
    high = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=generator)
    low = torch.nn.functional.avg_pool2d(high.float(), learner.scale).round().byte()
    frozen = {k: v.clone() for k, v in learner.frozen[0].state_dict().items()}
    drawn = [p.clone() for p in learner.discriminator.projections.parameters()]
    before = [p.clone() for p in learner.network.parameters()]
    for _ in range(20):
        learner.training_step(Batch(low, high, 0), 0)
    assert notes[-1]["discriminator"] < notes[0]["discriminator"]
    assert notes[-1]["loss"] < notes[0]["loss"]
    assert any(
        not torch.equal(a, b) for a, b in zip(before, learner.network.parameters(), strict=True)
    )
    for key, value in learner.frozen[0].state_dict().items():
        assert torch.equal(value, frozen[key]), key
    for now, then in zip(learner.discriminator.projections.parameters(), drawn, strict=True):
        assert torch.equal(now, then)
    assert not any(key.startswith("frozen") for key in learner.state_dict())
