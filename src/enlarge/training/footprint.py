"""Estimates the peak memory of a training step before the first one.

On a CPU the process is killed when memory runs out, without an exception. `upper_bound` counts
what a step stores, without computing it. If that exceeds half of the machine's memory, steps on one
patch of 64², 128² and 256² are measured, each in a child process, smallest first, and the peak at
the recipe's size is extrapolated: activations grow with the number of pixels, nothing else does.

Part of the peak is heap fragmentation, because a training process keeps freed memory
(`keep_freed_memory`): for EDSR two thirds of the live memory on 256², half of it on 512². Within
the measured sizes it grows with the pixels, beyond them half as fast. The live memory is measured
in a process that returns freed memory.
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
"""For the upper bound: bytes of a process before its first step (measured: 0.44 GB), bytes per
parameter (weights, gradients, optimiser and average: 20), and the factor on the tensors that are
saved for the backward pass (measured: 0.98 to 1.69).
"""
_SURE = 0.9
"""The share of the machine's memory that an estimate may take: some were 12 % too low."""
_SMALL = 64 * 64
"""LR pixels of a batch up to which nothing is estimated."""

_MEASURE = """
import json, sys
from enlarge.training.footprint import measure_in_process
given = json.loads(sys.stdin.read())
print(measure_in_process(given.pop("config"), **given))
"""
_ABOVE = 2**17
"""Blocks of more bytes are returned to the system once freed, if fragmentation is left out."""


@dataclass(frozen=True)
class Footprint:
    """Peak bytes of a training process: `base` + `per_pixel` × LR pixels of a batch, up to
    `measured` pixels; each further pixel takes `beyond` bytes.
    """

    base: float
    per_pixel: float
    measured: float = math.inf
    beyond: float = 1.0

    def peak(self, batch: int, patch: int) -> int:
        """The peak in bytes with `batch` patches of `patch`² LR pixels."""
        pixels = batch * patch * patch
        within = min(pixels, self.measured)
        return round(self.base + self.per_pixel * within + self.beyond * (pixels - within))

    def pixels(self, limit: float) -> float:
        """The LR pixels of a batch whose peak is `limit` bytes; negative if there is none."""
        pixels = (limit - self.base) / self.per_pixel
        if pixels <= self.measured:
            return pixels
        return self.measured + (pixels - self.measured) * self.per_pixel / self.beyond


