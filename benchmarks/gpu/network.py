"""The network alone on the device, in the ways that torch offers, and the engine around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.gpu.setting import UINT8, Run, photograph
from enlarge.engines import TileSpec
from enlarge.engines.torch import TorchEngine, in_full_f32, torch_precisions
from enlarge.weights.catalog import find_weights
from enlarge.weights.network_file import load_network

Variant = Callable[[nn.Module, Tensor], Callable[[], Any]]
"""Prepares what is measured, from the network and a picture on the device."""
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
NETWORKS = ("fast", "quality")
"""`photo` is the network of `quality`."""
SIDES, COMPILED, TOGETHER = (64, 128, 256, 512, 1024), 256, 8
LAST = torch.channels_last


def network(run: Run) -> Iterator[dict[str, Any]]:
    """For every model and side of a tile: milliseconds of each variant, or why there are none."""
    table: dict[str, dict[str, Any]] = {}
    modules: dict[str, nn.Module] = {}
    for name in NETWORKS[: 1 if run.small else None]:
        weights = find_weights(name)
        module, card = load_network(weights.path.with_suffix(".safetensors"))
        modules[name] = module = module.to(run.device)
        table[name] = {"scale": card.scale, "sides": {}}
        for side in (64,) if run.small else SIDES:
            found: dict[str, float | str] = {}
            table[name]["sides"][str(side)] = found
            for precision in torch_precisions(run.device):
                engine = TorchEngine(weights.path, run.device, precision, 0)
                prepare = partial(session, engine, side)
                found[f"enlarge {precision}, 8 bits in and out"] = measured(run, prepare)
                found |= memory_of(run, engine, side)
            found |= copies(run, side * card.scale)
            for label, variant in variants(run, side):
                found[label] = measured(run, partial(variant, module, picture(run, side)))
            yield {"models": table, "failures": []}
    if run.is_cuda and not run.small:  # last, since compiling takes long
        precision = torch_precisions(run.device)[0]
        for name, told in table.items():
            prepare = partial(compiled, run, precision, modules[name], picture(run, COMPILED))
            told["sides"][str(COMPILED)][f"torch {precision}, compiled"] = measured(run, prepare)
            yield {"models": table, "failures": []}


def variants(run: Run, side: int) -> Iterator[tuple[str, Variant]]:
    """What is measured at tiles of that side, beside the engine; what may fail, last."""
    offered = torch_precisions(run.device)
    for precision in offered:
        yield f"torch {precision}, channels-last", partial(eager, run, precision, layout=LAST)
    chosen = [p for place, p in enumerate(offered) if place == 0 or p == "f32"]
    for precision in chosen:
        yield f"torch {precision}", partial(eager, run, precision)
        if precision != "f32":
            yield f"torch {precision}, weights converted once", partial(converted, precision)
        if side <= COMPILED:
            yield f"torch {precision}, {TOGETHER} tiles at once", partial(batched, run, precision)
        if run.is_cuda:
            yield f"torch {precision}, cudnn.benchmark", partial(searched, run, precision)
    for precision in chosen if run.is_cuda else ():
        yield f"torch {precision}, CUDA graph", partial(graphed, run, precision)


def picture(run: Run, side: int) -> Tensor:
    """(1, 3, side, side), float32 in [0, 1], on the device."""
    pixels = torch.from_numpy(photograph(side, side)).to(run.device)
    return pixels.permute(2, 0, 1).unsqueeze(0).float().div(255).contiguous()


def measured(run: Run, prepare: Callable[[], Callable[[], Any]]) -> float | str:
    """Milliseconds of what `prepare` returns; or, where it fails, the first line of the error."""
    try:
        with torch.inference_mode():
            return run.seconds(prepare(), least=0.12) * 1000
    except Exception as error:  # one variant that a device lacks must not stop the others
        return f"{type(error).__name__}: {error}".splitlines()[0][:120]


def cast(run: Run, precision: str) -> AbstractContextManager[Any]:
    """The context of a precision, as the engine has it. What is kept of conversions inside of it
    would have to be in the CUDA graph.
    """
    if precision == "f32":
        return in_full_f32(run.device)
    return torch.autocast(torch.device(run.device).type, DTYPES[precision], cache_enabled=False)


def eager(
    run: Run,
    precision: str,
    module: nn.Module,
    image: Tensor,
    layout: torch.memory_format = torch.contiguous_format,
) -> Callable[[], Any]:
    """The network as it is, in a memory layout."""
    module = module.to(memory_format=layout)  # type: ignore[call-overload]
    image = image.contiguous(memory_format=layout)

    def call() -> Tensor:
        with cast(run, precision):
            return module(image)

    return call


def converted(precision: str, module: nn.Module, image: Tensor) -> Callable[[], Any]:
    """A copy of the network with parameters in that precision, fed with a picture in it."""
    from copy import deepcopy

    kind = DTYPES[precision]
    copied = deepcopy(module).to(kind).to(memory_format=LAST)  # type: ignore[call-overload]
    image = image.to(kind).contiguous(memory_format=LAST)
    return lambda: copied(image)


def searched(run: Run, precision: str, module: nn.Module, image: Tensor) -> Callable[[], Any]:
    """With the algorithms that cuDNN finds fastest for these sizes."""
    call = eager(run, precision, module, image, LAST)

    def search() -> Any:
        torch.backends.cudnn.benchmark = True
        try:
            return call()
        finally:
            torch.backends.cudnn.benchmark = False

    return search


def graphed(run: Run, precision: str, module: nn.Module, image: Tensor) -> Callable[[], Any]:
    """All kernels as one CUDA graph."""
    call = eager(run, precision, module, image, LAST)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(run.device):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph):
            kept = call()

    def replay() -> Any:
        graph.replay()
        return kept

    return replay


def batched(run: Run, precision: str, module: nn.Module, image: Tensor) -> Callable[[], Any]:
    """Several tiles in one call; to be divided by their number."""
    return eager(run, precision, module, image.repeat(TOGETHER, 1, 1, 1), LAST)


def compiled(run: Run, precision: str, module: nn.Module, image: Tensor) -> Callable[[], Any]:
    """Through torch.compile."""
    faster: nn.Module = torch.compile(module, dynamic=False)  # type: ignore[assignment]
    return eager(run, precision, faster, image, LAST)


def session(engine: TorchEngine, side: int) -> Callable[[], Any]:
    """The engine's session of 8 bits in and out."""
    opened = engine.session(TileSpec(side, side, 3, UINT8, UINT8))
    return partial(opened, photograph(side, side))


def memory_of(run: Run, engine: TorchEngine, side: int) -> dict[str, float]:
    """The most memory of the device that a tile takes, in MB, beside the network."""
    if not run.is_cuda:
        return {}
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(run.device)
    torch.cuda.reset_peak_memory_stats(run.device)
    try:
        session(engine, side)()
    except Exception as error:
        print(error)
        return {}
    taken = torch.cuda.max_memory_allocated(run.device) - before
    return {f"MB on the device, {engine.precision}": taken / 1e6}


def copies(run: Run, side: int) -> dict[str, float | str]:
    """Milliseconds of copying a result of 8 bits from the device: to memory that the system may
    move, as the engine does, and to memory that it may not.
    """
    if not run.is_cuda:
        return {}
    large = torch.zeros(side, side, 3, dtype=torch.uint8, device=run.device)

    def pinned() -> Callable[[], Any]:
        buffer = torch.empty(large.shape, dtype=torch.uint8, pin_memory=True)
        return lambda: buffer.copy_(large, non_blocking=True)

    return {
        "copying the result": measured(run, lambda: lambda: np.asarray(large.cpu())),
        "copying the result to pinned memory": measured(run, pinned),
    }
