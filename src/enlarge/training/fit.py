"""A recipe in, a trained network out: everything is checked first, then Lightning runs the loop."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import pickle
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors.torch
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn

from enlarge.data.datasets import judge_loader, train_loader
from enlarge.data.pairs import Watch
from enlarge.data.patches import Patches
from enlarge.errors import CompleteError, DataError, OptionError, WeightsError
from enlarge.memory import keep_freed_memory
from enlarge.networks import build
from enlarge.training.config import Config, as_yaml
from enlarge.training.devices import device_of, with_precision
from enlarge.training.learner import STATE, Learner
from enlarge.training.material import Material, first_crop, gather
from enlarge.training.projected import learner_of
from enlarge.training.watching import BEST, DATA, LAST, LOG, Bar, Interrupted, Record
from enlarge.weights.catalog import find_weights

RUNS = Path("runs")
_KEPT_KEYS = (
    ("model", "network"),
    ("model", "options"),
    ("train", "optimizer"),
    ("adversarial", "discriminator"),
    ("adversarial", "options"),
)
"""What a resumed run cannot change: its checkpoint would not fit."""
_UNREADABLE = (OSError, KeyError, EOFError, RuntimeError, pickle.UnpicklingError,
               safetensors.SafetensorError)  # fmt: skip
"""What reading something else as a checkpoint raises."""


def fit(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    trial: bool = False,
    watch: Watch | None = None,
) -> Path:
    """Train as the config says; returns the run's folder with its checkpoints and log.

    `resume`: go on from the run's `last.ckpt`. `overwrite`: delete what an earlier run left, once
    all else is found right. `trial`: keep nothing (the folder returned is gone) and judge one crop.
    `watch` is called while pairs are checked.
    Raises `OptionError`, `DataError` or `WeightsError`, before anything is trained where that can
    be known, and `KeyboardInterrupt` where the run was stopped and saved.
    """
    config = with_precision(config)
    if trial:
        with tempfile.TemporaryDirectory() as folder:
            return _fit(config, Path(folder), trial=True, watch=watch)
    return _fit(config, RUNS / config.name, resume=resume, overwrite=overwrite, watch=watch)


def _fit(
    config: Config,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    trial: bool = False,
    watch: Watch | None = None,
) -> Path:
    before = check_run(config, run, resume, overwrite)
    keep_freed_memory()
    torch.manual_seed(config.train.seed)
    network = build(config.model.network, **config.model.options)
    if config.model.start and not resume:
        _start_from(network, config.model.start)
    scale = int(network.scale)  # type: ignore[arg-type]
    material = gather(config, scale, watch=watch)
    if resume:
        _refuse_seen(material, run)
    elif config.model.start:
        _refuse_seen(material, start_file(config.model.start).parent)
    patches = make_patches(config, material, scale)
    learner = make_learner(config, network, patches)
    if before is not None:  # now the end is known of a run by epochs, too
        _refuse_complete(run, before, learner.steps, config.train.minutes)
    valid = first_crop(material.valid, scale) if trial else dict(material.valid)
    with _quiet():
        trainer = _trainer(config, run, trial, judged=bool(valid) and not resume)
        if overwrite and not is_helper():
            _clear(run)
        run.mkdir(parents=True, exist_ok=True)
        if trainer.is_global_zero:
            _write_down(config, run, material, resume)
        loader = train_loader(patches, config.train.batch, learner.stretch, config.data.workers)
        judges = judge_loader(valid, trainer.global_rank, trainer.world_size) if valid else None
        with _stopped_gently(trainer, learner):
            try:
                trainer.fit(
                    learner,
                    loader,
                    judges,
                    ckpt_path=run / LAST if resume else None,
                    weights_only=True,
                )
            except Interrupted:
                raise KeyboardInterrupt from None
    return run


def make_patches(config: Config, material: Material, scale: int) -> Patches:
    """What the run samples from."""
    return Patches(
        material.train,
        scale=scale,
        patch=config.train.patch,
        seed=config.train.seed,
        crops=config.data.crops,
        augment=config.data.augment,
        flat=config.train.flat,
        favoured=material.favoured,
        share=config.data.share,
        textured=config.data.textured,
    )


def make_learner(config: Config, network: nn.Module, patches: Patches) -> Learner:
    """The Lightning module of a run."""
    kind = learner_of(config)
    batch = config.train.batch
    return kind(
        config,
        network,
        steps=steps_of(config, len(patches)),
        describe=lambda number: patches.names(number, batch),
    )


def steps_of(config: Config, patches: int) -> int:
    """Where the run ends by steps or epochs; 0 where time alone ends it."""
    t = config.train
    in_a_step = t.batch * t.accumulate * t.devices * t.nodes
    ends = [t.steps] if t.steps else []
    if t.epochs:
        ends.append(max(1, math.ceil(t.epochs * patches / in_a_step)))
    return min(ends, default=0)


def check_run(
    config: Config, run: Path, resume: bool, overwrite: bool = False
) -> dict[str, Any] | None:
    """Where the run stands that is to go on. Raises `OptionError` where a run may not begin, or
    cannot go on.
    """
    last = run / LAST
    if not resume:
        start = config.model.start
        if start and start_file(start).resolve().parent == run.resolve():
            raise OptionError(f"model.start {start} is of this very run; give it another name=")
        if last.exists() and not overwrite and not is_helper():
            raise OptionError(
                f"{last} exists; --resume goes on from it, --overwrite begins anew, "
                "name=OTHER keeps both"
            )
        return None
    if not last.is_file():
        raise OptionError(f"there is no {last} to resume from")
    state = _state_of(run)
    before, now = state["config"], asdict(config)
    for table, key in _KEPT_KEYS:
        if before[table][key] != now[table][key]:
            raise OptionError(
                f"{last} was trained with {table}.{key} {before[table][key]}, the recipe has "
                f"{now[table][key]}; go on with the first, or begin a run of another name="
            )
    _refuse_complete(run, state, config.train.steps, config.train.minutes)
    return state


def _clear(run: Path) -> None:
    """Delete what a run left in its folder, and nothing else: other runs may lie below it."""
    for pattern in (LAST, BEST, LOG, DATA, "config.yaml", "hparams.yaml", "model.*", "*.part",
                    "events.out.tfevents*"):  # fmt: skip
        for path in run.glob(pattern):
            path.unlink()


def _refuse_complete(run: Path, state: Mapping[str, Any], steps: int, minutes: float) -> None:
    """Raise `CompleteError` where a run has come to its end (0: no end of that kind)."""
    if (steps and state["taken"] >= steps) or (minutes and state["spent"] >= 60.0 * minutes):
        raise CompleteError(
            f"{run} is complete: {state['taken']} steps, {state['spent'] / 60:.1f} minutes; "
            "a larger train.steps, train.epochs or train.minutes goes on"
        )


def _state_of(run: Path) -> dict[str, Any]:
    """Where a run stands. Raises `WeightsError` where its checkpoint cannot be read."""
    try:
        state = torch.load(run / LAST, map_location="cpu", weights_only=True)[STATE]
    except _UNREADABLE as error:
        raise WeightsError(
            f"{run / LAST} cannot be read ({error}); --overwrite begins anew"
        ) from error
    return dict(state)


def is_helper() -> bool:
    """Whether this is one of several processes of a run, but not the first."""
    import os

    ranks = (os.environ.get(name, "0") for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
    return any(rank not in ("", "0") for rank in ranks)


def _trainer(config: Config, run: Path, trial: bool, *, judged: bool) -> Trainer:
    t = config.train
    many = t.devices * t.nodes > 1
    strategy = "auto"
    if many:
        # Each backward pass of adversarial training reaches one of the two networks.
        strategy = "ddp_find_unused_parameters_true" if config.adversarial.weight else "ddp"
    try:
        return _lightning(config, run, trial, judged, strategy)
    except (MisconfigurationException, ValueError) as error:
        raise OptionError(
            f"train.device={t.device} with train.devices={t.devices} cannot be had here: {error}; "
            "train.device=cpu always can"
        ) from error


def _lightning(config: Config, run: Path, trial: bool, judged: bool, strategy: str) -> Trainer:
    t = config.train
    return Trainer(
        accelerator={"cuda": "gpu"}.get(t.device, t.device),
        devices=t.devices,
        num_nodes=t.nodes,
        strategy=strategy,
        max_epochs=-1,
        logger=False if trial else TensorBoardLogger(run, name="", version=""),
        callbacks=[Record(run, keep=not trial), Bar()],
        num_sanity_val_steps=-1 if judged else 0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run,
    )


def _refuse_seen(material: Material, run: Path) -> None:
    """Raise `DataError` where a picture that is judged by was trained on by the run before."""
    lists = _lists_of(run)
    seen = {digest: name for name, digest in lists.get("train", [])}
    for use, names in material.lists.items():
        both = [(name, seen[digest]) for name, digest in names if digest in seen]
        if use != "train" and both:
            raise DataError(
                f"{len(both)} pictures of {use} were trained on by {run}, first {both[0][0]} (as "
                f"{both[0][1]}); leave data.pairs, data.split and data.split_seed as they were, or "
                "judge by others"
            )


def _lists_of(run: Path) -> dict[str, list[list[str]]]:
    """What a run wrote down of its pictures; nothing where it did not."""
    try:
        found = json.loads((run / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_down(config: Config, run: Path, material: Material, resume: bool) -> None:
    """The effective config, and the lists of what is trained on and judged by, with digests."""
    (run / "config.yaml").write_text(as_yaml(config), encoding="utf-8")
    lists: dict[str, Any] = dict(material.lists)
    if resume:  # what was trained on stays what was trained on
        before = [tuple(entry) for entry in _lists_of(run).get("train", [])]
        lists["train"] = list(dict.fromkeys([*before, *map(tuple, lists["train"])]))
    text = json.dumps(lists, ensure_ascii=False, indent=1)
    (run / DATA).write_text(text + "\n", encoding="utf-8")
    if not resume:
        (run / LOG).unlink(missing_ok=True)
    parts = {name: len(pairs) for name, pairs in material.valid.items()}
    judged = ", ".join(f"{count} of {name}" for name, count in parts.items()) or "nothing"
    print(f"{config.name}: {len(material.train)} pictures, judged by {judged}", flush=True)
    where = f"{config.train.precision} on {device_of(config.train)}"
    print(f"training computes in {where}; first the starting weights are judged", flush=True)
    small = [pair.name for pair in material.train if min(pair.low.shape[:2]) < config.train.patch]
    if small:
        print(f"{len(small)} are smaller than a patch and left out, first {small[0]}", flush=True)


def _start_from(network: nn.Module, start: str) -> None:
    """Take over the weights that a run or a model holds. Raises `WeightsError`.

    A tail of another factor begins anew, and so do 1×1 branches that were folded away.
    """
    own, begin = network.state_dict(), load_start(start)
    kept = {
        key: value
        for key, value in own.items()
        if (key.startswith("tail.") and key in begin and begin[key].shape != value.shape)
        or (key.endswith(".point") and key not in begin)
    }
    try:
        network.load_state_dict({**begin, **kept})
    except RuntimeError as error:
        raise WeightsError(f"model.start {start} does not fit the network: {error}") from error


def load_start(start: str) -> dict[str, Tensor]:
    """What a run continues from: the network of another run's checkpoint as it stood (not its
    average), a `.safetensors` file of ours, or a model by its name. Raises `WeightsError`.
    """
    path = start_file(start)
    if not path.is_file():
        raise WeightsError(f"model.start {path}: no such file; train what it continues first")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        return network_of(path, "network")
    except _UNREADABLE as error:
        raise WeightsError(
            f"model.start {path} cannot be read ({error}); expected last.ckpt or best.ckpt of a "
            "run, or a .safetensors file of ours"
        ) from error


def start_file(start: str) -> Path:
    """The file behind `model.start`: its path, or that of the model of this name."""
    named = Path(start).suffix == "" and not Path(start).exists()
    return find_weights(start).path.with_suffix(".safetensors") if named else Path(start)


def network_of(checkpoint: Path, which: str) -> dict[str, Tensor]:
    """The parameters in a run's checkpoint; `which`: network (as it stood) or average."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {
        key.removeprefix(f"{which}."): value
        for key, value in state.items()
        if key.startswith(f"{which}.")
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what Lightning says about itself, and its warnings of other people's future."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for module in ("lightning", "torch", "tensorboard", "google"):
                warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
            # Its own advice: more workers (batches are cheap here), a longer log interval.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _stopped_gently(trainer: Trainer, learner: Learner) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the step end and the run be saved; a second one stops at once.

    Lightning answers SIGTERM by leaving at once, unsaved: ours is set again over its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: FrameType | None) -> None:
        learner.asked = True
        for each, handler in before.items():
            signal.signal(each, handler)
        print("stopping after this step; once more stops at once", file=sys.stderr, flush=True)

    def again(*_: object) -> None:
        if not learner.asked:
            signal.signal(signal.SIGTERM, stop)

    for number in numbers:
        signal.signal(number, stop)
    trainer.callbacks.append(LambdaCallback(on_sanity_check_start=again, on_train_start=again))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