def upper_bound(config: Config) -> int | None:
    """More bytes than a step of the recipe takes, counted on the meta device within two seconds;
    None if the losses run other networks, or the backward pass recomputes activations.
    """
    train = config.train
    if config.adversarial.weight or "perceptual" in train.loss or train.checkpointing:
        return None
    import torch

    from enlarge.networks import build

    with torch.device("meta"):
        network = build(config.model.network, **config.model.options).train()
    own = [*network.parameters(), *network.buffers()]
    known = {tensor.untyped_storage()._cdata for tensor in own}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return tensor

    patch = train.patch
    picture = torch.empty(1, 3, patch, patch, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(picture)
    each = sum(storage.nbytes() for storage in kept.values())
    parameters = sum(tensor.numel() for tensor in network.parameters())
    return _PROCESS + _PER_PARAMETER * parameters + _SLACK * each * train.batch


def measure_in_process(config: dict[str, Any], batch: int, patch: int, *, keep_freed: bool) -> int:
    """The peak bytes of this process after two steps on `batch` patches of `patch`². `keep_freed`:
    with a heap that keeps freed memory, as in training.
    """
    import torch

    from enlarge.memory import keep_freed_memory, peak, return_freed_memory
    from enlarge.networks import build
    from enlarge.training.devices import with_precision
    from enlarge.training.projected import learner_of

    full = with_precision(from_dict(config))
    if keep_freed:
        keep_freed_memory()
    else:
        return_freed_memory(_ABOVE)
    train = replace(full.train, patch=patch, accumulate=1, ignore_border=0)
    torch.manual_seed(0)
    network = build(full.model.network, **full.model.options)
    kind = learner_of(full)
    _take_steps(kind(replace(full, train=train), network, max_steps=2), batch, patch)
    return peak()


def _take_steps(learner: Any, batch: int, patch: int) -> None:
    """Take two steps on patches of noise, without a trainer."""
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
        learner.after_step = lambda: setattr(learner, "micro_batch", 0)
        learner.training_step(Batch(low, high, 0), 0)


def fit_line(points: Sequence[tuple[int, int]]) -> Footprint:
    """Fit a line through (pixels, peak) by relative error."""
    pixels, peaks = np.array(points, float).T
    per_pixel, base = np.polyfit(pixels, peaks, 1, w=1.0 / peaks)
    return Footprint(float(base), float(max(per_pixel, 1.0)))


def measure_footprint(config: Config, limit: int) -> Footprint | None:
    """Measure a step of the recipe at several sizes; None if two sizes could not be measured.

    The largest size is skipped if the smaller ones predict that it takes more than half of `limit`.
    """
    points: list[tuple[int, int]] = []
    for batch, patch in shapes(config):
        if len(points) > 1 and fit_line(points).peak(batch, patch) > limit / 2:
            break
        most = measure_in_child(config, patch, batch=batch)
        if most is None:
            break
        points.append((batch * patch * patch, most))
    if len(points) < 2:
        return None
    found = fit_line(points)
    measured = points[-1][0]
    if config.train.batch * config.train.patch**2 <= measured:
        return found
    peaks: list[tuple[int, int]] = []
    for batch, patch in shapes(config)[:2]:
        if (living := measure_in_child(config, patch, batch=batch, keep_freed=False)) is not None:
            peaks.append((batch * patch * patch, living))
    least = fit_line(peaks).per_pixel if len(peaks) > 1 else found.per_pixel
    beyond = min(found.per_pixel, (found.per_pixel + least) / 2)
    return replace(found, measured=measured, beyond=beyond)


def shapes(config: Config) -> list[tuple[int, int]]:
    """Batches and patches to measure: one patch of each side. SRGAN's discriminator takes one size
    only, so with it the number of patches varies instead.
    """
    if not (config.adversarial.weight and config.adversarial.discriminator == "srgan"):
        return [(1, side) for side in SIDES]
    patch = config.train.patch
    counts = sorted({max(1, side * side // (patch * patch)) for side in SIDES})
    return [(count, patch) for count in (counts if len(counts) > 1 else [1, 2])]


def measure_in_child(
    config: Config, patch: int, *, batch: int = 1, keep_freed: bool = True
) -> int | None:
    """Run `measure_in_process` in a new process, whose heap is not fragmented by earlier sizes.
    None if it fails.
    """
    arguments = {"batch": batch, "patch": patch, "keep_freed": keep_freed}
    given = json.dumps({"config": asdict(config), **arguments})
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE], input=given, capture_output=True, text=True, check=False
    )
    return int(done.stdout.split()[-1]) if done.returncode == 0 else None


def check_memory(config: Config) -> str:
    """One line on the memory of a step and of the machine; empty for small steps and GPUs.

    Raises `BudgetError`, with settings that fit, if the step does not fit.
    """
    from enlarge.training.devices import device_of

    t = config.train
    if device_of(t) != "cpu" or t.batch * t.patch**2 <= _SMALL:
        return ""
    limit = 2 * default_budget()
    bound = upper_bound(config)
    if bound is not None and bound * t.devices <= limit / 2:
        return f"a step takes less than {format_size(bound * t.devices)} of {format_size(limit)}"
    print("measuring the memory of a training step", flush=True)
    footprint = measure_footprint(config, limit)
    if footprint is None:
        return "the memory of a training step could not be measured"
    processes = t.devices
    need = footprint.peak(t.batch, t.patch) * processes
    if need <= _SURE * limit:
        return f"a step takes about {format_size(need)} of {format_size(limit)}"
    raise BudgetError(
        f"a step of {t.batch} patches of {t.patch}² takes about {format_size(need)}, this machine "
        f"has {format_size(limit)}; {propose(config, footprint, limit / processes)}"
    )


def propose(config: Config, footprint: Footprint, limit: float) -> str:
    """Settings that fit into `limit` bytes: gradient accumulation first, then a smaller patch."""
    t = config.train
    ways = []
    room = footprint.pixels(_SURE * limit)
    fits = [b for b in range(1, t.batch) if t.batch % b == 0 and b * t.patch**2 <= room]
    if fits and config.adversarial.weight:  # adversarial training cannot accumulate
        ways.append(f"train.batch={fits[-1]}")
    elif fits:
        more = t.accumulate * t.batch // fits[-1]
        ways.append(f"train.batch={fits[-1]} train.accumulate={more} (the same steps)")
    side = int(max(room, 0.0) ** 0.5) // 8 * 8
    if side >= 16 and side < t.patch:
        ways.append(f"train.batch=1 train.patch={side}")
    if not t.checkpointing:
        lean = replace(config, train=replace(t, checkpointing=True))
        less = measure_footprint(lean, round(limit))
        if less is not None and less.peak(t.batch, t.patch) <= limit:
            ways.append("train.checkpointing=true (activations are recomputed instead of stored)")
    return "try " + ", or ".join(ways) if ways else "choose a smaller network"
