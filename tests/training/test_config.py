from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from enlarge.errors import OptionError
from enlarge.training.config import Config, as_yaml, from_dict, load_config
from enlarge.training.trial import fast_dev_run
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
        ("teacher.weight=2", "teacher.weight must lie between 0 and 1, got 2"),
        ("teacher.weight=0.5", "teacher.weight needs teacher.model"),
        ("teacher={model: fast, weight: 1, ensemble: true}", "teacher.ensemble is computed before"),
        ("teacher={model: start, weight: 1, regions: 9}", "teaches in every step"),
        ("teacher.regions=-1", "teacher.regions must be 0 or more"),
        ("train.device=gpu", "train.device is one of auto, cpu, cuda, mps, got 'gpu'"),
    ],
)
def test_a_wrong_key_is_named(override: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load_config(RECIPES / "fast.yaml", [override])


def test_a_run_needs_an_end() -> None:
    with pytest.raises(OptionError, match="needs an end"):
        load_config(RECIPES / "fast.yaml", ["train.steps=0"])


def test_a_loss_is_a_name_or_weights() -> None:
    assert load_config(RECIPES / "fast.yaml", ["train.loss=l2"]).train.loss == {"l2": 1.0}
    config = load_config(RECIPES / "fast.yaml", ["train.loss={l1: 1, fft: 0.05}"])
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


def test_what_a_recipe_says_of_its_pictures_holds_for_those_alone() -> None:
    """A model that somebody trains on their own pictures does not claim ours."""
    ours = load_config(RECIPES / "fast.yaml", [])
    assert "photographs" in ours.data.about
    assert ours.data.licence
    for override in ("data.photos=mine", "data.pairs=mine.csv"):
        theirs = load_config(RECIPES / "fast.yaml", [override])
        assert (theirs.data.about, theirs.data.licence) == ("", "")
    told = ["data.photos=mine", "data.about=my garden", "data.licence=CC0"]
    theirs = load_config(RECIPES / "fast.yaml", told)
    assert (theirs.data.about, theirs.data.licence) == ("my garden", "CC0")


def test_our_recipes_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("fast", "fast.yaml", "recipes/fast.yaml"):
        assert load_config(Path(name), []).name == "fast"
    for name in ("fasst", "elsewhere/fast.yaml"):
        with pytest.raises(
            OptionError, match=rf"no recipe at {name}; the shipped ones are: .*fast, "
        ):
            load_config(Path(name), [])
    (tmp_path / "fast").write_text("name: other\ntrain: {steps: 1}\n")
    assert load_config(Path("fast"), []).name == "other"
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(OptionError, match=r"must be a table of keys, got \[1\]"):
        load_config(tmp_path / "list.yaml", ["name=x"])


def test_the_whole_of_it_is_a_recipe(tmp_path: Path) -> None:
    config = load_config(RECIPES / "srgan.yaml", [])
    (tmp_path / "all.yaml").write_text(as_yaml(config))
    assert load_config(tmp_path / "all.yaml", []) == config
