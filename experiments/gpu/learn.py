"""Train one network in a given number of seconds on a GPU: a whole step is one CUDA graph.

The step is the package's recipe (L1, Muon for hidden kernels, AdamW for the rest, a running
average, bf16 autocast, patches of one colour weighted), written so that nothing in it asks the
host: batches are cut on the GPU, learning rates are tensors. Without a GPU it runs step by step.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enlarge.networks import build
from enlarge.networks.blocks import WindowAttention
from enlarge.networks.discriminators import UNetDiscriminator
from enlarge.training.losses import beyond_range
from enlarge.training.muon import orthogonalise
from enlarge.training.optimizers import split_parameters
from experiments.gpu.pictures import Pool, Tile, as_tensors

LUMA = (65.481 / 255.0, 128.553 / 255.0, 24.966 / 255.0)


@dataclass(frozen=True)
class Job:
    """One network to train. `stages`: (share of the time, batch, patch in LR pixels)."""

    name: str
    network: str
    options: dict[str, Any]
    seconds: float
    stages: tuple[tuple[float, int, int], ...]
    lr: float = 0.015
    lr_rest: float = 1e-3
    decay: float = 1.0  # the last share of the time in which the rates fall to zero
    weight_decay: float = 0.05
    ema: float = 0.999
    flat: float = 0.03
    flat_weight: float = 5.0
    start: str = ""  # a result whose weights this begins with, as far as shapes agree
    adversarial: float = 0.0
    compiled: bool = False
    seed: int = 0
    every: float = 30.0  # seconds between judgements
    warmup: int = 300  # steps in which the rates rise
    clip: float = 0.0  # largest norm of all gradients together; 0: any
    turned: str = "dihedral"  # or flips, or none
    recoloured: float = 0.0  # share of the patches whose colours are swapped or contrast lowered
    taught: float = 0.0  # weight of the pool's taught pictures against the photographs
    prepared: bool = False  # the time begins when the first stage is ready
    beta: float = 0.99  # AdamW's second
    extra: dict[str, Any] = field(default_factory=dict)


# Attention as one piece: the package computes the windows at the picture's edge apart, which is
# what an exported graph wants; for training all windows go through one product, with a mask each.


class AttentionAtOnce(WindowAttention):
    """The same function as its base, for pictures of the size that `masks_for` was told."""

    whole_mask: Tensor

    def masks_for(self, patch: int, dtype: torch.dtype) -> None:
        """Keep a mask for each window of pictures of `patch`²: (windows, 1, N, N)."""
        side = patch // self.window
        across, down = self.masks()
        masks = torch.zeros(side, side, *across.shape, device=across.device)
        masks[:, -1] += across
        masks[-1] += down
        self.register_buffer("whole_mask", masks.flatten(0, 1)[:, None].to(dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, H, W, C) to the same."""
        batch, height, width, dim = x.shape
        window, heads, shift = self.window, self.heads, self.shift
        rows, columns = height // window, width // window
        count, pixels = rows * columns, window * window
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        x = x.view(batch, rows, window, columns, window, dim).transpose(2, 3)
        x = x.reshape(batch * count, pixels, dim)
        qkv = self.qkv(x).view(batch * count, pixels, 3, heads, dim // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B·windows, heads, N, d) each
        logits = (q * (dim // heads) ** -0.5) @ k.transpose(-2, -1)
        logits = logits + self.bias().to(logits.dtype)
        if shift:
            grouped = logits.view(batch, count, heads, pixels, pixels)
            logits = (grouped + self.whole_mask).view_as(logits)
        x = torch.softmax(logits, dim=-1).to(v.dtype) @ v
        x = x.transpose(1, 2).reshape(batch, rows, columns, window, window, dim)
        x = self.proj(x).transpose(2, 3).reshape(batch, height, width, dim)
        return torch.roll(x, (shift, shift), (1, 2)) if shift else x


def _prepare_attention(network: nn.Module, patch: int, dtype: torch.dtype) -> None:
    for module in network.modules():
        if isinstance(module, WindowAttention):
            module.__class__ = AttentionAtOnce
            module.masks_for(patch, dtype)  # type: ignore[operator]


class Optimizer:
    """Muon and AdamW, their rates times `share`, a tensor; nothing here waits for the GPU."""

    def __init__(self, network: nn.Module, job: Job, share: Tensor) -> None:
        self.job, self.share = job, share
        adam = bool(job.extra.get("adam"))
        hidden, self.rest = ([], list(network.parameters())) if adam else split_parameters(network)
        shapes: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in hidden:
            shapes.setdefault(tuple(parameter.shape), []).append(parameter)
        self.stacks = list(shapes.values())
        self.moments = [
            torch.zeros(len(s), *s[0].flatten(1).shape, device=share.device) for s in self.stacks
        ]
        self.first = [torch.zeros_like(p) for p in self.rest]
        self.second = [torch.zeros_like(p) for p in self.rest]
        self.count = torch.zeros((), device=share.device)
        self.parameters = [p for stack in self.stacks for p in stack] + self.rest

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One update; gradients in the order of `parameters`."""
        beta = self.job.beta
        if self.job.clip:
            gradients = list(gradients)
            norm = torch.stack(torch._foreach_norm(gradients)).norm()
            gradients = torch._foreach_mul(gradients, (self.job.clip / (norm + 1e-6)).clamp(max=1))
        rate = self.share * self.job.lr
        start = 0
        for stack, moment in zip(self.stacks, self.moments, strict=True):
            own = [g.flatten(1) for g in gradients[start : start + len(stack)]]
            start += len(stack)
            gradient = torch.stack(own).float()
            moment.lerp_(gradient, 0.05)
            rows, columns = moment.shape[1:]
            update = orthogonalise(gradient.lerp(moment, 0.95)) * max(1.0, rows / columns) ** 0.5
            update = update * rate
            torch._foreach_mul_(stack, 1.0 - rate * self.job.weight_decay)
            torch._foreach_sub_(stack, [u.view_as(p) for u, p in zip(update, stack, strict=True)])
        rest = [g.contiguous() for g in gradients[start:]]
        self.count.add_(1.0)
        torch._foreach_lerp_(self.first, rest, 0.1)
        torch._foreach_mul_(self.second, beta)
        torch._foreach_addcmul_(self.second, rest, rest, 1.0 - beta)
        below = torch._foreach_div(self.second, 1.0 - torch.pow(beta, self.count))
        torch._foreach_sqrt_(below)
        torch._foreach_add_(below, 1e-8)
        steps = torch._foreach_div(self.first, below)
        torch._foreach_mul_(
            steps, self.share * self.job.lr_rest / (1.0 - torch.pow(0.9, self.count))
        )
        torch._foreach_sub_(self.rest, steps)


class Run:
    """A job under way: network, average, optimisers and the step."""

    def __init__(self, job: Job, pool: Pool, results: Path, started: float | None = None) -> None:
        self.job, self.pool, self.device = job, pool, pool.device
        self.gpu = self.device.type == "cuda"
        self.started = time.monotonic() if started is None else started
        torch.manual_seed(job.seed)
        network = build(job.network, **job.options)
        if job.start:
            begin = torch.load(results / f"{job.start}.pt", map_location="cpu", weights_only=True)
            own = network.state_dict()
            fitting = {
                k: v.float() for k, v in begin.items() if k in own and v.shape == own[k].shape
            }
            network.load_state_dict(fitting, strict=False)
            print(f"{job.name}: {len(fitting)} of {len(own)} tensors from {job.start}", flush=True)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.judged = copy.deepcopy(self.network)  # holds the average when it is judged
        self.share = torch.zeros((), device=self.device)
        self.optimizer = Optimizer(self.network, job, self.share)
        self.average = [p.detach().clone() for p in self.optimizer.parameters]
        self.count = torch.zeros((), device=self.device)
        self.loss = torch.zeros((), device=self.device)
        self.taken = 0
        self.log: list[dict[str, float]] = []
        if job.adversarial:
            self.critic = UNetDiscriminator(features=int(job.extra.get("features", 48)))
            self.critic.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            quiet = Job("", "", {}, 0, (), lr_rest=1e-4, extra={"adam": True})
            self.critic_optimizer = Optimizer(
                self.critic, quiet, torch.ones((), device=self.device)
            )
        if job.compiled:
            for module in self.network.trunk:
                module.compile(dynamic=False)

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)

    def step(self, batch: int, patch: int) -> None:
        """One batch, one update of everything."""
        job = self.job
        low, high, taught, plain = self.pool.batch(batch, patch, job.flat, job.turned)
        if job.recoloured:
            low, high, taught = recolour((low, high, taught), job.recoloured)
        with self._autocast():
            enlarged = self.network(low.contiguous(memory_format=torch.channels_last))
        enlarged = enlarged.float()
        own, wanted = beyond_range(enlarged, high)
        each = (own - wanted).abs().mean((1, 2, 3))
        if job.taught:
            learned = (enlarged - taught).abs().mean((1, 2, 3))
            each = each + job.taught * (learned - each)
        pixel = (each * torch.where(plain, job.flat_weight, 1.0)).mean()
        loss = pixel
        if job.adversarial:
            with self._autocast():
                verdict = self.critic(enlarged.contiguous(memory_format=torch.channels_last))
            loss = loss + job.adversarial * F.softplus(-verdict.float()).mean()
        self.optimizer.step(torch.autograd.grad(loss, self.optimizer.parameters))
        if job.adversarial:
            seen = torch.cat([high, enlarged.detach()]).contiguous(
                memory_format=torch.channels_last
            )
            with self._autocast():
                real, fake = self.critic(seen).float().chunk(2)
            judge = F.softplus(-real).mean() + F.softplus(fake).mean()
            grads = torch.autograd.grad(judge, self.critic_optimizer.parameters)
            self.critic_optimizer.step(grads)
        with torch.no_grad():
            self.count.add_(1.0)
            keep = torch.clamp((self.count + 1) / (self.count + 10), max=job.ema)
            away = torch._foreach_sub(self.optimizer.parameters, self.average)
            torch._foreach_mul_(away, 1.0 - keep)
            torch._foreach_add_(self.average, away)
            self.loss.add_(pixel.detach())

    def captured(self, batch: int, patch: int) -> Callable[[], None]:
        """The step as something to call: a CUDA graph where that works."""
        _prepare_attention(self.network, patch, torch.bfloat16)
        if not self.gpu:
            return lambda: self.step(batch, patch)
        self.share.fill_(self._share())
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(4):
                self.step(batch, patch)
                self.taken += 1
        torch.cuda.current_stream().wait_stream(aside)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                self.step(batch, patch)
        except Exception as error:  # a slower run beats none; what failed is printed
            print(f"{self.job.name}: no CUDA graph: {error!r}", flush=True)
            torch.cuda.synchronize()
            return lambda: self.step(batch, patch)
        return graph.replay

    def progress(self) -> float:
        """0 to 1: the share of the time that is over."""
        return min(1.0, (time.monotonic() - self.started) / self.job.seconds)

    def _share(self) -> float:
        job = self.job
        fallen = max(0.0, self.progress() - (1.0 - job.decay)) / job.decay
        rising = min(1.0, (self.taken + 1) / max(job.warmup, 1))
        return rising * 0.5 * (1.0 + math.cos(math.pi * fallen))

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights by name, float32 on the CPU."""
        named = {id(p): name for name, p in self.network.named_parameters()}
        pairs = zip(self.optimizer.parameters, self.average, strict=True)
        return {named[id(p)]: a.detach().cpu().contiguous() for p, a in pairs}

    def train(self, judges: dict[str, list[tuple[Tensor, Tensor]]], results: Path) -> None:
        """Until the time is over; writes `results/NAME.pt` and `NAME.json` as it goes."""
        told = 0.0
        for number, (_, batch, patch) in enumerate(self.job.stages):
            until = sum(share for share, _, _ in self.job.stages[: number + 1])
            if self.progress() >= until:
                continue
            begun = time.monotonic()
            step = self.captured(batch, patch)
            if self.job.prepared and number == 0:
                self.started = time.monotonic()
            print(
                f"{self.job.name}: stage {number} ready after {time.monotonic() - begun:.1f} s",
                flush=True,
            )
            since, then = self.taken, time.monotonic()
            while self.progress() < min(until, 1.0):
                self.share.fill_(self._share())
                step()
                self.taken += 1
                if self.gpu and self.taken % 20 == 0:
                    torch.cuda.current_stream().synchronize()
                if time.monotonic() - self.started > told + self.job.every:
                    told = time.monotonic() - self.started
                    self.judge(judges, results)
            if self.gpu:
                torch.cuda.synchronize()
            each = (time.monotonic() - then) / max(1, self.taken - since)
            print(
                f"{self.job.name}: stage {number}: {self.taken - since} steps, "
                f"{1e3 * each:.2f} ms each",
                flush=True,
            )
            del step
        self.judge(judges, results)

    def judge(self, judges: dict[str, list[tuple[Tensor, Tensor]]], results: Path) -> None:
        """Luma PSNR of the averaged weights on every part; weights and log written."""
        weights = self.weights()
        line = {"seconds": round(time.monotonic() - self.started, 1), "step": float(self.taken)}
        line["loss"] = float(self.loss) / max(1.0, self.taken - sum(x["steps"] for x in self.log))
        line["steps"] = self.taken - sum(x["steps"] for x in self.log)
        self.loss.zero_()
        self.judged.load_state_dict(weights, strict=False)
        with torch.backends.cudnn.flags(enabled=True, benchmark=False):
            for part, pairs in judges.items():
                line[part] = score(self.judged, pairs, self.pool.scale)
        self.log.append(line)
        print(self.job.name, {k: round(v, 4) for k, v in line.items()}, flush=True)
        torch.save(weights, results / f"{self.job.name}.part")
        (results / f"{self.job.name}.part").rename(results / f"{self.job.name}.pt")
        if self.job.adversarial:  # no score tells which is best: keep them all
            torch.save(weights, results / f"{self.job.name}@{len(self.log)}.pt")
        (results / f"{self.job.name}.json").write_text(json.dumps(self.log))


def recolour(pictures: Sequence[Tensor], share: float) -> list[Tensor]:
    """The pictures of a batch, (B, 3, H, W) each, some of them in other colours, all alike.

    What a bicubic reduction commutes with: half of the share has its colours swapped, half its
    contrast lowered to 0.6 at the least, around any gray.
    """
    count, device = len(pictures[0]), pictures[0].device
    drawn = torch.rand(count, device=device)
    kept = torch.arange(3, device=device).expand(count, 3)
    order = torch.rand(count, 3, device=device).argsort(1)
    order = torch.where((drawn < share / 2)[:, None], order, kept)[:, :, None, None]
    weaker = (drawn >= share / 2) & (drawn < share)
    gain = torch.where(weaker, 0.6 + 0.4 * torch.rand(count, device=device), 1.0)
    lift = (1.0 - gain) * torch.rand(count, device=device)
    gain, lift = gain[:, None, None, None], lift[:, None, None, None]
    return [each.gather(1, order.expand(each.shape)) * gain + lift for each in pictures]


@torch.no_grad()
def score(network: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]], scale: int) -> float:
    """Mean PSNR of 8-bit luma, `scale` border pixels cropped; uint8 pairs (3, H, W)."""
    total = 0.0
    for low, high in pairs:
        out = network(low[None].float() / 255.0)[0]
        pixels = out.clamp(0, 1).mul(255.0).round()
        weights = torch.tensor(LUMA, device=out.device)[:, None, None]
        error = ((pixels - high.float()) * weights).sum(0)[scale:-scale, scale:-scale]
        total += 10.0 * math.log10(255.0**2 / float(error.square().mean()))
    return total / len(pairs)


def judges_of(tiles: Sequence[Tile], scale: int, device: torch.device) -> dict[str, Any]:
    """The validation parts as pairs on the device."""
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for tile in tiles:
        part = tile.name.split("/")[0]
        if part in ("valid", "detail"):
            found.setdefault(part, []).append(as_tensors(tile.low[scale], tile.high, device))
    return found


def run(job: Job, pool: Pool, tiles: Sequence[Tile], results: Path) -> None:
    """Train a job; without compiling, if compiling is what fails."""
    started = time.monotonic()
    judges = judges_of(tiles, pool.scale, pool.device)
    try:
        Run(job, pool, results, started).train(judges, results)
    except Exception as error:
        if not job.compiled:
            raise
        print(f"{job.name}: compiled it failed: {error!r}; again without", flush=True)
        plain = replace(job, compiled=False)
        torch.compiler.reset()
        Run(plain, pool, results, started).train(judges, results)
    if pool.device.type == "cuda":
        torch.cuda.empty_cache()


def clean_pool(tiles: Sequence[Tile], scale: int, device: torch.device) -> Pool:
    """The photographs with MATLAB's bicubic as their partner."""
    train = [t for t in tiles if t.name.startswith("train/")]
    return Pool([(t.low[scale], t.high, 1.0) for t in train], scale, device)
