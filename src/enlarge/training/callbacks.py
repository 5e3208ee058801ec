"""Lightning callbacks: checkpoints, the log, TensorBoard curves and samples, a progress bar."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from enlarge.training.learner import Learner

LAST, BEST, LOG, DATA = "last.ckpt", "best.ckpt", "log.jsonl", "data.json"
_CURVE = 50
"""Steps between two points of a curve."""


class Interrupted(Exception):
    """Raised when a run was asked to stop and has been saved."""


def _learner(module: LightningModule) -> Learner:
    assert isinstance(module, Learner)
    return module


class RunLogger(Callback):
    """Writes a line of the log, points of the curves, sample sheets and checkpoints at every
    validation; no checkpoints without `keep`.
    """

    def __init__(self, run: Path, *, keep: bool = True) -> None:
        self.run, self.keep = run, keep

    def on_sanity_check_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log the scores of the initial weights."""
        self._log(trainer, _learner(module))

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Log the scores, and save `last.ckpt` and `best.ckpt`."""
        learner = _learner(module)
        self._log(trainer, learner)
        scores = learner.scores.values()
        better = bool(scores) and sum(scores) / len(scores) > learner.best
        if better:
            learner.best = sum(scores) / len(scores)
        if not self.keep:
            return
        save(trainer, self.run / LAST)
        if better and trainer.is_global_zero:
            _link(self.run / LAST, self.run / BEST)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a point to the curves; save and stop if that was requested."""
        learner = _learner(module)
        if learner.micro_batch:
            return
        if learner.step % _CURVE == 0 and trainer.is_global_zero:
            values = {"learning rate": trainer.optimizers[0].param_groups[0]["lr"]}
            count = learner.loss_sums.get("batches", 1.0)
            values |= {k: v / count for k, v in learner.loss_sums.items() if k != "batches"}
            self._points(trainer, learner.step, values)
        if learner.stopping and not trainer.should_stop:
            save(trainer, self.run / LAST)
            raise Interrupted

    def _log(self, trainer: Trainer, learner: Learner) -> None:
        losses = learner.mean_losses()
        if not trainer.is_global_zero:
            return
        line = {"step": learner.step, "minutes": learner.seconds() / 60.0}
        line |= {"loss": losses.pop("loss", 0.0)} | losses | learner.scores
        with (self.run / LOG).open("a", encoding="utf-8") as log:
            print(json.dumps(line), file=log, flush=True)
        print("  ".join(f"{k} {v:.5g}" for k, v in line.items()), flush=True)
        self._points(trainer, learner.step, {f"PSNR/{k}": v for k, v in learner.scores.items()})
        if isinstance(trainer.logger, TensorBoardLogger):
            for part, pixels in learner.sheets.items():
                trainer.logger.experiment.add_image(
                    f"LR, result, HR/{part}", pixels, learner.step, dataformats="HWC"
                )

    def _points(self, trainer: Trainer, step: int, values: dict[str, float]) -> None:
        if isinstance(trainer.logger, TensorBoardLogger):
            for name, value in values.items():
                trainer.logger.experiment.add_scalar(name, value, step)


def save(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint atomically. All processes must call this."""
    temporary = path.with_name(f".{path.name}.part")
    trainer.save_checkpoint(temporary)
    if trainer.is_global_zero:
        temporary.replace(path)


def _link(source: Path, target: Path) -> None:
    """Hard-link a checkpoint under a second name; copy it if the file system has no links."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)


class ProgressBar(Callback):
    """Shows the loss and the time left, updated twice a second, in a terminal only."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown = 0.0
        self._first = (0.0, 0.0)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Show the bar."""
        if not (trainer.is_global_zero and sys.stderr is not None and sys.stderr.isatty()):
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        learner = _learner(module)
        self._bar = Progress(
            TextColumn("step {task.fields[step]}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[left]}"),
            console=Console(stderr=True),
            auto_refresh=False,  # a drawing thread would take time from the steps
            transient=True,
        )
        self._bar.add_task("", total=1.0, step=learner.step, loss="–", left="")
        self._bar.start()
        self._first = (time.monotonic(), learner.own_progress())

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar."""
        now = time.monotonic()
        if self._bar is None or now - self._shown < 0.5:
            return
        self._shown = now
        learner = _learner(module)
        done = learner.own_progress()
        begun, before = self._first
        count = learner.loss_sums.get("batches", 0.0)
        loss = f"{learner.loss_sums['loss'] / count:.4f}" if count else "–"
        gained = done - before
        left = (now - begun) / gained * (1.0 - done) if gained > 0 else 0.0
        self._bar.update(0, completed=done, step=learner.step, loss=loss, left=time_left(left))
        self._bar.refresh()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Remove the bar."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def time_left(seconds: float) -> str:
    """For example "40 s left", "12 min left", "3.5 h left"."""
    if seconds < 120:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 7200 else f"{seconds / 3600:.1f} h left"
