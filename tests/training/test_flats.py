"""The loss on pictures of a single colour."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from enlarge.errors import OptionError
from enlarge.training.config import load_config
from enlarge.training.flats import COUNT, HIDDEN, LEAST, MOST, WORST, flat_loss, flat_pictures
from enlarge.training.trial import fast_dev_run
from tests.training.conftest import RECIPES
from tests.training.test_teaching import learner_of


def test_flat_pictures_are_flat_and_of_all_kinds() -> None:
    sizes = set()
    for number in range(20):
        flat = flat_pictures(1, number)
        assert flat.shape[:2] == (COUNT, 3)
        assert (flat == flat[:, :, :1, :1]).all()
        assert (flat[: COUNT // 2] == flat[: COUNT // 2, :1]).all()
        assert (flat[0] == 0).all()
        assert (flat[1] == 1).all()
        assert all(LEAST <= side <= MOST for side in flat.shape[2:])
        sizes.add(flat.shape[2:])
    assert len(sizes) > 10
    assert torch.equal(flat_pictures(1, 3), flat_pictures(1, 3))


def test_the_loss_counts_what_rounding_does_not_hide() -> None:
    flat = torch.tensor([0.5, 1.0, 0.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    right = flat.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert flat_loss(right, flat) == 0
    assert flat_loss(right + (HIDDEN - 0.01) / 255, flat) == 0
    beyond = torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1, 1)  # above gray, at white, below black
    assert flat_loss(right + beyond, flat) == pytest.approx(
        float(flat_loss((right + beyond)[:1], flat[:1])) / 3
    )
    one = right.clone()
    one[0, 0, 0, 0] += 2.3 / 255
    pixels = right[0].numel() * 3
    assert float(flat_loss(one, flat)) == pytest.approx(4.0 / pixels + WORST * 4.0 / 3, rel=1e-3)


def test_it_is_added_to_the_loss_of_a_batch(recipe: Path) -> None:
    from enlarge.data.datasets import Batch

    random = torch.Generator().manual_seed(0)
    low = torch.randint(0, 256, (2, 3, 12, 12), generator=random, dtype=torch.uint8)
    batch = Batch(low, low.repeat_interleave(4, 2).repeat_interleave(4, 3), 7)
    plain, _ = learner_of(recipe, []).loss_of(batch)
    learner = learner_of(recipe, ["train.flats=4"])
    loss, parts = learner.loss_of(batch)
    flat = flat_pictures(learner.config.train.seed, 7)
    off = flat_loss(learner.enlarge(flat), flat)
    assert torch.allclose(loss, plain + 4 * off)
    assert torch.allclose(parts["flats"], off)
    assert off > 0


def test_a_discriminator_does_not_go_with_it() -> None:
    with pytest.raises(OptionError, match=r"train\.flats and adversarial\.weight do not go"):
        load_config(RECIPES / "srgan.yaml", ["train.flats=1"])


def test_the_recipe_holds_the_network_to_what_it_was() -> None:
    config = fast_dev_run(load_config(RECIPES / "fast_flat.yaml", []))
    assert (config.teacher.model, config.teacher.weight) == ("start", 1.0)
    assert config.train.flats == 4.0
