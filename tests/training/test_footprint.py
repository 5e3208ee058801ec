from __future__ import annotations

import pytest

from enlarge.errors import BudgetError
from enlarge.training import footprint
from enlarge.training.config import Config, load_config
from enlarge.training.footprint import (
    Footprint,
    check_memory,
    fit_line,
    propose,
    upper_bound,
)
from tests.training.conftest import RECIPES

SMALL = ["model.network=edsr", "model.options={features: 16, blocks: 1}", "train.precision=f32"]
SMALL += ["train.batch=2", "train.device=cpu"]


def test_a_line_is_found() -> None:
    found = fit_line([(4096, 1_041_000), (16384, 1_163_840), (65536, 1_655_360)])
    assert found.base == pytest.approx(1_000_040, rel=1e-3)
    assert found.peak(2, 100) == pytest.approx(1_000_040 + 200_000, rel=1e-3)


def test_pixels_beyond_the_measured_ones_cost_less_and_room_is_the_inverse() -> None:
    found = Footprint(1e9, 20_000, measured=10_000, beyond=10_000)
    assert found.peak(1, 100) == 1_200_000_000
    assert found.peak(2, 100) == 1_300_000_000
    assert found.pixels(1.1e9) == pytest.approx(5_000)
    assert found.pixels(1.3e9) == pytest.approx(20_000)
    assert found.pixels(0.9e9) < 0


def test_what_does_not_fit_is_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(RECIPES / "edsr_baseline.yaml", ["train.device=cpu"])

    def measured(config: Config, limit: int) -> Footprint:
        return Footprint(5e8, 50_000 if config.train.checkpointing else 200_000)

    monkeypatch.setattr(footprint, "upper_bound", lambda config: None)
    monkeypatch.setattr(footprint, "measure_footprint", measured)
    monkeypatch.setattr(footprint, "default_budget", lambda: 2_000_000_000)
    with pytest.raises(BudgetError) as caught:
        check_memory(config)
    told = str(caught.value)
    assert "16 patches of 48² takes about 7.87 GB, this machine has 4 GB" in told
    assert "train.batch=4 train.accumulate=4 (the same steps)" in told
    assert "train.checkpointing=true" in told
    monkeypatch.setattr(footprint, "default_budget", lambda: 10_000_000_000)
    assert check_memory(config) == "a step takes about 7.87 GB of 20 GB"


def test_a_smaller_patch_is_proposed_for_one_whole_picture() -> None:
    config = load_config(RECIPES / "toy_edsr.yaml", ["train.patch=512", "train.checkpointing=true"])
    assert "train.batch=1 train.patch=328" in propose(config, Footprint(5e8, 20_000), 3e9)


def test_what_does_not_help_is_not_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "measure_footprint", lambda *_: Footprint(5e8, 200_000))
    config = load_config(RECIPES / "srgan.yaml", [])
    told = propose(config, Footprint(5e8, 200_000), 1e9)
    assert "checkpointing" not in told
    assert "accumulate" not in told
    assert "train.batch=2" in told


def test_the_discriminator_of_srgan_is_measured_at_its_own_patch() -> None:
    config = load_config(RECIPES / "srgan.yaml", [])
    assert footprint.shapes(config) == [(7, 24), (28, 24), (113, 24)]
    config = load_config(RECIPES / "srgan.yaml", ["train.patch=256"])
    assert footprint.shapes(config) == [(1, 256), (2, 256)]
    config = load_config(RECIPES / "esrgan.yaml", [])
    assert footprint.shapes(config) == [(1, 64), (1, 128), (1, 256)]


def test_a_small_step_is_bounded_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """EDSR of one block and 16 channels keeps at least the two maps of its block, of LR size."""
    config = load_config(RECIPES / "edsr_baseline.yaml", [*SMALL, "train.patch=64"])
    bound = upper_bound(config)
    assert bound is not None
    larger = upper_bound(load_config(RECIPES / "edsr_baseline.yaml", [*SMALL, "train.patch=128"]))
    assert larger is not None
    assert larger - bound > 3 * 2 * 64 * 64 * 2 * 16 * 4
    monkeypatch.setattr(footprint, "default_budget", lambda: bound)
    told = check_memory(config)
    assert told.startswith("a step takes less than 1")
    assert upper_bound(load_config(RECIPES / "srgan.yaml", [])) is None
    config = load_config(RECIPES / "edsr_baseline.yaml", [*SMALL, "train.checkpointing=true"])
    assert upper_bound(config) is None, "what is recomputed is not counted"


def test_a_step_is_measured_in_a_child() -> None:
    """Features of 16 channels at HR size cost at least their own bytes."""
    overrides = ["model.network=edsr", "model.options={features: 16, blocks: 1}"]
    overrides += ["train.precision=f32", "train.batch=1", "train.patch=512"]
    config = load_config(RECIPES / "edsr_baseline.yaml", overrides)
    found = footprint.measure_footprint(config, 64 * 10**9)
    assert found is not None
    assert found.measured == 256 * 256
    assert 16 * 16 * 4 < found.beyond <= found.per_pixel
    assert 16 * 16 * 4 < found.per_pixel < 100 * 16 * 16 * 4
    assert 50e6 < found.base < 2e9
    bound = upper_bound(config)
    assert bound is not None
    assert found.peak(1, 512) < bound
