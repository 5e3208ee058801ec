"""Memory of the device that does not suffice: provoked, and survived."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.setting import UINT8, Run, command, most_levels, photograph, save
from enlarge.engines.torch import TorchEngine
from enlarge.errors import EnlargeError
from enlarge.upscaler import Upscaler

SIDE, SMALL = 512, 256
"""The picture's side. Where memory suffices, it is one tile."""
SHARES = (0.7, 0.5, 0.35)
"""Of the memory that this tile takes."""
ABROAD = 700_000_000
"""About what CUDA itself takes in a process, in bytes."""
HOLDER = """
import sys, torch
device, left = sys.argv[1], int(sys.argv[2])
torch.zeros(1, device=device)
held = torch.empty(torch.cuda.mem_get_info(device)[0] - left, dtype=torch.uint8, device=device)
print("held", flush=True)
sys.stdin.read()
"""
Cap = Callable[[Upscaler, float], AbstractContextManager[None]]
"""Lets an upscaler have that share of what its largest tile takes."""


@dataclass(frozen=True)
class Case:
    """A model and a picture: what is taken where memory suffices, and how it is capped.

    `needed`: bytes on the device, beside the network. `tile`: its width and height. `result`: the
    file.
    """

    upscaler: Upscaler
    source: Path
    result: Path
    tile: tuple[int, int]
    needed: int
    cap: Cap


def memory(run: Run) -> Iterator[dict[str, Any]]:
    """With less memory than a tile takes: which tiles are taken instead, and how far the result is
    from that with enough; with none; and while another process holds nearly all of it.
    """
    side = SMALL if run.small else SIDE
    source = run.folder / "memory.png"
    save(photograph(side, side), source)
    failures: list[str] = []
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {"side": side, "rows": rows, "failures": failures}
    if not run.is_cuda:
        result["rehearsed"] = "memory was not short: the engine was told that it was"
    needed = 0
    for model, precision in (("fast", "f32"), ("quality", "auto"))[: 1 if run.small else None]:
        case = with_enough(run, run.upscaler(model, precision), source)
        needed = case.needed
        for share in SHARES[-1:] if run.small else SHARES:
            row = {"model": model, "share": share, "needed": needed, "tile": list(case.tile)}
            rows.append(row | with_less(run, case, share))
        failures += verdicts(rows, model)
        yield result
        rows.append({"model": model, "share": 0.0, **with_nothing(case)})
        if not rows[-1]["works again"]:
            failures.append(f"{model}, without any memory: {rows[-1]['said']}")
        yield result
    if run.is_cuda:
        result["beside another"] = beside_another(run, needed, source)
        failures += result["beside another"].pop("failures")
        yield result


def verdicts(rows: list[dict[str, Any]], model: str) -> Iterator[str]:
    """What is wrong with the rows of a model: not survived, never smaller, or too far from it."""
    own = [row for row in rows if row["model"] == model]
    yield from (f"{model}: {row['said']}" for row in own if "said" in row)
    if not any(row.get("smaller") for row in own):
        yield f"{model}: the cap did not lead to smaller tiles"
    far = max((row.get("apart", 0) for row in own), default=0)
    if model == "fast" and far > 1:  # tiles of the others fade into each other
        yield f"{model}: smaller tiles differ by {far} levels"


def with_enough(run: Run, upscaler: Upscaler, source: Path) -> Case:
    """The case of a model and a picture, computed once."""
    upscaler.engine(UINT8)
    before = 0
    if run.is_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(run.device)
        before = torch.cuda.memory_allocated(run.device)
    result = run.folder / f"memory-{upscaler.card.name}.png"
    done = upscaler.upscale_file(source, result, overwrite=True)
    needed = torch.cuda.max_memory_reserved(run.device) - before if run.is_cuda else 0
    cap = limited(run, needed) if run.is_cuda else told(done.tile[0] * done.tile[1])
    return Case(upscaler, source, result, done.tile, needed, cap)


def with_less(run: Run, case: Case, share: float) -> dict[str, Any]:
    """A new upscaler under the cap: its tile and the largest difference in levels, or the error."""
    fresh = run.upscaler(case.upscaler.card.name, case.upscaler.options.precision)
    target = run.folder / "memory-less.png"
    with case.cap(fresh, share):
        try:
            done = fresh.upscale_file(case.source, target, overwrite=True)
        except EnlargeError as error:
            return {"said": str(error)}
    return {
        "taken": list(done.tile),
        "smaller": done.tile[0] * done.tile[1] < case.tile[0] * case.tile[1],
        "apart": most_levels(case.result, target),
    }


def with_nothing(case: Case) -> dict[str, Any]:
    """Without any memory the error says so, and afterwards the same upscaler works again."""
    again = case.result.with_name("memory-again.png")
    with case.cap(case.upscaler, 0.0):
        engine = case.upscaler.engine(UINT8)
        assert isinstance(engine, TorchEngine)
        engine._tried.clear()
        try:
            case.upscaler.upscale_file(case.source, again, overwrite=True)
        except EnlargeError as error:
            said = str(error)
        else:
            return {"said": "a picture was enlarged", "works again": False}
    case.upscaler.upscale_file(case.source, again, overwrite=True)
    return {"said": said, "works again": most_levels(case.result, again) <= 1}


def limited(run: Run, needed: int) -> Cap:
    """Caps what torch may take of the GPU."""

    @contextmanager
    def cap(upscaler: Upscaler, share: float) -> Iterator[None]:
        upscaler.engine(UINT8)  # the network is there before
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(run.device).total_memory
        own = torch.cuda.memory_allocated(run.device) if share else 0
        fraction = min((own + share * needed) / total, 1.0)
        torch.cuda.set_per_process_memory_fraction(fraction, run.device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, run.device)

    return cap


def told(area: int) -> Cap:
    """On the CPU, which has no such cap: the network fails above that share of the tile's area, in
    an engine that takes the CPU for a GPU.
    """

    @contextmanager
    def cap(upscaler: Upscaler, share: float) -> Iterator[None]:
        engine = upscaler.engine(UINT8)
        assert isinstance(engine, TorchEngine)

        def check(network: Any, given: tuple[torch.Tensor]) -> None:
            if given[0].shape[2] * given[0].shape[3] > share * area:
                raise torch.OutOfMemoryError("CUDA out of memory. (Rehearsed.)")

        hook = engine._network.register_forward_pre_hook(check)
        before, engine.device = engine.device, "cpu:0"
        try:
            yield
        finally:
            hook.remove()
            engine.device = before

    return cap


def beside_another(run: Run, needed: int, source: Path) -> dict[str, Any]:
    """The command while another process holds nearly all memory, and after that. It has to succeed
    or say that memory is short, in one line.
    """
    line = command(run, source, "-o", run.folder / "memory-beside.png", "--overwrite")
    left = ABROAD + needed // 2
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, run.device, str(left)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        if holder.stdout.readline().strip() != "held":
            raise RuntimeError("the process that was to hold the memory failed")
        beside = subprocess.run(line, capture_output=True, text=True, check=False)
    finally:
        holder.communicate()
    after = subprocess.run(line, capture_output=True, text=True, check=False)
    said = beside.stderr.strip()[-400:]
    failures = []
    if beside.returncode and ("memory" not in said or "Traceback" in said):
        failures.append(f"beside another process: status {beside.returncode}: {said}")
    if after.returncode:
        failures.append(f"after the other process: {after.stderr.strip()[-400:]}")
    return {
        "left": left,
        "status": beside.returncode,
        "said": said if beside.returncode else "",
        "failures": failures,
    }
