"""Train a network from a recipe: check everything first, then let Lightning run the loop."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from enlarge.data.datasets import judge_loader, train_loader
from enlarge.data.pairs import Watch
from enlarge.data.patches import Patches, Sampling
from enlarge.data.taught import TaughtPairs
from enlarge.errors import CompleteError, DataError, OptionError
from enlarge.memory import keep_freed_memory
from enlarge.networks import build
from enlarge.training.callbacks import BEST, DATA, LAST, LOG, Interrupted, ProgressBar, RunLogger
from enlarge.training.checkpoints import load_lists, load_state, start_file, start_from
from enlarge.training.config import Config, as_yaml
from enlarge.training.devices import device_of, with_precision
from enlarge.training.learner import Learner
from enlarge.training.projected import learner_of
from enlarge.training.teaching import TAUGHT, learn_beforehand, teacher_in_steps
from enlarge.training.training_data import TrainingData, load_training_data, validation_crop

RUNS = Path("runs")
_KEPT_KEYS = (
    ("model", "network"),
    ("model", "options"),
    ("train", "optimizer"),
    ("adversarial", "discriminator"),
    ("adversarial", "options"),
)
"""Keys that a resumed run cannot change, because its checkpoint would not fit."""


def fit(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    trial: bool = False,
    watch: Watch | None = None,
) -> Path:
    """Train as the config says. Returns the run's folder with its checkpoints and log.

    `resume` continues from the run's `last.ckpt`. `overwrite` deletes the files of an earlier run
    after all checks have passed. `trial` keeps no files (the returned folder is deleted) and
    validates on one crop. `watch` is called while pairs are checked.
    Raises `OptionError`, `DataError` or `WeightsError`, before training starts if possible, and
    `KeyboardInterrupt` if the run was stopped; it is saved then.
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
        start_from(network, config.model.start)
    scale = int(network.scale)  # type: ignore[arg-type]
    data = load_training_data(config, scale, watch=watch)
    if resume:
        _check_unseen(data, run)
    elif config.model.start:
        _check_unseen(data, start_file(config.model.start).parent)
    if config.teacher.weight and config.teacher.regions:
        regions = learn_beforehand(config, data, scale, (run if trial else RUNS) / TAUGHT)
        data = replace(data, train=regions, paired=0)  # the pictures themselves are done with
    patches = make_patches(config, data, scale)
    learner = make_learner(config, network, patches)
    if before is not None:  # by now the number of steps is known for a run by epochs, too
        _check_incomplete(run, before, learner.max_steps, config.train.minutes)
    valid = validation_crop(data.valid, scale) if trial else dict(data.valid)
    with _quiet():
        trainer = _trainer(config, run, trial, validate_first=bool(valid) and not resume)
        if overwrite and not is_secondary_process():
            _clear(run)
        run.mkdir(parents=True, exist_ok=True)
        if trainer.is_global_zero:
            _save_inputs(config, run, data, resume)
        loader = train_loader(patches, config.train.batch, learner.stretch, config.data.workers)
        validation = judge_loader(valid, trainer.global_rank, trainer.world_size) if valid else None
        learner.remedy = lambda: _remedy(run / LAST)
        with _graceful_stop(trainer, learner):
            try:
                trainer.fit(
                    learner,
                    loader,
                    validation,
                    ckpt_path=run / LAST if resume else None,
                    weights_only=True,
                )
            except Interrupted:
                raise KeyboardInterrupt from None
    return run


def _remedy(last: Path) -> str:
    """What to do when a loss is not finite; `last` is the checkpoint, which may not exist yet."""
    begun = (
        f"{last.name} is from the last validation: resume"
        if last.is_file()
        else ("nothing was saved yet: start again")
    )
    return f"{begun} with a lower train.lr, or with train.clip"


def make_patches(config: Config, data: TrainingData, scale: int) -> Patches:
    """The patches that the run samples."""
    sampling = Sampling(
        scale=scale,
        patch=config.train.patch,
        seed=config.train.seed,
        crops=config.data.crops,
        augment=config.data.augment,
        flat=config.train.flat,
        favoured=data.paired,
        share=config.data.share,
        textured=0.0 if isinstance(data.train, TaughtPairs) else config.data.textured,
    )
    return Patches(data.train, sampling)


def make_learner(config: Config, network: nn.Module, patches: Patches) -> Learner:
    """The Lightning module of a run."""
    kind = learner_of(config)
    batch = config.train.batch
    return kind(
        config,
        network,
        max_steps=steps_of(config, len(patches)),
        describe=lambda number: patches.names(number, batch),
        teacher=teacher_in_steps(config),
    )


def steps_of(config: Config, patches: int) -> int:
    """The number of steps of a run by steps or epochs; 0 if only time ends it."""
    t = config.train
    in_a_step = t.batch * t.accumulate * t.devices * t.nodes
    ends = [t.steps] if t.steps else []
    if t.epochs:
        ends.append(max(1, math.ceil(t.epochs * patches / in_a_step)))
    return min(ends, default=0)


def check_run(
    config: Config, run: Path, resume: bool, overwrite: bool = False
) -> dict[str, Any] | None:
    """The state of the run to resume, None for a new one. Raises `OptionError` if the run cannot
    start or resume.
    """
    last = run / LAST
    if not resume:
        start = config.model.start
        if start and start_file(start).resolve().parent == run.resolve():
            raise OptionError(
                f"model.start {start} belongs to this run itself; give the new run another name="
            )
        if last.exists() and not overwrite and not is_secondary_process():
            raise OptionError(
                f"{last} exists; --resume continues from it, --overwrite starts again, "
                "name=OTHER keeps both"
            )
        return None
    if not last.is_file():
        raise OptionError(f"there is no {last} to resume from")
    state = load_state(run)
    before, now = state["config"], asdict(config)
    for table, key in _KEPT_KEYS:
        if before[table][key] != now[table][key]:
            raise OptionError(
                f"{last} was trained with {table}.{key} {before[table][key]}, the recipe has "
                f"{now[table][key]}; use the former, or start a run with another name="
            )
    _check_incomplete(run, state, config.train.steps, config.train.minutes)
    return state


