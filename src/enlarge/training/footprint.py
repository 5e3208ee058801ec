"""How much memory a training step takes, known before it is taken.

On a CPU running out raises nothing: the process is killed. An upper bound is counted first, without
computing anything (`at_most`). Where that is more than half of the machine's memory, the steps of
one patch of 64², 128² and 256² are measured, each in a child process, smallest first, and the peak
at the recipe's size is extrapolated: what a step remembers grows with the pixels, and nothing else
does.

A part of the peak are holes in the heap, which a training process keeps (`keep_freed_memory`): two
thirds more than what lives at a time for EDSR on 256², half more on 512². They grow with the pixels
where they were measured; beyond, half as fast. What lives is measured where nothing freed is kept.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from enlarge.errors import BudgetError
from enlarge.memory import default_budget, format_size
from enlarge.training.config import Config, from_dict

SIDES = (64, 128, 256)
_PROCESS, _PER_PARAMETER, _SLACK = 10**9, 40, 4
"""Of the upper bound: bytes of a process before its first step (0.44 GB were measured), bytes by
parameter (weights, gradients, optimiser and average are 20), and how many times what is kept for
the backward pass (0.98 to 1.64 were measured).
"""
_SURE = 0.9
"""Of the machine's memory: estimates were up to 12 % too low (docs/proofs.md)."""
_SMALL = 64 * 64
"""LR pixels of a batch below which nothing is worth measuring."""

_MEASURE = """
import json, sys
from enlarge.training.footprint import measure_here
told = json.loads(sys.stdin.read())
print(measure_here(told["config"], told["batch"], told["patch"], holes=told["holes"]))
"""
_ABOVE = 2**17
"""Bytes of a block above which it is returned once freed, where holes are not wanted."""


@dataclass(frozen=True)
class Footprint:
    """Peak bytes of a process that trains: `base` + `per_pixel` × LR pixels of a batch, as far as
    `measured` pixels; those beyond take `beyond` bytes each.
    """

    base: float
    per_pixel: float
    measured: float = math.inf
    beyond: float = 1.0

    def of(self, batch: int, patch: int) -> int:
        """The peak with a batch of `batch` patches of `patch`²."""
        pixels = batch * patch * patch
        within = min(pixels, self.measured)
        return round(self.base + self.per_pixel * within + self.beyond * (pixels - within))

    def room(self, limit: float) -> float:
        """The LR pixels of a batch whose peak is `limit` bytes; negative where none is."""
        pixels = (limit - self.base) / self.per_pixel
        if pixels <= self.measured:
            return pixels
        return self.measured + (pixels - self.measured) * self.per_pixel / self.beyond


