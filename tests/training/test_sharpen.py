"""Sharpened HR as what is learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from enlarge.data.datasets import Batch
from enlarge.errors import OptionError
from enlarge.training.config import load_config
from enlarge.training.learner import MASK_SIGMA, to_unit, unsharp_mask
from tests.training.test_teaching import learner_of


def batch() -> Batch:
    random = torch.Generator().manual_seed(0)
    low = torch.randint(0, 256, (2, 3, 12, 12), generator=random, dtype=torch.uint8)
    high = torch.randint(0, 256, (2, 3, 48, 48), generator=random, dtype=torch.uint8)
    high[1] = 77
    return Batch(low, high, 3)


def test_it_is_an_unsharp_mask() -> None:
    high = 0.3 + 0.4 * torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(2))
    blurred = gaussian_filter(
        high.double().numpy(), (0, 0, MASK_SIGMA, MASK_SIGMA), mode="nearest", radius=(0, 0, 5, 5)
    )
    wanted = np.clip(high.numpy() + 0.8 * (high.numpy() - blurred), 0, 1)
    assert np.abs(unsharp_mask(high, 0.8).numpy() - wanted).max() < 1e-5


def test_the_loss_compares_with_it_and_flat_patches_stay(recipe: Path) -> None:
    given = batch()
    high = to_unit(given.high)
    assert torch.equal(learner_of(recipe, []).target(given), high)
    learner = learner_of(recipe, ["train.sharpen=0.7", "train.loss=l1"])
    wanted = learner.target(given)
    assert torch.equal(wanted[0], unsharp_mask(high, 0.7)[0])
    assert torch.equal(wanted[1], high[1])
    loss, _ = learner.loss_of(given)
    enlarged = learner.enlarge(to_unit(given.low))
    assert torch.allclose(loss, learner.criterion(enlarged, wanted)[0])
    assert not torch.allclose(loss, learner.criterion(enlarged, high)[0])


def test_a_negative_amount_is_refused(recipe: Path) -> None:
    with pytest.raises(OptionError, match=r"train\.sharpen must be 0 or more, got -1"):
        load_config(recipe, ["train.sharpen=-1"])
