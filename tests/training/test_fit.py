from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import enlarge
from enlarge.card import read_card
from enlarge.cli import run as command
from enlarge.errors import CompleteError, DataError, OptionError, WeightsError
from enlarge.training.checkpoints import load_start, network_of
from enlarge.training.config import load_config
from enlarge.training.devices import with_precision
from enlarge.training.fit import fit
from enlarge.training.learner import STATE, Learner, checkpoint_blocks
from enlarge.training.result import training_minutes, write_model
from enlarge.weights.network_file import load_network
from tests.networks.tiny import tiny

PART = "pairs/train"
"""What the pairs are called among the validation parts."""
ADVERSARIAL = [
    "adversarial.weight=0.01",
    "adversarial.discriminator=unet",
    "adversarial.options={features: 4}",
    "adversarial.kind=relativistic",
    "train.optimizer=adam",
    "train.lr=0.001",
    "model.network=srresnet",
    "model.options={features: 8, blocks: 1}",
]


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGINT) -> None:
    """Interrupt a run during a step, as Ctrl-C does."""
    took = Learner.after_step

    def after_step(self: Learner) -> None:
        if self.step + 1 == step:
            os.kill(os.getpid(), number)
        took(self)

    monkeypatch.setattr(Learner, "after_step", after_step)


