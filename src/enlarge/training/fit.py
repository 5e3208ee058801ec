"""The loop: photographs in, a trained network out.

A small loop of our own. Per step: a batch that depends on (seed, step) alone, L1 in bf16
autocast and channels-last, Muon for the hidden kernels and AdamW for the rest, and a running
average (EMA) of the weights, which is what is judged and kept.
"""

from __future__ import annotations

import copy
import ctypes
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.data.photos import Pair, Patches, list_photos, load_pairs
from enlarge.errors import DataError, OptionError
from enlarge.metrics import luma, psnr
from enlarge.networks import build
from enlarge.training.config import Config, Train, data_root
from enlarge.training.muon import Muon

RUNS = Path("runs")
LOSSES = {"l1": F.l1_loss, "l2": F.mse_loss}


def split_parameters(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """The hidden kernels (4-D, neither from nor to pixels, wider than 1×1), and all the rest."""
    hidden: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in network.named_parameters():
        ends = name.startswith(("head", "tail"))
        is_hidden = parameter.ndim == 4 and parameter.shape[-1] > 1 and not ends
        (hidden if is_hidden else rest).append(parameter)
    return hidden, rest


def make_optimizers(network: nn.Module, config: Config) -> list[torch.optim.Optimizer]:
    """Muon + AdamW, or AdamW alone; each group remembers its full rate as `initial_lr`."""
    t = config.train
    if t.optimizer == "adamw":
        found: list[torch.optim.Optimizer] = [torch.optim.AdamW(network.parameters(), lr=t.lr)]
    elif t.optimizer == "muon":
        hidden, rest = split_parameters(network)
        found = [
            Muon(hidden, lr=t.lr, weight_decay=t.weight_decay),
            torch.optim.AdamW(rest, lr=t.lr_rest, weight_decay=0.0, fused=True),
        ]
    else:
        raise OptionError(f"train.optimizer is muon or adamw, got {t.optimizer!r}")
    for optimizer in found:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return found


def rate(progress: float, step: int, warmup: int) -> float:
    """The share of the full learning rate: linear warm-up, then a cosine to zero."""
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1.0 + math.cos(math.pi * progress))


