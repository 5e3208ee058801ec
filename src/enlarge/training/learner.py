"""The training steps, as Lightning modules: on pixels, and against a discriminator.

Lightning runs the loop, the devices and the processes. The optimisers are stepped by hand, since
Muon and AdamW share one backward pass, and a running average (EMA) of the weights is what is
judged and kept. Where a run stands is `taken` (steps) and `spent` (seconds) and nothing else: what
is sampled follows from the seed and the number of a batch, so a resumed run goes on exactly.
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
from enlarge.errors import DataError, OptionError
from enlarge.metrics import luma, psnr
from enlarge.networks.discriminators import SRGANDiscriminator, UNetDiscriminator
from enlarge.training.config import Config
from enlarge.training.losses import Loss
from enlarge.training.optimizers import make_optimizers, rate, set_rate

STATE = "enlarge"
"""The key of a checkpoint under which a run's own state lies."""
JUDGED = 512
"""LR pixels of a side, of which no more are judged by."""
_SHEET = 96
"""Side of the crops on a sample sheet, in LR pixels."""


def to_unit(pictures: Tensor) -> Tensor:
    """uint8 to float32 in [0, 1], in the same memory format."""
    return pictures.float().div_(255.0)


class Learner(LightningModule):
    """A network in training by pixel losses. `steps`: where it ends (0: by time alone);
    `describe`: a batch's number → the names of its patches, for messages.
    """

    def __init__(
        self,
        config: Config,
        network: nn.Module,
        *,
        steps: int = 0,
        describe: Callable[[int], Sequence[str]] = lambda number: [],
    ) -> None:
        super().__init__()
        assert config.train.precision != "auto", "a learner needs a precision: with_precision()"
        self.automatic_optimization = False
        self.config = config
        self.told = config.train
        self.scale = int(network.scale)  # type: ignore[arg-type]
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average: nn.Module = copy.deepcopy(self.network).requires_grad_(False)
        if self.told.checkpointing:
            remember_less(self.network)
        self.criterion = Loss(
            self.told.loss,
            scale=self.scale,
            flat_weight=self.told.flat_weight,
            ignore_border=self.told.ignore_border,
            features=self.told.features,
        )
        self.steps = steps
        self.describe = describe
        self.taken = 0
        self.micro = 0
        """Batches since the last step, below `accumulate`."""
        self.spent = 0.0
        self.begun: float | None = None
        self.asked = False
        """Somebody asked this process for an end."""
        self.stopping = False
        """All processes know of it: the run is saved after this step."""
        self.best = -math.inf
        self.recent: dict[str, float] = {}
        """Sums of the losses since they were last told, and their count as `batches`."""
        self.scores: dict[str, float] = {}
        self.sheets: dict[str, Tensor] = {}
        self.means: dict[str, MeanMetric] = {}

    # Where the run stands ----------------------------------------------------------------------

    def seconds(self) -> float:
        """Seconds of this run, those before it was resumed included."""
        return self.spent + (time.monotonic() - self.begun if self.begun is not None else 0.0)

    def own_progress(self) -> float:
        """The share of the run that is behind this process, by steps or by its own clock."""
        by_time = self.seconds() / 60.0 / self.told.minutes if self.told.minutes else 0.0
        return max(self.taken / self.steps if self.steps else 0.0, by_time)

    def progress(self) -> float:
        """The same on every process: a conversation, which all of them must begin."""
        found = self.own_progress()
        if self._trainer is not None and self.trainer.world_size > 1:
            shared = torch.tensor([found, float(self.asked)], device=self.device)
            torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
            found, self.stopping = float(shared[0]), bool(shared[1] > 0)
        return found

    def stretch(self) -> range:
        """The numbers of this process's batches until the next check."""
        t = self.told
        end = (self.taken // t.check_every + 1) * t.check_every
        end = min(end, self.steps) if self.steps else end
        world, rank = self.trainer.world_size, self.trainer.global_rank
        first, last = self.taken * t.accumulate, end * t.accumulate
        return range(first * world + rank, last * world + rank, world)

    def on_train_start(self) -> None:
        """The clock starts. What a checkpoint brings back of the optimisers is their memory; rates
        and decays are those of the recipe, which may have been changed.
        """
        self.criterion.to(self.device)
        told = self.configure_optimizers()
        for optimizer, fresh in zip(self.own_optimizers(), told, strict=True):
            for group, new in zip(optimizer.param_groups, fresh.param_groups, strict=True):
                group.update({key: value for key, value in new.items() if key != "params"})
        self.begun = time.monotonic()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Where the run stands, in place of Lightning's own counting."""
        checkpoint.pop("loops", None)
        checkpoint["global_step"] = self.taken
        checkpoint[STATE] = {
            "taken": self.taken,
            "spent": self.seconds(),
            "best": self.best,
            "recent": dict(self.recent),
            "random": torch.get_rng_state(),
            "config": asdict(self.config),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        state = checkpoint[STATE]
        self.taken, self.spent, self.best = state["taken"], state["spent"], state["best"]
        self.recent = dict(state["recent"])
        torch.set_rng_state(state["random"])

    # Learning ----------------------------------------------------------------------------------

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of the network."""
        return make_optimizers(self.network, self.told)

    def enlarge(self, low: Tensor) -> Tensor:
        """The network's result in float32, computed in bf16 where the recipe says so."""
        bf16 = self.told.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            enlarged: Tensor = self.network(low)
        return enlarged.float()

    def training_step(self, batch: Batch, index: int) -> None:
        """One batch, and a step of the optimisers after every `accumulate` of them.

        Raises `DataError` where the loss is not finite.
        """
        progress = self.progress()
        high = to_unit(batch.high)
        loss, parts = self.criterion(self.enlarge(to_unit(batch.low)), high)
        self.manual_backward(loss / self.told.accumulate)
        self.note({"loss": loss, **(parts if len(parts) > 1 else {})}, batch)
        self.micro += 1
        if self.micro == self.told.accumulate:
            optimizers = self.own_optimizers()
            set_rate(optimizers, self.share(progress))
            self.step(optimizers, self.network)
            self.took_a_step()

    def own_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimisers as they are, without Lightning's wrapping."""
        return self.trainer.optimizers

    def share(self, progress: float) -> float:
        """The share of the full learning rate."""
        return rate(progress, self.taken, self.told.warmup, self.told.decay)

    def step(self, optimizers: Sequence[torch.optim.Optimizer], network: nn.Module) -> None:
        """Clip the gradients of a network, step, and forget them."""
        if self.told.clip:
            nn.utils.clip_grad_norm_(network.parameters(), self.told.clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    @torch.no_grad()
    def took_a_step(self) -> None:
        """Follow with the running average (statistics of batches are the network's), count, and end
        where the end is reached.
        """
        averaged: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.network.parameters())
        keeping = min(self.told.ema, (self.taken + 1) / (self.taken + 10))
        torch._foreach_lerp_(averaged, weights, 1.0 - keeping)
        for own, other in zip(self.average.buffers(), self.network.buffers(), strict=True):
            own.copy_(other)
        self.taken += 1
        self.micro = 0
        if self.trainer.world_size == 1:
            self.stopping = self.asked
        ended = bool(self.steps) and self.taken >= self.steps
        ended |= bool(self.told.minutes) and self.seconds() >= 60.0 * self.told.minutes
        if self.trainer.world_size > 1 and self.told.minutes:
            ended = self.progress() >= 1.0  # clocks differ, and all must end together
        if ended:
            self.trainer.should_stop = True

    def note(self, losses: Mapping[str, Tensor], batch: Batch) -> None:
        """Add up the losses of a batch. Raises `DataError` where one is not finite."""
        values = {name: loss.item() for name, loss in losses.items()}
        if not all(math.isfinite(value) for value in values.values()):
            told = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            names = "; ".join(self.describe(batch.number))
            raise DataError(
                f"the loss is not finite at step {self.taken} ({told}); batch {batch.number} holds "
                f"{names}. last.ckpt is as of the last check: resume with a lower train.lr, or "
                "with train.clip"
            )
        for name, value in {**values, "batches": 1.0}.items():
            self.recent[name] = self.recent.get(name, 0.0) + value

    def tell_losses(self) -> dict[str, float]:
        """The mean losses since this was last asked."""
        count = max(self.recent.pop("batches", 0.0), 1.0)
        means = {name: total / count for name, total in self.recent.items()}
        self.recent = {}
        return means

    # Judging -----------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Scores begin anew."""
        self.means, self.sheets = {}, {}
        judges = self.trainer.val_dataloaders
        assert judges is not None
        for part in judges.dataset.parts:
            self.means[part] = MeanMetric().to(self.device)
            self.means[part].update(0.0, 0.0)  # a process may have no picture of a part

    def validation_step(self, judged: Judged, index: int) -> None:
        """Luma PSNR in dB of the 8-bit output, `scale` border pixels cropped; of a large picture's
        middle, which bounds the memory.
        """
        low, high = middle(judged.low, judged.high, self.scale)
        enlarged: Tensor = self.average(to_unit(low))
        pixels = enlarged[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu()
        high = high[0].permute(1, 2, 0).cpu()
        ours, wanted = luma(pixels.numpy()), luma(high.numpy())
        score = psnr(ours, wanted, data_range=255.0, border=self.scale)
        self.means[judged.part].update(min(score, 100.0))  # equal pictures have no finite PSNR
        if judged.part not in self.sheets:
            self.sheets[judged.part] = sheet(low[0].cpu(), pixels, high, self.scale)

    def on_validation_epoch_end(self) -> None:
        """The mean of every part, over all processes."""
        self.scores = {part: float(mean.compute()) for part, mean in self.means.items()}


def middle(low: Tensor, high: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """The middle of a pair (B, 3, h, w), (B, 3, sh, sw), of at most `JUDGED` LR pixels a side."""
    height, width = (min(side, JUDGED) for side in low.shape[2:])
    y, x = (low.shape[2] - height) // 2, (low.shape[3] - width) // 2
    part = low[..., y : y + height, x : x + width]
    y, x, height, width = (scale * n for n in (y, x, height, width))
    return part, high[..., y : y + height, x : x + width]


def sheet(low: Tensor, enlarged: Tensor, high: Tensor, scale: int) -> Tensor:
    """LR by nearest neighbour, the result and HR of a picture's middle, side by side.

    `low` (3, h, w); `enlarged` and `high` (sh, sw, 3); uint8. Returns (side, 3 · side, 3).
    """
    height, width = low.shape[1:]
    side = min(_SHEET, height, width)
    y, x = (height - side) // 2, (width - side) // 2
    crop = low[:, y : y + side, x : x + side].float()[None]
    nearest = F.interpolate(crop, scale_factor=float(scale))[0].byte().permute(1, 2, 0)
    part = (slice(y * scale, (y + side) * scale), slice(x * scale, (x + side) * scale))
    return torch.cat([nearest, enlarged[part], high[part]], dim=1)


def remember_less(network: nn.Module) -> None:
    """Let the blocks of every row of blocks be computed again in the backward pass instead of kept:
    memory for time. Blocks inside blocks are left alone; batch statistics are seen twice.
    """
    for module in network.children():
        blocks = list(module.children())
        is_row = isinstance(module, nn.Sequential | nn.ModuleList) and len(blocks) > 1
        if is_row and all(any(True for _ in block.children()) for block in blocks):
            for block in blocks:
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        else:
            remember_less(module)


class AdversarialLearner(Learner):
    """A network that also learns to deceive a discriminator, which learns beside it.

    standard (SRGAN, Ledig et al., CVPR 2017): photograph or not, each by itself. relativistic
    (ESRGAN, Wang et al., ECCV Workshops 2018): more like a photograph than the others on average.
    """

    def __init__(self, config: Config, network: nn.Module, **rest: Any) -> None:
        super().__init__(config, network, **rest)
        told = config.adversarial
        try:
            self.discriminator: nn.Module = (
                UNetDiscriminator(**told.options)
                if told.discriminator == "unet"
                else SRGANDiscriminator(
                    **{"patch": config.train.patch * self.scale, **told.options}
                )
            )
        except (TypeError, ValueError) as error:
            raise OptionError(f"adversarial.options of {told.discriminator}: {error}") from error

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The network's, then the discriminator's."""
        told = self.config.adversarial
        judge = torch.optim.Adam(self.discriminator.parameters(), lr=told.lr, betas=(0.9, 0.999))
        for group in judge.param_groups:
            group["initial_lr"] = group["lr"]
        return [*super().configure_optimizers(), judge]

    def verdict(self, pictures: Tensor) -> Tensor:
        """Logits of being a photograph, (B, 1) or (B, 1, H, W), in float32."""
        bf16 = self.told.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            if isinstance(self.discriminator, SRGANDiscriminator):
                logits: Tensor = self.discriminator.logits(pictures)
            else:
                logits = self.discriminator(pictures)
        return logits.float()

    def training_step(self, batch: Batch, index: int) -> None:
        """A step of the network, then one of the discriminator on the same pictures."""
        progress = self.progress()
        *own, judges = self.own_optimizers()
        set_rate([*own, judges], self.share(progress))
        high = to_unit(batch.high)
        relativistic = self.config.adversarial.kind == "relativistic"

        self.discriminator.requires_grad_(False)
        enlarged = self.enlarge(to_unit(batch.low))
        loss, parts = self.criterion(enlarged, high)
        fake = self.verdict(enlarged)
        if relativistic:
            real = self.verdict(high)
            deceive = 0.5 * (_against(fake - real.mean(), 1.0) + _against(real - fake.mean(), 0.0))
        else:
            deceive = _against(fake, 1.0)
        loss = loss + self.config.adversarial.weight * deceive
        self.manual_backward(loss)
        self.step(own, self.network)

        self.discriminator.requires_grad_(True)
        real, fake = self.verdict(high), self.verdict(enlarged.detach())
        if relativistic:
            judge = 0.5 * (_against(real - fake.mean(), 1.0) + _against(fake - real.mean(), 0.0))
        else:
            judge = 0.5 * (_against(real, 1.0) + _against(fake, 0.0))
        self.manual_backward(judge)
        self.step([judges], self.discriminator)
        self.note({"loss": loss, **parts, "adversarial": deceive, "discriminator": judge}, batch)
        self.took_a_step()


def _against(logits: Tensor, truth: float) -> Tensor:
    """Binary cross-entropy with one truth for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