def test_a_run_leaves_what_the_contract_says_and_its_model_opens(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    config = load_config(recipe, ["train.steps=3"])
    run = fit(config)
    assert [line["step"] for line in log_of(run)] == [0, 2, 3]
    assert "validation: 5 of pairs/train" in capsys.readouterr().out
    assert all(0 < line[PART] < 60 for line in log_of(run))
    written = yaml.safe_load((run / "config.yaml").read_text())["train"]
    assert (written["steps"], written["precision"]) == (3, with_precision(config).train.precision)
    lists = json.loads((run / "data.json").read_text())
    assert {use: len(names) for use, names in lists.items()} == {
        "train": 3,
        "valid: pairs/train": 5,
    }
    assert list(run.glob("events.out.tfevents.*"))
    best = max(log_of(run)[1:], key=lambda line: float(line[PART]))["step"]
    assert torch.load(run / "best.ckpt", weights_only=True)[STATE]["taken"] == best
    model = write_model(config, run)
    upscaler = enlarge.open_model(model, precision="f32")
    network, card = load_network(run / "model.safetensors")
    assert card == upscaler.card
    assert card.scores == {PART: {"psnr": log_of(run)[-1 if best == 3 else 1][PART]}}
    image = torch.rand(33, 47, 3).numpy()
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image.transpose(2, 0, 1)[None]))[0].clamp(0, 1)
    got = upscaler.upscale(image)
    assert abs(got.transpose(2, 0, 1) - wanted.numpy()).max() < 1e-4
    assert command(["train", str(recipe)]) == 2
    assert "--resume continues from it, --overwrite starts again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.accumulate=2", "train.clip=0.1", "train.flat=0.2", "data.crops=grid"],
        ["train.precision=f32", *ADVERSARIAL],
    ],
    ids=["pixels", "adversarial"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    recipe: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, average and optimisers, after a stop between two checks."""
    whole = fit(load_config(recipe, [*overrides, "name=whole"]))
    config = load_config(recipe, [*overrides, "name=parts"])
    with monkeypatch.context() as patch:
        stop_at(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            fit(config)
    parts = fit(config, resume=True)
    a, b = (torch.load(run / "last.ckpt", weights_only=True) for run in (whole, parts))
    assert a[STATE]["taken"] == b[STATE]["taken"] == 6
    for key, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][key]), key
    for ours, theirs in zip(a["optimizer_states"], b["optimizer_states"], strict=True):
        for number, state in ours["state"].items():
            for key, value in state.items():
                assert torch.equal(value, theirs["state"][number][key]), key
    steps = [line["step"] for line in log_of(parts)]
    assert steps == [0, 2, 4, 6]
    assert log_of(parts)[-1]["loss"] == pytest.approx(log_of(whole)[-1]["loss"], rel=1e-6)
    assert log_of(parts)[2]["loss"] == pytest.approx(log_of(whole)[2]["loss"], rel=1e-6)
    with pytest.raises(OptionError, match="is complete: 6 steps"):
        fit(config, resume=True)


def test_a_terminated_run_is_saved_too(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM: during a step of two batches, and while pictures are judged."""
    config = load_config(recipe, ["train.accumulate=2", "name=a"])
    with monkeypatch.context() as patch:
        stop_at(patch, 3, signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            fit(config)
    assert torch.load("runs/a/last.ckpt", weights_only=True)[STATE]["taken"] == 3
    judge = Learner.validation_step

    def judged(self: Learner, *arguments: Any) -> None:
        if self.step == 4 and not self.stop_requested:  # a second one stops at once
            os.kill(os.getpid(), signal.SIGTERM)
        judge(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "validation_step", judged)
        with pytest.raises((KeyboardInterrupt, SystemExit)) as caught:
            fit(load_config(recipe, ["name=b"]))
    assert caught.type is KeyboardInterrupt
    assert torch.load("runs/b/last.ckpt", weights_only=True)[STATE]["taken"] == 5


def test_a_resumed_run_learns_at_the_rate_that_it_is_told(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(load_config(recipe, ["train.steps=2"]))
    assert ", after validating the initial weights\n" in capsys.readouterr().out
    run = fit(load_config(recipe, ["train.steps=3", "train.lr=0.005"]), resume=True)
    assert "after validating" not in capsys.readouterr().out
    saved = torch.load(run / "last.ckpt", weights_only=True)["optimizer_states"]
    assert saved[0]["param_groups"][0]["initial_lr"] == 0.005


def test_a_complete_run_by_epochs_ends_and_its_model_is_written_later(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    overrides = ["train.steps=0", "train.epochs=0.5", "data.crops=grid"]
    run = fit(load_config(recipe, overrides))
    with pytest.raises(CompleteError, match="is complete: 3 steps"):
        fit(load_config(recipe, overrides), resume=True)
    told = ["train", str(recipe), *overrides, "--resume"]
    assert command(told) == 0
    assert (run / "model.onnx").is_file()
    assert command(told) == 2
    assert "is complete: 3 steps" in capsys.readouterr().err


def test_a_run_goes_on_with_what_it_began_with(recipe: Path) -> None:
    fit(load_config(recipe, ["train.steps=2"]))
    for key, value in (("model.options.channels", "9"), ("train.optimizer", "adam")):
        config = load_config(recipe, ["train.steps=3", f"{key}={value}"])
        with pytest.raises(OptionError, match=f"was trained with {key.rpartition('.')[0]}"):
            fit(config, resume=True)
    Path("runs/tiny/last.ckpt").write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be read"):
        fit(load_config(recipe, ["train.steps=3"]), resume=True)
    with pytest.raises(WeightsError, match=r"is empty \(0 bytes\)"):
        fit(load_config(recipe, ["name=other", "model.start=runs/tiny/last.ckpt"]))


def test_a_start_that_is_no_checkpoint_is_named(recipe: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 9000000\n"
    Path("start.safetensors").write_text(pointer)
    with pytest.raises(WeightsError, match="is a git-LFS pointer"):
        fit(load_config(recipe, ["model.start=start.safetensors"]))
    torch.save([1.0], "list.ckpt")
    with pytest.raises(WeightsError, match=r"list\.ckpt cannot be read"):
        fit(load_config(recipe, ["model.start=list.ckpt"]))


def test_overwriting_begins_once_all_else_is_right(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(load_config(recipe, ["train.steps=2"]))
    before = (run / "last.ckpt").read_bytes()
    told = ["train", str(recipe), "--overwrite"]
    assert command([*told, "data.photos=typo"]) == 1
    assert command([*told, "--fast-dev-run"]) == 2
    assert command([*told, "model.start=runs/tiny/last.ckpt"]) == 2
    assert "give the new run another name=" in capsys.readouterr().err
    assert (run / "last.ckpt").read_bytes() == before
    fit(load_config(recipe, ["train.steps=4"]), overwrite=True)
    assert [line["step"] for line in log_of(run)] == [0, 2, 4]


def test_statistics_of_batches_are_kept_where_nothing_is_judged(recipe: Path) -> None:
    network = ["model.network=srresnet", "model.options={features: 8, blocks: 1}"]
    run = fit(load_config(recipe, [*network, "data.valid=[]", "train.steps=3"]))
    own, average = (network_of(run / "last.ckpt", which) for which in ("network", "average"))
    means = [key for key in own if key.endswith("running_mean")]
    assert means
    for key in means:
        assert own[key].abs().max() > 0
        assert torch.equal(own[key], average[key])


def test_the_bar_does_not_talk_to_other_processes(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal the first process alone has a bar; the others would wait for its question."""
    asked = []
    progress = Learner.progress

    def counted(self: Learner) -> float:
        asked.append(self.step)
        return progress(self)

    monkeypatch.setattr(Learner, "progress", counted)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(load_config(recipe, []))
    assert asked == list(range(6))


def test_another_process_makes_the_same_batches(recipe: Path) -> None:
    """Also by a chain, which libvips computes."""
    overrides = ["data.chain={real: 1, old: 1}", "train.steps=3", "train.precision=f32"]
    one = fit(load_config(recipe, [*overrides, "name=one"]))
    two = fit(load_config(recipe, [*overrides, "name=two", "data.workers=1"]))
    a, b = (network_of(run / "last.ckpt", "network") for run in (one, two))
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_named(recipe: Path) -> None:
    with pytest.raises(OptionError, match=r"train\.device=cuda .* is unavailable here"):
        fit(load_config(recipe, ["train.device=cuda"]))


def test_accumulated_batches_are_one_large_batch(recipe: Path) -> None:
    base = ["train.precision=f32", "train.optimizer=adam", "train.steps=2", "data.crops=grid"]
    base += ["data.augment=none", "train.lr=0.001"]
    one = fit(load_config(recipe, [*base, "train.batch=4", "name=one"]))
    two = fit(load_config(recipe, [*base, "train.batch=2", "train.accumulate=2", "name=two"]))
    a, b = (network_of(run / "last.ckpt", "network") for run in (one, two))
    assert all((a[key] - b[key]).abs().max() < 2e-5 for key in a)


def test_a_run_by_epochs_counts_grid_patches(recipe: Path) -> None:
    """70..72 × 90 photographs give LR 17..18 × 22: two by two patches of 12² each."""
    config = load_config(recipe, ["train.steps=0", "train.epochs=0.5", "data.crops=grid"])
    assert log_of(fit(config))[-1]["step"] == 3


def test_a_limit_in_minutes_ends_the_run(recipe: Path) -> None:
    run = fit(load_config(recipe, ["train.steps=0", "train.minutes=0.02", "train.check_every=50"]))
    last = log_of(run)[-1]
    assert last["minutes"] >= 0.02
    state = torch.load(run / "last.ckpt", weights_only=True)
    assert state[STATE]["taken"] == last["step"] > 0


def test_training_lowers_the_loss(recipe: Path) -> None:
    run = fit(load_config(recipe, ["train.steps=60", "train.check_every=20", "train.lr=0.05"]))
    lines = log_of(run)
    assert lines[-1]["loss"] < 0.95 * lines[1]["loss"]
    assert lines[-1][PART] > lines[0][PART] + 0.2


def test_a_loss_that_is_not_finite_names_its_batch(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enlarge_ = Learner.enlarge

    def broken(self: Learner, low: torch.Tensor) -> torch.Tensor:
        return enlarge_(self, low) * (float("nan") if self.step == 3 else 1.0)

    monkeypatch.setattr(Learner, "enlarge", broken)
    with pytest.raises(DataError, match=r"not finite at step 3 .* batch 3 holds \d at \d+,\d+; "):
        fit(load_config(recipe, []))


@pytest.mark.parametrize("step", [1, 3])
def test_the_remedy_names_a_checkpoint_only_if_there_is_one(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    enlarge_ = Learner.enlarge

    def broken(self: Learner, low: torch.Tensor) -> torch.Tensor:
        return enlarge_(self, low) * (float("inf") if self.step == step else 1.0)

    monkeypatch.setattr(Learner, "enlarge", broken)
    config = load_config(recipe, ["train.check_every=2"])
    with pytest.raises(DataError, match="not finite") as raised:
        fit(config)
    saved = list(Path().glob("runs/*/last.ckpt"))
    said = "nothing was saved yet: start again with a lower train.lr, or with train.clip"
    if step == 1:
        assert not saved
        assert said in str(raised.value)
    else:
        assert saved
        assert "last.ckpt is from the last validation: resume with a lower" in str(raised.value)


def test_pairs_are_split_and_never_shared(recipe: Path, pairs: Path, photos: Path) -> None:
    config = load_config(
        recipe,
        ["data.photos=[]", f"data.pairs=[{pairs}]", "data.valid=[]", "data.split=[0.8, 0.2]"],
    )
    run = fit(config)
    lists = json.loads((run / "data.json").read_text())
    assert {use: len(names) for use, names in lists.items()} == {"train": 4, "valid: split": 1}
    (photos / "copy.png").write_bytes((pairs.parent / "hr/2.png").read_bytes())
    with pytest.raises(DataError, match=r"in training and in valid: pairs/train, .*copy"):
        fit(load_config(recipe, ["name=other"]))


def test_a_start_is_a_checkpoint_or_a_model_file(recipe: Path, here: Path) -> None:
    config = load_config(recipe, ["train.steps=2"])
    first = fit(config)
    raw = network_of(first / "last.ckpt", "network")
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in raw.items()}, here / "own.safetensors")
    scores = []
    for name, start in (("a", first / "last.ckpt"), ("b", here / "own.safetensors")):
        overrides = [f"name={name}", f"model.start={start}", "train.steps=1", "train.ema=0"]
        run = fit(load_config(recipe, overrides))
        scores.append(log_of(run)[0][PART])
    assert scores[0] == scores[1]
    assert training_minutes(here / "runs/a") > log_of(here / "runs/a")[-1]["minutes"]
    with pytest.raises(WeightsError, match="does not fit"):
        fit(
            load_config(
                recipe, ["name=c", f"model.start={first}/last.ckpt", "model.options.channels=9"]
            )
        )
    with pytest.raises(WeightsError, match="no such file"):
        fit(load_config(recipe, ["name=c", "model.start=gone.ckpt"]))


def test_a_start_by_name_keeps_the_trunk_for_another_factor(recipe: Path, photos: Path) -> None:
    options = "model.options={scale: 2, channels: 32, blocks: 6, taps: 4}"
    told = ["model.network=replain", options, "model.start=fast", "train.steps=1", "train.lr=0"]
    told += ["data.pairs=[]", "data.split=[]", "data.valid=[]", f"data.photos=[{photos}]"]
    run = fit(load_config(recipe, [*told, "train.lr_rest=0", "train.ema=0"]))
    begun = network_of(run / "last.ckpt", "network")
    shipped = load_start("fast")
    assert begun["tail.weight"].shape[0] == 12
    for key, value in shipped.items():
        if not key.startswith("tail."):
            assert torch.equal(begun[key], value.float()), key


def test_checkpointed_blocks_learn_the_same(recipe: Path) -> None:
    overrides = [
        "train.precision=f32",
        "model.network=edsr",
        "train.steps=2",
        "train.optimizer=adam",
    ]
    overrides += ["model.options={features: 8, blocks: 2}", "train.lr=0.001"]
    a, b = (
        network_of(
            fit(load_config(recipe, [*overrides, f"train.checkpointing={c}", f"name=c-{c}"]))
            / "last.ckpt",
            "network",
        )
        for c in ("false", "true")
    )
    assert all((a[key] - b[key]).abs().max() < 1e-6 for key in a)


@pytest.mark.parametrize(("name", "count"), [("edswin", 3), ("swinir", 2), ("rrdb", 0)])
def test_blocks_are_remembered_once(name: str, count: int) -> None:
    """Whole blocks of the trunk, and nothing inside them; a row of one block is left alone."""
    network = tiny(name)
    checkpoint_blocks(network)
    assert sum("forward" in vars(module) for module in network.modules()) == count


def test_an_unknown_network_or_discriminator_option_is_named(recipe: Path) -> None:
    with pytest.raises(OptionError, match="unknown network 'mlp'"):
        fit(load_config(recipe, ["model.network=mlp"]))
    with pytest.raises(OptionError, match="multiple of 16"):
        fit(
            load_config(
                recipe,
                [
                    *ADVERSARIAL,
                    "adversarial.discriminator=srgan",
                    "train.patch=9",
                    "adversarial.options={}",
                ],
            )
        )
    with pytest.raises(OptionError, match=r"adversarial\.options of unet"):
        fit(load_config(recipe, [*ADVERSARIAL, "adversarial.options={depth: 4}"]))


def test_two_processes_learn_what_one_does_with_two_batches(recipe: Path, here: Path) -> None:
    """DDP over gloo; each process has every second batch, and gradients are averaged."""
    shared = ["train.steps=2", "train.precision=f32", "train.batch=1", "train.device=cpu"]
    one = fit(load_config(recipe, [*shared, "train.accumulate=2", "name=one"]))
    arguments = [str(recipe), *shared, "train.devices=2", "name=two"]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_processes.py")), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    a, b = (network_of(here / f"runs/{n}/last.ckpt", "average") for n in ("one", "two"))
    assert all((a[key] - b[key]).abs().max() < 1e-5 for key in a)
    assert [line["step"] for line in log_of(here / "runs/two")] == [0, 2]
    assert log_of(one)[-1][PART] == pytest.approx(log_of(here / "runs/two")[-1][PART], abs=1e-3)


def test_what_was_trained_on_is_never_judged_by_later(recipe: Path, pairs: Path) -> None:
    """A csv that has grown deals its pairs anew."""
    told = ["data.photos=[]", f"data.pairs=['{pairs}']", "data.valid=[]", "data.split=[0.6, 0.4]"]
    run = fit(load_config(recipe, [*told, "train.steps=2"]))
    first = json.loads((run / "data.json").read_text())
    with pytest.raises(DataError, match=r"runs/tiny was trained on \d pictures of valid: split"):
        fit(load_config(recipe, [*told, "train.steps=4", "data.split_seed=3"]), resume=True)
    assert json.loads((run / "data.json").read_text()) == first
    start = f"model.start={run}/last.ckpt"
    with pytest.raises(DataError, match=r"keep data\.pairs, data\.split and data\.split_seed"):
        fit(load_config(recipe, [*told, "train.steps=4", "data.split_seed=3", "name=next", start]))
    fit(load_config(recipe, [*told, "train.steps=4"]), resume=True)
    assert json.loads((run / "data.json").read_text()) == first


def test_overwriting_leaves_other_runs_below_it(recipe: Path) -> None:
    inner = fit(load_config(recipe, ["name=tiny/inner", "train.steps=2"]))
    run = fit(load_config(recipe, ["train.steps=2"]))
    (run / "notes.txt").write_text("mine")
    fit(load_config(recipe, ["train.steps=2"]), overwrite=True)
    assert (inner / "last.ckpt").is_file()
    assert (run / "notes.txt").read_text() == "mine"
    assert [line["step"] for line in log_of(run)] == [0, 2]


def test_a_run_that_was_stopped_between_two_checks_becomes_a_model(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    config = load_config(recipe, ["train.steps=2", "data.valid=[]"])
    run = fit(config)
    lines = (run / "log.jsonl").read_text().splitlines()
    (run / "log.jsonl").write_text(lines[0] + "\n")
    card = read_card(write_model(config, run))
    assert card is not None
    assert card.scores == {}