def beyond_range(enlarged: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Forgive what the clamp will: where HR is black or white, an output beyond it is right.

    Without this, white is learned as "about white", half of it below.
    """
    past = ((high >= 1.0) & (enlarged > 1.0)) | ((high <= 0.0) & (enlarged < 0.0))
    return enlarged, torch.where(past, enlarged.detach(), high)


def to_tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W) in [0, 1], channels-last."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255.0)


@torch.inference_mode()
def judge(network: nn.Module, pairs: Sequence[Pair], scale: int) -> float:
    """Mean luma PSNR in dB of 8-bit outputs, `scale` border pixels cropped."""
    scores = []
    for pair in pairs:
        out = network(to_tensor(pair.low[None]))[0].clamp(0, 1).mul(255).round()
        pixels = out.permute(1, 2, 0).byte().numpy()
        scores.append(psnr(luma(pixels), luma(pair.high), data_range=255.0, border=scale))
    return float(np.mean(scores))


def load_data(config: Config, scale: int) -> tuple[list[Pair], dict[str, list[Pair]]]:
    """Training pairs, and validation pairs by part. A file in both is an error."""
    folders = [Path(f) for f in config.data.photos] or [data_root() / "photos"]
    train = [p for folder in folders for p in list_photos(folder, config.data.parts)]
    valid = {
        part: list_photos(folders[0], [part]) if (folders[0] / "MANIFEST.tsv").is_file() else []
        for part in config.data.valid
    }
    both = set(train) & {path for paths in valid.values() for path in paths}
    if both:
        raise DataError(f"{len(both)} files are in training and validation, first {min(both)}")
    return load_pairs(train, scale), {k: load_pairs(v, scale) for k, v in valid.items()}


def keep_freed_memory() -> None:
    """Ask glibc to keep what is freed: a step frees and takes the same hundreds of megabytes, and
    handing them back each time costs a sixth of the step in page faults (95 ms against 80).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            libc.mallopt(option, 2**31 - 1)


@dataclass
class Learner:
    """A network in training: its running average (which is judged and kept) and its optimisers."""

    network: nn.Module
    average: nn.Module
    optimizers: list[torch.optim.Optimizer]
    config: Train

    @classmethod
    def start(cls, config: Config) -> Learner:
        """A fresh network, or one that continues from `model.start`."""
        torch.manual_seed(config.train.seed)
        network = build(config.model.network, **config.model.options)
        if config.model.start:
            network.load_state_dict(torch.load(config.model.start, weights_only=True)["raw"])
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizers = make_optimizers(network, config)
        return cls(network, copy.deepcopy(network), optimizers, config.train)

    def learn(self, step: int, progress: float, low: Tensor, high: Tensor) -> float:
        """One step on a batch; returns its loss. Raises `DataError` where it is not finite."""
        t = self.config
        share = rate(progress, step, t.warmup)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * share
        with torch.autocast("cpu", torch.bfloat16, enabled=t.precision == "bf16"):
            enlarged = self.network(low)
        wanted = beyond_range(enlarged.float(), high)
        each = LOSSES[t.loss](*wanted, reduction="none").mean((1, 2, 3))  # (B,)
        flat = (high.amax((2, 3)) == high.amin((2, 3))).all(1)  # of one colour
        loss = torch.where(flat, each * t.flat_weight, each).mean()
        loss.backward()
        if not math.isfinite(value := loss.item()):
            raise DataError(f"the loss is {value} at step {step} (batch of seed {t.seed})")
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            averaged: list[Tensor] = list(self.average.parameters())
            weights: list[Tensor] = list(self.network.parameters())
            torch._foreach_lerp_(averaged, weights, 1.0 - min(t.ema, (step + 1) / (step + 10)))
        return value

    def save(self, path: Path) -> None:
        """Write the network as it stands (`raw`) and its average (`ema`)."""
        states = {"raw": self.network.state_dict(), "ema": self.average.state_dict()}
        temporary = path.with_name(f".{path.name}.part")
        torch.save(states, temporary)
        temporary.replace(path)


def fit(config: Config) -> Path:
    """Train as the config says; returns the run's folder with `last.pt` and `log.jsonl`.

    Raises `OptionError` or `DataError`, before anything is trained where that can be known.
    """
    t = config.train
    if t.loss not in LOSSES:
        raise OptionError(f"train.loss is one of {', '.join(LOSSES)}, got {t.loss!r}")
    keep_freed_memory()
    learner = Learner.start(config)
    scale = int(learner.network.scale)  # type: ignore[arg-type]
    pairs, valid = load_data(config, scale)
    patches = Patches(pairs, scale=scale, patch=t.patch, seed=t.seed, flat=t.flat)
    run = RUNS / config.name
    run.mkdir(parents=True, exist_ok=True)
    (run / "config.yaml").write_text(yaml.safe_dump(asdict(config), sort_keys=False))
    print(f"{config.name}: {len(pairs)} pictures, {len(valid)} validation parts", flush=True)
    begun = time.monotonic()
    step, recent, since = 0, 0.0, 0
    with (run / "log.jsonl").open("w") as log:
        while True:
            minutes = (time.monotonic() - begun) / 60.0
            by_time = minutes / t.minutes if t.minutes else 0.0
            progress = max(step / t.steps if t.steps else 0.0, by_time)
            if step % t.check_every == 0 or progress >= 1.0:
                scores = {part: judge(learner.average, v, scale) for part, v in valid.items() if v}
                line = {"step": step, "minutes": minutes, "loss": recent / max(since, 1)} | scores
                print(json.dumps(line), file=log, flush=True)
                print("  ".join(f"{k} {v:.5g}" for k, v in line.items()), flush=True)
                learner.save(run / "last.pt")
                recent, since = 0.0, 0
            if progress >= 1.0:
                return run
            low, high = (to_tensor(pixels) for pixels in patches.batch(step, t.batch))
            recent += learner.learn(step, progress, low, high)
            step, since = step + 1, since + 1