def _clear(run: Path) -> None:
    """Delete the files of a run from its folder, and nothing else: it may contain other runs."""
    for pattern in (LAST, BEST, LOG, DATA, "config.yaml", "hparams.yaml", "model.*", "*.part",
                    "events.out.tfevents*"):  # fmt: skip
        for path in run.glob(pattern):
            path.unlink()


def _check_incomplete(run: Path, state: Mapping[str, Any], steps: int, minutes: float) -> None:
    """Raise `CompleteError` if a run has reached its steps or minutes (0: no such limit)."""
    if (steps and state["taken"] >= steps) or (minutes and state["spent"] >= 60.0 * minutes):
        raise CompleteError(
            f"{run} is complete: {state['taken']} steps, {state['spent'] / 60:.1f} minutes; "
            "a larger train.steps, train.epochs or train.minutes continues it"
        )


def is_secondary_process() -> bool:
    """Whether this is a process of a distributed run other than the first."""
    import os

    ranks = (os.environ.get(name, "0") for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))
    return any(rank not in ("", "0") for rank in ranks)


def _trainer(config: Config, run: Path, trial: bool, *, validate_first: bool) -> Trainer:
    t = config.train
    many = t.devices * t.nodes > 1
    strategy = "auto"
    if many:
        # Each backward pass of adversarial training reaches only one of the two networks.
        strategy = "ddp_find_unused_parameters_true" if config.adversarial.weight else "ddp"
    try:
        return _lightning(config, run, trial, validate_first, strategy)
    except (MisconfigurationException, ValueError) as error:
        raise OptionError(
            f"train.device={t.device} with train.devices={t.devices} is unavailable here: {error}; "
            "train.device=cpu always works"
        ) from error


def _lightning(
    config: Config, run: Path, trial: bool, validate_first: bool, strategy: str
) -> Trainer:
    t = config.train
    return Trainer(
        accelerator={"cuda": "gpu"}.get(t.device, t.device),
        devices=t.devices,
        num_nodes=t.nodes,
        strategy=strategy,
        max_epochs=-1,
        logger=False if trial else TensorBoardLogger(run, name="", version=""),
        callbacks=[RunLogger(run, keep=not trial), ProgressBar()],
        num_sanity_val_steps=-1 if validate_first else 0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=run,
    )


def _check_unseen(data: TrainingData, run: Path) -> None:
    """Raise `DataError` if the previous run trained on a picture that this one validates on."""
    lists = load_lists(run)
    seen = {digest: name for name, digest in lists.get("train", [])}
    for use, names in data.lists.items():
        both = [(name, seen[digest]) for name, digest in names if digest in seen]
        if use != "train" and both:
            raise DataError(
                f"{run} was trained on {len(both)} pictures of {use}, first {both[0][0]} (as "
                f"{both[0][1]}); keep data.pairs, data.split and data.split_seed as they were, or "
                "validate on other pictures"
            )


def _save_inputs(config: Config, run: Path, data: TrainingData, resume: bool) -> None:
    """Save the effective config and the lists of training and validation pictures with digests,
    and print a summary.
    """
    (run / "config.yaml").write_text(as_yaml(config), encoding="utf-8")
    lists: dict[str, Any] = dict(data.lists)
    if resume:  # pictures of the earlier part of the run stay on its list
        before = [tuple(entry) for entry in load_lists(run).get("train", [])]
        lists["train"] = list(dict.fromkeys([*before, *map(tuple, lists["train"])]))
    text = json.dumps(lists, ensure_ascii=False, indent=1)
    (run / DATA).write_text(text + "\n", encoding="utf-8")
    if not resume:
        (run / LOG).unlink(missing_ok=True)
    parts = {name: len(pairs) for name, pairs in data.valid.items()}
    valid = ", ".join(f"{count} of {name}" for name, count in parts.items()) or "none"
    count = len(data.lists["train"])
    print(f"{config.name}: {count} training pictures; validation: {valid}", flush=True)
    where = f"{config.train.precision} on {device_of(config.train)}"
    first = ", after validating the initial weights" if parts and not resume else ""
    print(f"training in {where}{first}", flush=True)
    small = [pair.name for pair in data.train if min(pair.low.shape[:2]) < config.train.patch]
    if small:
        print(f"skipping {len(small)} smaller than a patch, first {small[0]}", flush=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's notes about itself, and deprecation warnings of its dependencies."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for module in ("lightning", "torch", "tensorboard", "google"):
                warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
            # Lightning advises more workers; making batches is cheap here.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def _graceful_stop(trainer: Trainer, learner: Learner) -> Iterator[None]:
    """On Ctrl-C or SIGTERM finish the step and save the run; stop immediately on a second one.

    Lightning's own handler of SIGTERM exits without saving, so ours replaces it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: FrameType | None) -> None:
        learner.stop_requested = True
        for each, handler in before.items():
            signal.signal(each, handler)
        print(
            "stopping after this step; press Ctrl-C again to stop immediately",
            file=sys.stderr,
            flush=True,
        )

    def again(*_: object) -> None:
        if not learner.stop_requested:
            signal.signal(signal.SIGTERM, stop)

    for number in numbers:
        signal.signal(number, stop)
    trainer.callbacks.append(LambdaCallback(on_sanity_check_start=again, on_train_start=again))  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
