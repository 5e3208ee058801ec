"""What happens beside the steps: checkpoints, the log, curves and sheets, and a bar."""

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
"""Steps between two points of the curves."""


class Interrupted(Exception):
    """The run was asked to stop, and has been saved."""


def _learner(module: LightningModule) -> Learner:
    assert isinstance(module, Learner)
    return module


class Record(Callback):
    """At every check: a line of the log, points of the curves, sample sheets, and checkpoints
    (without `keep` none of them).
    """

    def __init__(self, run: Path, *, keep: bool = True) -> None:
        self.run, self.keep = run, keep

    def on_sanity_check_end(self, trainer: Trainer, module: LightningModule) -> None:
        """How good the start is."""
        self._tell(trainer, _learner(module))

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """A stretch is over and judged."""
        learner = _learner(module)
        self._tell(trainer, learner)
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
        """A point of the curves; and the end, where somebody asked for it."""
        learner = _learner(module)
        if learner.micro:
            return
        if learner.taken % _CURVE == 0 and trainer.is_global_zero:
            values = {"learning rate": trainer.optimizers[0].param_groups[0]["lr"]}
            count = learner.recent.get("batches", 1.0)
            values |= {k: v / count for k, v in learner.recent.items() if k != "batches"}
            self._points(trainer, learner.taken, values)
        if learner.stopping and not trainer.should_stop:
            save(trainer, self.run / LAST)
            raise Interrupted

    def _tell(self, trainer: Trainer, learner: Learner) -> None:
        losses = learner.tell_losses()
        if not trainer.is_global_zero:
            return
        line = {"step": learner.taken, "minutes": learner.seconds() / 60.0}
        line |= {"loss": losses.pop("loss", 0.0)} | losses | learner.scores
        with (self.run / LOG).open("a", encoding="utf-8") as log:
            print(json.dumps(line), file=log, flush=True)
        print("  ".join(f"{k} {v:.5g}" for k, v in line.items()), flush=True)
        self._points(trainer, learner.taken, {f"PSNR/{k}": v for k, v in learner.scores.items()})
        if isinstance(trainer.logger, TensorBoardLogger):
            for part, pixels in learner.sheets.items():
                trainer.logger.experiment.add_image(
                    f"LR, result, HR/{part}", pixels, learner.taken, dataformats="HWC"
                )

    def _points(self, trainer: Trainer, step: int, values: dict[str, float]) -> None:
        if isinstance(trainer.logger, TensorBoardLogger):
            for name, value in values.items():
                trainer.logger.experiment.add_scalar(name, value, step)


def save(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint, whole or not at all. All processes must call it."""
    temporary = path.with_name(f".{path.name}.part")
    trainer.save_checkpoint(temporary)
    if trainer.is_global_zero:
        temporary.replace(path)


def _link(source: Path, target: Path) -> None:
    """A second name for a checkpoint; a copy where the file system has none."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    temporary.replace(target)


class Bar(Callback):
    """A progress bar with the loss and the time left, twice a second, in a terminal only."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown = 0.0
        self._first = (0.0, 0.0)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Show it."""
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
            auto_refresh=False,  # a thread that draws takes time from the steps
            transient=True,
        )
        self._bar.add_task("", total=1.0, step=learner.taken, loss="–", left="")
        self._bar.start()
        self._first = (time.monotonic(), learner.own_progress())

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move it."""
        now = time.monotonic()
        if self._bar is None or now - self._shown < 0.5:
            return
        self._shown = now
        learner = _learner(module)
        done = learner.own_progress()
        begun, before = self._first
        count = learner.recent.get("batches", 0.0)
        loss = f"{learner.recent['loss'] / count:.4f}" if count else "–"
        gained = done - before
        left = (now - begun) / gained * (1.0 - done) if gained > 0 else 0.0
        self._bar.update(0, completed=done, step=learner.taken, loss=loss, left=in_words(left))
        self._bar.refresh()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Take it away."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, module: LightningModule, exception: BaseException
    ) -> None:
        """Take it away, too."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def in_words(seconds: float) -> str:
    """For example "40 s left", "12 min left", "3.5 h left"."""
    if seconds < 120:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 7200 else f"{seconds / 3600:.1f} h left"
