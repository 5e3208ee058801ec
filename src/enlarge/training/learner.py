"""The training step as a Lightning module.

Lightning runs the loop, the devices and the processes. Optimisation is manual, because Muon and
AdamW share one backward pass. Validation and the exported model use the running average (EMA) of
the weights. The state of a run is its step and its elapsed seconds, nothing else: the seed and the
number of a batch determine what is sampled, so a resumed run continues exactly.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchmetrics import MeanMetric

from enlarge.data.datasets import Batch, Judged
from enlarge.data.kernels import gaussian_kernel
from enlarge.errors import DataError
from enlarge.metrics import luma, psnr
from enlarge.training.config import Config
from enlarge.training.flats import flat_loss, flat_pictures
from enlarge.training.losses import Loss, one_colour
from enlarge.training.optimizers import make_optimizers, rate, set_rate_factor

STATE = "enlarge"
"""The key of a checkpoint that holds the state of a run."""
VALIDATION_SIDE = 512
"""Validation uses the central square of at most this side, in LR pixels."""
MASK_SIGMA = 1.5
"""Standard deviation in HR pixels of the Gaussian blur of `train.sharpen`'s unsharp mask."""
_SHEET = 96
"""Side of the crops on a sample sheet, in LR pixels."""


def to_unit(pictures: Tensor) -> Tensor:
    """Convert uint8 to float32 in [0, 1]; the memory format stays."""
    return pictures.float().div_(255.0)


def unsharp_mask(high: Tensor, amount: float) -> Tensor:
    """HR (B, 3, H, W) in [0, 1], plus `amount` of its difference from its blur, clamped.

    A network that learns this draws crisp contours (Wang et al., ICCV Workshops 2021,
    https://arxiv.org/abs/2107.10833, section 3.3).
    """
    reach = math.ceil(3.0 * MASK_SIGMA)
    kernel = torch.from_numpy(gaussian_kernel(2 * reach + 1, MASK_SIGMA)).to(high)
    channels = high.shape[1]
    padded = F.pad(high, (reach,) * 4, mode="replicate")
    blurred = F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)
    return (high + amount * (high - blurred)).clamp(0.0, 1.0)


