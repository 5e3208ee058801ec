"""A bundled model in this package's engine and in others, from the same weights, on one tile.

This package gets and gives 8-bit pixels; the others get and give floats.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed.ncnn import Ncnn, has_ncnn
from benchmarks.speed.turns import Seconds, in_turns, rounded
from enlarge.engines import EngineOptions, TileSpec, pick_engine
from enlarge.engines.openvino import has_bf16
from enlarge.model_file import Weights
from enlarge.weights.catalog import find_weights
from enlarge.weights.network_file import load_network

SIDE = 256
SIDES = {"fast": (64, 96, 128, 192, 256, 384, 512), "quality": (64, 96, 128, 192, 256)}
OURS_F32, ORT_F32, TORCH = "enlarge, f32", "ONNX Runtime f32", "torch eager f32"
ORT_INT8 = "ONNX Runtime int8"
_UINT8 = np.dtype(np.uint8)

Call = Callable[[], Any]


def engines(*, trial: bool) -> dict[str, Any]:
    """Seconds for 256² → 1024² of `fast` by what runs it, in turns; the operations of that; and the
    FLOP/s of a 2048³ matrix product in torch, the machine's yardstick.
    """
    side, times = (32, 1) if trial else (SIDE, 21)
    weights, tile = find_weights("fast"), _noise(side)
    calls, default = ours(weights, tile)
    network, _ = load_network(weights.path.with_suffix(".safetensors"))
    others, wanted = _torch(network, tile)
    calls |= others | _onnx_runtime(weights.path, tile)
    if has_ncnn():
        calls |= Ncnn(weights.path).calls(tile, wanted)
    seconds = in_turns(calls, times, limit=40.0)
    return {
        "side": side,
        "operations": weights.card.flops * (weights.card.scale * side) ** 2,
        "default": default,
        "seconds": rounded(seconds),
        "matmul": _matmul_peak(1 if trial else 9),
    }


def sides(model: str, *, trial: bool) -> dict[str, Any]:
    """Seconds by the side of the tile, in turns: this package by default and in f32, ONNX Runtime
    in f32, and of `fast` ncnn.
    """
    weights = find_weights(model)
    network = None
    if model == "fast" and has_ncnn():
        network, _ = load_network(weights.path.with_suffix(".safetensors"))
        ncnn = Ncnn(weights.path)
    found: dict[int, Seconds] = {}
    for side in SIDES[model][: 1 if trial else None]:
        tile = _noise(side)
        calls, default = ours(weights, tile, bf16=False)
        calls |= _onnx_runtime(weights.path, tile, int8=False)
        if network is not None:
            calls |= ncnn.calls(tile, _wanted(network, tile))
        found[side] = rounded(in_turns(calls, 1 if trial else 21, limit=4.0))
        print(model, side, flush=True)
    return {"default": default, "seconds": found}


def ours(
    weights: Weights, tile: NDArray[np.uint8], *, bf16: bool = True
) -> tuple[dict[str, Call], str]:
    """The calls of this package by name: as by default, in f32 and (where the processor has it)
    bf16; and the name of the default.
    """
    height, width = tile.shape[:2]
    calls: dict[str, Call] = {}
    default = ""
    for wanted in ("auto", "f32", *(["bf16"] if bf16 and has_bf16() else [])):
        engine = pick_engine(weights, EngineOptions(precision=wanted))
        name = f"enlarge, {engine.precision}"
        default = default or name
        if name not in calls:
            session = engine.session(TileSpec(width, height, 3, _UINT8, _UINT8))
            calls[name] = partial(session, tile)
    return calls, default


def _noise(side: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def _batch(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The tile as networks take it: (1, 3, h, w), float32 in [0, 1]."""
    return np.ascontiguousarray(tile.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _wanted(network: torch.nn.Module, tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        result: NDArray[np.float32] = network(torch.from_numpy(_batch(tile)))[0].numpy()
    return result


def _torch(
    network: torch.nn.Module, tile: NDArray[np.uint8]
) -> tuple[dict[str, Call], NDArray[np.float32]]:
    """Torch's calls by name, and the result in f32, (3, 4h, 4w)."""
    batch = torch.from_numpy(_batch(tile))
    other, _ = load_network(find_weights("fast").path.with_suffix(".safetensors"))
    last = other.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    last_batch = batch.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(module: Any, given: Any, half: bool = False) -> Any:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return module(given)

    calls: dict[str, Call] = {
        TORCH: partial(run, network, batch),
        "torch channels-last f32": partial(run, last, last_batch),
    }
    if has_bf16():
        calls["torch channels-last bf16"] = partial(run, last, last_batch, True)
    return calls, _wanted(network, tile)


def _onnx_runtime(model: Path, tile: NDArray[np.uint8], *, int8: bool = True) -> dict[str, Call]:
    """The calls of ONNX Runtime's CPU provider, where it is installed: the model, and the 8-bit
    form that lies beside it, for this size of tile.
    """
    try:
        import onnxruntime
    except ImportError:
        return {}
    files = {ORT_F32: model}
    if int8:
        files[ORT_INT8] = model.with_suffix(".int8.onnx")
    calls: dict[str, Call] = {}
    for name, file in files.items():
        if file.is_file():
            options = onnxruntime.SessionOptions()
            for axis, length in zip(("height", "width"), tile.shape[:2], strict=True):
                options.add_free_dimension_override_by_name(axis, length)
            session = onnxruntime.InferenceSession(
                file, options, providers=["CPUExecutionProvider"]
            )
            calls[name] = partial(session.run, None, {"image": _batch(tile)})
    return calls


def _matmul_peak(times: int) -> dict[str, float]:
    """FLOP/s by precision."""
    found: dict[str, float] = {}
    for label in ("f32", "bf16") if has_bf16() else ("f32",):
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[label]
        a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
        seconds = in_turns({label: partial(torch.matmul, a, b)}, times)[label]
        found[label] = round(2 * 2048**3 / min(seconds))
    return found
