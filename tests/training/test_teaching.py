"""Runs with a teacher, whose results were made beforehand or are made in every step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import enlarge
from enlarge.data.datasets import Batch, to_planes
from enlarge.data.patches import Patches
from enlarge.errors import OptionError
from enlarge.networks import build
from enlarge.training.config import load_config
from enlarge.training.devices import with_precision
from enlarge.training.fit import fit
from enlarge.training.learner import Learner, to_unit
from enlarge.training.losses import l1
from enlarge.training.teaching import learn_beforehand, region_sampling, teacher_in_steps
from enlarge.training.training_data import load_training_data
from enlarge.training.trial import fast_dev_run

BEFORE = ["teacher={model: fast, weight: 0.75, regions: 3, side: 14}"]
IN_STEPS = ["teacher={model: fast, weight: 0.75}"]


def learner_of(recipe: Path, overrides: list[str]) -> Learner:
    config = with_precision(load_config(recipe, [*overrides, "train.precision=f32"]))
    torch.manual_seed(0)
    network = build(config.model.network, **config.model.options)
    return Learner(config, network, teacher=teacher_in_steps(config))


def test_results_are_the_models_own(recipe: Path, here: Path) -> None:
    config = load_config(recipe, BEFORE)
    data = load_training_data(config, 4)
    pairs = learn_beforehand(config, data, 4, here / "taught")
    low, high, _ = Patches(data.train, region_sampling(config, data, 4)).batch(2, 1)
    assert low.shape == (1, 14, 14, 3)
    assert np.array_equal(pairs[2].low, low[0])
    assert np.array_equal(pairs[2].high, high[0])
    taught = pairs[2].taught
    assert taught is not None
    assert np.array_equal(taught, enlarge.upscale(low[0], model="fast"))
    (folder,) = (here / "taught").iterdir()
    assert folder.name.startswith("fast-")
    ensemble = "teacher={model: fast, weight: 1, regions: 1, side: 16, ensemble: true}"
    other = load_config(recipe, [ensemble])
    taught = learn_beforehand(other, data, 4, here / "taught")[0].taught
    assert len(list((here / "taught").iterdir())) == 2, "an ensemble is another teacher"
    assert taught is not None
    assert taught.shape == (64, 64, 3)


def test_the_loss_is_mixed(recipe: Path) -> None:
    """A weight of 0.75: a quarter of the difference to HR, the rest of that to the results."""
    learner = learner_of(recipe, BEFORE)
    random = np.random.default_rng(0)
    low, high, taught = (
        to_planes(random.integers(1, 255, (2, side, side, 3), dtype=np.uint8))
        for side in (8, 32, 32)
    )
    loss, parts = learner.loss_of(Batch(low, high, 0, taught))
    enlarged = learner.enlarge(to_unit(low))
    to_high, to_taught = (l1(enlarged, to_unit(x)).mean() for x in (high, taught))
    assert torch.allclose(loss, 0.25 * to_high + 0.75 * to_taught)
    assert torch.allclose(parts["l1"], to_high)
    assert torch.allclose(parts["taught"], to_taught)


def test_a_teacher_in_the_steps_gives_what_the_model_does(recipe: Path) -> None:
    learner = learner_of(recipe, IN_STEPS)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    pixels[1] = 80
    low = to_unit(to_planes(pixels))
    high = low.repeat_interleave(4, 2).repeat_interleave(4, 3)
    batch = Batch(to_planes(pixels), high, 0)
    lesson = learner.lesson(batch, low, high)
    assert lesson is not None
    wanted = enlarge.upscale(pixels[0], model="fast", precision="f32")
    got = lesson[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    assert np.abs(got.astype(int) - wanted).max() <= 1
    assert torch.equal(lesson[1], high[1]), "a patch of one colour needs no teacher"
    assert not any(key.startswith("teacher") for key in learner.state_dict())


def test_a_network_that_teaches_itself_has_nothing_to_learn(recipe: Path) -> None:
    fit(load_config(recipe, []))
    overrides = ["name=own", "model.start=runs/tiny/last.ckpt", "teacher={model: start, weight: 1}"]
    config = with_precision(load_config(recipe, [*overrides, "train.steps=1"]))
    run = fit(config)
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert log[-1]["taught"] < 1e-4 < log[-1]["l1"]


@pytest.mark.parametrize("overrides", [BEFORE, IN_STEPS], ids=["beforehand", "in steps"])
def test_a_taught_run_resumes_and_keeps_its_results(recipe: Path, overrides: list[str]) -> None:
    whole = fit(load_config(recipe, [*overrides, "name=whole"]))
    fit(load_config(recipe, [*overrides, "name=parts", "train.steps=4", "train.decay=0"]))
    assert len(list(Path("runs/taught").glob("*"))) == (overrides is BEFORE)
    log = (whole / "log.jsonl").read_text().splitlines()
    assert "taught" in json.loads(log[-1])
    again = fit(load_config(recipe, [*overrides, "name=parts", "train.decay=0"]), resume=True)
    assert json.loads((again / "log.jsonl").read_text().splitlines()[-1])["step"] == 6
    lists = json.loads((again / "data.json").read_text())
    assert len(lists["train"]) == 3


def test_a_teacher_of_another_factor_is_refused(recipe: Path) -> None:
    for more in ({"weight": 1.0, "regions": 1}, {"weight": 1.0}):
        teacher = json.dumps({"model": "fast-x2", **more})
        with pytest.raises(OptionError, match=r"teacher\.model fast-x2 is ×2, the network is ×4"):
            fit(load_config(recipe, [f"teacher={teacher}"]))


def test_a_trial_asks_the_teacher_once(recipe: Path) -> None:
    config = fast_dev_run(load_config(recipe, BEFORE))
    assert (config.teacher.regions, config.teacher.side) == (1, config.train.patch)
    fit(config, trial=True)
    assert not Path("runs").exists()
