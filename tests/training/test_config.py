from __future__ import annotations

from dataclasses import asdict

import pytest

from enlarge.errors import OptionError
from enlarge.training.config import Config, fast_dev_run, from_dict, load_config
from tests.training.conftest import RECIPES


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "unknown key train.stepz"),
        ("trian.steps=3", "unknown key trian"),
        ("train.steps=many", "train.steps must be int"),
        ("train.steps=true", "train.steps must be int"),
        ("train.lr=high", "train.lr must be a number"),
        ("train.loss.l1=much", "train.loss.l1 must be a number"),
        ("train.optimizer=sgdm", "train.optimizer is one of muon, adamw, adam, got 'sgdm'"),
        ("data.crops=all", "data.crops is one of random, grid"),
        ("train.checkpointing=1", "train.checkpointing must be bool"),
        ("train", "key=value"),
        ("train.lr.x=1", "not a table"),
        ("train.batch=0", "train.batch must be at least 1"),
        ("train.ignore_border=40", "leaves nothing of train.patch"),
        ("adversarial.weight=1", "adversarial.weight and train.optimizer muon"),
        ("model=x", "must be a table"),
        ("name=.", "name is that of a folder in runs/, got '.'"),
        ("name=../other", "name is that of a folder in runs/"),
        ("name=/tmp/other", "name is that of a folder in runs/"),
        ("train.minutes=-1", "train.minutes must be 0 or more, got -1"),
        ("train.ema=1.5", "train.ema must lie between 0 and 1, got 1.5"),
        ("data.share=12", "data.share must lie between 0 and 1, got 12"),
        ("train.device=gpu", "train.device is one of auto, cpu, cuda, mps, got 'gpu'"),
    ],
)
def test_a_wrong_key_is_named(override: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_config(RECIPES / "fast_flat.yaml", [override])


def test_a_run_needs_an_end() -> None:
    with pytest.raises(OptionError, match="needs an end"):
        load_config(RECIPES / "fast_flat.yaml", ["train.minutes=0"])


def test_a_loss_is_a_name_or_weights() -> None:
    assert load_config(RECIPES / "fast_flat.yaml", ["train.loss=l2"]).train.loss == {"l2": 1.0}
    config = load_config(RECIPES / "fast_flat.yaml", ["train.loss={l1: 1, fft: 0.05}"])
    assert config.train.loss == {"l1": 1.0, "fft": 0.05}


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_config_survives_being_written_down(recipe: object) -> None:
    config = load_config(recipe, [])  # type: ignore[arg-type]
    assert from_dict(asdict(config)) == config
    assert config.name == recipe.stem  # type: ignore[attr-defined]


def test_a_trial_run_is_two_small_steps() -> None:
    train = fast_dev_run(load_config(RECIPES / "deck_hybrid.yaml", [])).train
    assert (train.steps, train.epochs, train.minutes) == (2, 0, 0)
    assert (train.batch, train.accumulate, train.patch) == (1, 1, 32)
    assert Config().train.loss == {"l1": 1.0}