def at_most(config: Config) -> int | None:
    """More bytes than a step of the recipe takes, counted on the meta device in a second or two;
    None for losses that run further networks.
    """
    if config.adversarial.weight or "perceptual" in config.train.loss:
        return None
    import torch

    from enlarge.networks import build
    from enlarge.training.learner import remember_less

    with torch.device("meta"):
        network = build(config.model.network, **config.model.options).train()
    if config.train.checkpointing:
        remember_less(network)
    own = [*network.parameters(), *network.buffers()]
    known = {tensor.untyped_storage()._cdata for tensor in own}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return tensor

    patch = config.train.patch
    picture = torch.empty(1, 3, patch, patch, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(picture)
    each = sum(storage.nbytes() for storage in kept.values())
    parameters = sum(tensor.numel() for tensor in network.parameters())
    return _PROCESS + _PER_PARAMETER * parameters + _SLACK * each * config.train.batch


def measure_here(config: dict[str, Any], batch: int, patch: int, *, holes: bool) -> int:
    """The peak bytes of this process after two steps on `batch` patches of `patch`², with the
    `holes` of a heap that is kept, or without.
    """
    import torch

    from enlarge.memory import keep_freed_memory, peak, return_freed_memory
    from enlarge.networks import build
    from enlarge.training.devices import with_precision
    from enlarge.training.projected import learner_of

    told = with_precision(from_dict(config))
    if holes:
        keep_freed_memory()
    else:
        return_freed_memory(_ABOVE)
    train = replace(told.train, patch=patch, accumulate=1, ignore_border=0)
    torch.manual_seed(0)
    network = build(told.model.network, **told.model.options)
    kind = learner_of(told)
    _take_steps(kind(replace(told, train=train), network, steps=2), batch, patch)
    return peak()


def _take_steps(learner: Any, batch: int, patch: int) -> None:
    """Two steps on patches of noise, without a trainer."""
    import torch

    from enlarge.data.datasets import Batch

    optimizers = learner.configure_optimizers()
    learner.manual_backward = lambda loss: loss.backward()
    learner.own_optimizers = lambda: list(optimizers)
    low, high = (
        torch.randint(0, 256, (batch, s, s, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        for s in (patch, patch * learner.scale)
    )
    for _ in range(2):
        learner.took_a_step = lambda: setattr(learner, "micro", 0)
        learner.training_step(Batch(low, high, 0), 0)


def fitted(points: Sequence[tuple[int, int]]) -> Footprint:
    """The line through pixels and peaks, where large ones count no more than small ones."""
    pixels, peaks = np.array(points, float).T
    per_pixel, base = np.polyfit(pixels, peaks, 1, w=1.0 / peaks)
    return Footprint(float(base), float(max(per_pixel, 1.0)))


def measure(config: Config, limit: int) -> Footprint | None:
    """The footprint of a recipe's step; None where the children could not measure two sizes.

    The largest side is left out where the smaller ones say that it takes half of `limit`.
    """
    points: list[tuple[int, int]] = []
    for batch, patch in shapes(config):
        if len(points) > 1 and fitted(points).of(batch, patch) > limit / 2:
            break
        most = measure_in_child(config, patch, batch=batch)
        if most is None:
            break
        points.append((batch * patch * patch, most))
    if len(points) < 2:
        return None
    found = fitted(points)
    measured = points[-1][0]
    if config.train.batch * config.train.patch**2 <= measured:
        return found
    peaks: list[tuple[int, int]] = []
    for batch, patch in shapes(config)[:2]:
        if (living := measure_in_child(config, patch, batch=batch, holes=False)) is not None:
            peaks.append((batch * patch * patch, living))
    least = fitted(peaks).per_pixel if len(peaks) > 1 else found.per_pixel
    beyond = min(found.per_pixel, (found.per_pixel + least) / 2)
    return replace(found, measured=measured, beyond=beyond)


def shapes(config: Config) -> list[tuple[int, int]]:
    """Batches and patches to measure: one patch of each side. SRGAN's discriminator has weights for
    every pixel of a patch: beside it patches keep their size, and there are more of them.
    """
    if not (config.adversarial.weight and config.adversarial.discriminator == "srgan"):
        return [(1, side) for side in SIDES]
    patch = config.train.patch
    counts = sorted({max(1, side * side // (patch * patch)) for side in SIDES})
    return [(count, patch) for count in (counts if len(counts) > 1 else [1, 2])]


def measure_in_child(
    config: Config, patch: int, *, batch: int = 1, holes: bool = True
) -> int | None:
    """`measure_here` in a process of its own, where no size before it has left holes in the heap;
    None where that did not come to an end.
    """
    told = json.dumps({"config": asdict(config), "batch": batch, "patch": patch, "holes": holes})
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], input=told, capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None


def check_memory(config: Config) -> str:
    """What a step takes and what the machine has, in words; empty where it is too little to count.

    Raises `BudgetError`, proposing what fits, where it does not.
    """
    from enlarge.training.devices import device_of

    t = config.train
    if device_of(t) != "cpu" or t.batch * t.patch**2 <= _SMALL:
        return ""
    limit = 2 * default_budget()
    bound = at_most(config)
    if bound is not None and bound * t.devices <= limit / 2:
        return f"a step takes less than {format_size(bound * t.devices)} of {format_size(limit)}"
    print("measuring the memory that a step takes", flush=True)
    footprint = measure(config, limit)
    if footprint is None:
        return "what a step takes could not be measured beforehand"
    processes = t.devices
    need = footprint.of(t.batch, t.patch) * processes
    if need <= _SURE * limit:
        return f"a step takes about {format_size(need)} of {format_size(limit)}"
    raise BudgetError(
        f"a step of {t.batch} patches of {t.patch}² takes about {format_size(need)}, this machine "
        f"has {format_size(limit)}; {propose(config, footprint, limit / processes)}"
    )


def propose(config: Config, footprint: Footprint, limit: float) -> str:
    """What would fit into `limit` bytes: accumulation first, then a smaller patch."""
    t = config.train
    ways = []
    room = footprint.room(_SURE * limit)
    fits = [b for b in range(1, t.batch) if t.batch % b == 0 and b * t.patch**2 <= room]
    if fits and config.adversarial.weight:  # the two networks take turns on a batch
        ways.append(f"train.batch={fits[-1]}")
    elif fits:
        more = t.accumulate * t.batch // fits[-1]
        ways.append(f"train.batch={fits[-1]} train.accumulate={more} (the same steps)")
    side = int(max(room, 0.0) ** 0.5) // 8 * 8
    if side >= 16 and side < t.patch:
        ways.append(f"train.batch=1 train.patch={side}")
    if not t.checkpointing:
        less = measure(replace(config, train=replace(t, checkpointing=True)), round(limit))
        if less is not None and less.of(t.batch, t.patch) <= limit:
            ways.append("train.checkpointing=true (blocks are computed twice, remembered less)")
    return "try " + ", or ".join(ways) if ways else "choose a smaller network"