class Learner(LightningModule):
    """Trains a network with the losses of `train.loss`.

    `max_steps` ends the run (0: `train.minutes` alone does). `describe` maps the number of a batch
    to the names of its patches, for error messages. `teacher`: a frozen network that teaches in
    every step; batches with a teacher's results do not need it.
    """

    def __init__(
        self,
        config: Config,
        network: nn.Module,
        *,
        max_steps: int = 0,
        describe: Callable[[int], Sequence[str]] = lambda number: [],
        teacher: nn.Module | None = None,
    ) -> None:
        super().__init__()
        assert config.train.precision != "auto", "a learner needs a precision: with_precision()"
        self.automatic_optimization = False
        self.config = config
        self.scale = int(network.scale)  # type: ignore[arg-type]
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: nn.Module = copy.deepcopy(self.network).requires_grad_(False)
        if config.train.checkpointing:
            checkpoint_blocks(self.network)
        self.criterion = Loss(
            config.train.loss,
            scale=self.scale,
            flat_weight=config.train.flat_weight,
            ignore_border=config.train.ignore_border,
            features=config.train.features,
        )
        self.teacher = [teacher] if teacher is not None else []
        """In a list, so that checkpoints do not hold it."""
        self.max_steps = max_steps
        self.describe = describe
        self.remedy: Callable[[], str] = str  # what to do if the loss is not finite
        self.step = 0
        self.micro_batch = 0
        """Batches since the last step, for gradient accumulation."""
        self.elapsed = 0.0
        self.started: float | None = None
        self.stop_requested = False
        """This process received a request to stop."""
        self.stopping = False
        """All processes know of the request: the run is saved after this step."""
        self.best = -math.inf
        self.loss_sums: dict[str, float] = {}
        """Sums of the losses since they were last logged, and their count as `batches`."""
        self.scores: dict[str, float] = {}
        self.sheets: dict[str, Tensor] = {}
        self.means: dict[str, MeanMetric] = {}

    def seconds(self) -> float:
        """Seconds of training, including those before the run was resumed."""
        return self.elapsed + (time.monotonic() - self.started if self.started is not None else 0.0)

    def own_progress(self) -> float:
        """The completed share of the run by this process's steps or clock, whichever is larger."""
        minutes = self.config.train.minutes
        by_time = self.seconds() / 60.0 / minutes if minutes else 0.0
        return max(self.step / self.max_steps if self.max_steps else 0.0, by_time)

    def progress(self) -> float:
        """The completed share of the run, the same on every process. A collective operation: all
        processes must call it.
        """
        found = self.own_progress()
        if self._trainer is not None and self.trainer.world_size > 1:
            shared = torch.tensor([found, float(self.stop_requested)], device=self.device)
            torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
            found, self.stopping = float(shared[0]), bool(shared[1] > 0)
        return found

    def stretch(self) -> range:
        """The numbers of this process's batches until the next validation."""
        t = self.config.train
        end = (self.step // t.check_every + 1) * t.check_every
        end = min(end, self.max_steps) if self.max_steps else end
        world, rank = self.trainer.world_size, self.trainer.global_rank
        first, last = self.step * t.accumulate, end * t.accumulate
        return range(first * world + rank, last * world + rank, world)

    def on_train_start(self) -> None:
        """Start the clock. The optimisers' state comes from the checkpoint, their hyper-parameters
        from the recipe, which may have changed.
        """
        self.criterion.to(self.device)
        for teacher in self.teacher:
            teacher.to(self.device)
        configured = self.configure_optimizers()
        for optimizer, fresh in zip(self.own_optimizers(), configured, strict=True):
            for group, new in zip(optimizer.param_groups, fresh.param_groups, strict=True):
                group.update({key: value for key, value in new.items() if key != "params"})
        self.started = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the state of the run instead of Lightning's loop counters."""
        checkpoint.pop("loops", None)
        checkpoint["global_step"] = self.step
        checkpoint[STATE] = {
            "taken": self.step,
            "spent": self.seconds(),
            "best": self.best,
            "recent": dict(self.loss_sums),
            "random": torch.get_rng_state(),
            "config": asdict(self.config),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state of the run."""
        state = checkpoint[STATE]
        self.step, self.elapsed, self.best = state["taken"], state["spent"], state["best"]
        self.loss_sums = dict(state["recent"])
        torch.set_rng_state(state["random"])

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimisers of the network."""
        return make_optimizers(self.network, self.config.train)

    def enlarge(self, low: Tensor) -> Tensor:
        """The network's output in float32, computed in the precision of the config.

        `low`: (B, 3, h, w), float32 in [0, 1]. Returns (B, 3, scale·h, scale·w), not clamped.
        """
        return self._run(self.network, low)

    def _run(self, network: nn.Module, low: Tensor) -> Tensor:
        bf16 = self.config.train.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            enlarged: Tensor = network(low)
        return enlarged.float()

    def target(self, batch: Batch) -> Tensor:
        """HR to learn, (B, 3, H, W) in [0, 1], sharpened by `train.sharpen`. Patches of one colour
        stay exactly as they are.
        """
        high = to_unit(batch.high)
        if not (amount := self.config.train.sharpen):
            return high
        return torch.where(one_colour(high)[:, None, None, None], high, unsharp_mask(high, amount))

    def lesson(self, batch: Batch, low: Tensor, high: Tensor) -> Tensor | None:
        """The teacher's results on a batch, (B, 3, sh, sw) in [0, 1]; None if there is no teacher.
        On patches of one colour it is HR.
        """
        if batch.taught is not None:
            return to_unit(batch.taught)
        if not self.teacher:
            return None
        with torch.no_grad():
            made = self._run(self.teacher[0], low).clamp(0.0, 1.0)
        return torch.where(one_colour(high)[:, None, None, None], high, made)

    def loss_of(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and its unweighted parts, detached."""
        low, high = to_unit(batch.low), self.target(batch)
        enlarged = self.enlarge(low)
        loss, parts = self.criterion(enlarged, high)
        lesson = self.lesson(batch, low, high)
        if lesson is not None:
            learned, _ = self.criterion(enlarged, lesson)
            share = self.config.teacher.weight
            loss = (1.0 - share) * loss + share * learned
            parts = {**parts, "taught": learned.detach()}
        if weight := self.config.train.flats:
            flat = flat_pictures(self.config.train.seed, batch.number).to(low.device)
            off = flat_loss(self.enlarge(flat), flat)
            loss = loss + weight * off
            parts = {**parts, "flats": off.detach()}
        return loss, parts

    def training_step(self, batch: Batch, index: int) -> None:
        """One batch, and an optimiser step after every `accumulate` batches.

        Raises `DataError` if the loss is not finite.
        """
        progress = self.progress()
        loss, parts = self.loss_of(batch)
        self.manual_backward(loss / self.config.train.accumulate)
        self.add_losses({"loss": loss, **(parts if len(parts) > 1 else {})}, batch)
        self.micro_batch += 1
        if self.micro_batch == self.config.train.accumulate:
            optimizers = self.own_optimizers()
            set_rate_factor(optimizers, self.rate_factor(progress))
            self.update(optimizers, self.network)
            self.after_step()

    def own_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimisers without Lightning's wrappers."""
        return self.trainer.optimizers

    def rate_factor(self, progress: float) -> float:
        """The factor of the learning rates at this point of the schedule."""
        train = self.config.train
        return rate(progress, self.step, train.warmup, train.decay)

    def update(self, optimizers: Sequence[torch.optim.Optimizer], network: nn.Module) -> None:
        """Clip the gradients of a network, step the optimisers, and zero the gradients."""
        if self.config.train.clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.config.train.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    @torch.no_grad()
    def after_step(self) -> None:
        """Update the running average (batch statistics are copied), count the step, and stop the
        trainer at the end of the run.
        """
        train = self.config.train
        averaged: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.network.parameters())
        decay = min(train.ema, (self.step + 1) / (self.step + 10))
        torch._foreach_lerp_(averaged, weights, 1.0 - decay)
        for own, other in zip(self.average.buffers(), self.network.buffers(), strict=True):
            own.copy_(other)
        self.step += 1
        self.micro_batch = 0
        if self.trainer.world_size == 1:
            self.stopping = self.stop_requested
        ended = bool(self.max_steps) and self.step >= self.max_steps
        ended |= bool(train.minutes) and self.seconds() >= 60.0 * train.minutes
        if self.trainer.world_size > 1 and train.minutes:
            ended = self.progress() >= 1.0  # clocks differ, and all must end together
        if ended:
            self.trainer.should_stop = True

    def add_losses(self, losses: Mapping[str, Tensor], batch: Batch) -> None:
        """Add the losses of a batch to the sums. Raises `DataError` if one is not finite."""
        values = {name: loss.item() for name, loss in losses.items()}
        if not all(math.isfinite(value) for value in values.values()):
            listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            names = "; ".join(self.describe(batch.number))
            raise DataError(
                f"the loss is not finite at step {self.step} ({listed}); batch {batch.number} "
                f"holds {names}. {self.remedy()}"
            )
        for name, value in {**values, "batches": 1.0}.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + value

    def mean_losses(self) -> dict[str, float]:
        """The mean losses since the last call."""
        count = max(self.loss_sums.pop("batches", 0.0), 1.0)
        means = {name: total / count for name, total in self.loss_sums.items()}
        self.loss_sums = {}
        return means

    def on_validation_epoch_start(self) -> None:
        """Reset the scores."""
        self.means, self.sheets = {}, {}
        loader = self.trainer.val_dataloaders
        assert loader is not None
        for part in loader.dataset.parts:
            self.means[part] = MeanMetric().to(self.device)
            self.means[part].update(0.0, 0.0)  # a process may have no picture of a part

    def validation_step(self, picture: Judged, index: int) -> None:
        """Luma PSNR in dB of the 8-bit output without a border of `scale` pixels; of a large
        picture's centre, to bound the memory.
        """
        low, high = center_crop(picture.low, picture.high, self.scale)
        enlarged: Tensor = self.average(to_unit(low))
        pixels = enlarged[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu()
        high = high[0].permute(1, 2, 0).cpu()
        ours, wanted = luma(pixels.numpy()), luma(high.numpy())
        score = psnr(ours, wanted, data_range=255.0, border=self.scale)
        self.means[picture.part].update(min(score, 100.0))  # the PSNR of equal pictures is infinite
        if picture.part not in self.sheets:
            self.sheets[picture.part] = sample_sheet(low[0].cpu(), pixels, high, self.scale)

    def on_validation_epoch_end(self) -> None:
        """Average the scores of each part over all processes."""
        self.scores = {part: float(mean.compute()) for part, mean in self.means.items()}


def center_crop(low: Tensor, high: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """The centre of a pair (B, 3, h, w), (B, 3, sh, sw), at most `VALIDATION_SIDE` a side in LR."""
    height, width = (min(side, VALIDATION_SIDE) for side in low.shape[2:])
    y, x = (low.shape[2] - height) // 2, (low.shape[3] - width) // 2
    part = low[..., y : y + height, x : x + width]
    y, x, height, width = (scale * n for n in (y, x, height, width))
    return part, high[..., y : y + height, x : x + width]


def sample_sheet(low: Tensor, enlarged: Tensor, high: Tensor, scale: int) -> Tensor:
    """LR by nearest neighbour, the result and HR of a picture's centre, side by side.

    `low` (3, h, w); `enlarged` and `high` (sh, sw, 3); uint8. Returns (side, 3 · side, 3).
    """
    height, width = low.shape[1:]
    side = min(_SHEET, height, width)
    y, x = (height - side) // 2, (width - side) // 2
    crop = low[:, y : y + side, x : x + side].float()[None]
    nearest = F.interpolate(crop, scale_factor=float(scale))[0].byte().permute(1, 2, 0)
    part = (slice(y * scale, (y + side) * scale), slice(x * scale, (x + side) * scale))
    return torch.cat([nearest, enlarged[part], high[part]], dim=1)


def checkpoint_blocks(network: nn.Module) -> None:
    """Turn on gradient checkpointing for every block of the trunk: its activations are recomputed
    in the backward pass instead of stored. Nested blocks are not checkpointed separately. Batch
    statistics are updated twice.
    """
    for module in network.children():
        blocks = list(module.children())
        is_trunk = isinstance(module, nn.Sequential | nn.ModuleList) and len(blocks) > 1
        if is_trunk and all(any(True for _ in block.children()) for block in blocks):
            for block in blocks:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        else:
            checkpoint_blocks(module)
