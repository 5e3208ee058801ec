"""OpenVINO: the engine on a CPU.

The network's symbolic ONNX graph is reshaped to one tile shape. The conversion from pixels to
floats and back (scaling, clamp, rounding, layout) is compiled into the same graph, so tiles are
passed in the layout of the picture, without a copy in numpy. Compiled graphs are cached on disk.

In bf16 OpenVINO keeps everything after the last convolution, and the network's skip connection that
is added there, in f32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from enlarge.cache import cache_folder, trim_cache
from enlarge.engines.lru import LRUCache
from enlarge.engines.protocol import LEVELS, TileSpec, warn_of_overflow
from enlarge.errors import EngineError, EngineMemoryError

CACHE_LIMIT = 512 * 1024 * 1024
_TYPES = {"uint8": ov.Type.u8, "uint16": ov.Type.u16, "float32": ov.Type.f32}

# OpenVINO's binding fills its table of dtypes at the first tile: it takes a guard, releases the GIL
# to import numpy, and acquires it again. A second thread's first tile meanwhile holds the GIL and
# waits for the guard: a deadlock (2026.4). Filling the table at import, which only one thread
# executes, avoids it.
ov.Type.u8.to_dtype()


@cache
def core() -> ov.Core:
    """The one OpenVINO instance of this process.

    oneDNN reads the instruction set that it may use from ONEDNN_MAX_CPU_ISA, or DNNL_MAX_CPU_ISA.
    OpenVINO, which contains a oneDNN, reads OV_CPU_MAX_ISA for the rest of its code: where the
    first is capped alone, it chooses kernels that its oneDNN then refuses to build.
    """
    cap = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA")
    if cap:
        os.environ.setdefault("OV_CPU_MAX_ISA", cap)
    return ov.Core()


@cache
def has_bf16() -> bool:
    """Whether this processor has bf16 arithmetic."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """A model file in OpenVINO on the CPU. Raises `EngineError` if the file cannot be read.

    `precision` int8 is for files with 8-bit convolutions; their other operators run in f32.
    """

    name, device, memory_factor = "openvino", "cpu", 1.0

    def __init__(self, model: Path, precision: str, threads: int) -> None:
        self.precision = precision
        self._path, self._threads = model, threads
        self._cache: LRUCache[ov.CompiledModel] = LRUCache()
        self._overflowed = False
        self._read()

    def session(self, spec: TileSpec) -> OpenVinoSession:
        """See `Engine.session`."""

        def request(precision: str) -> ov.InferRequest:
            if precision != self.precision and not self._overflowed:
                self._overflowed = True
                warn_of_overflow(self.precision)
            compiled = self._cache.get((spec, precision), lambda: self._compiled(spec, precision))
            try:
                return compiled.create_infer_request()
            except RuntimeError as error:
                raise _wrapped(error, "prepare") from error

        return OpenVinoSession(request, self.precision)

    def forget(self) -> bool:
        """See `Engine.forget`."""
        return self._cache.clear()

    def _compiled(self, spec: TileSpec, precision: str) -> ov.CompiledModel:
        # Only low precision overflows, so f32 needs no check for NaN and infinity.
        checked = precision in ("bf16", "f16")
        try:
            graph = self._graph(spec, checked=checked)
        except RuntimeError as error:  # impossible shapes
            raise _wrapped(error, f"prepare, for tiles of {spec.width}×{spec.height},") from error
        return self._compile(graph, "f32" if precision == "int8" else precision)

    def _read(self) -> ov.Model:
        try:
            return core().read_model(self._path)
        except RuntimeError as error:
            raise EngineError(f"{self._path}: OpenVINO cannot read it ({_first(error)})") from error

    def _graph(self, spec: TileSpec, *, checked: bool) -> ov.Model:
        """The network with pixels (height, width, channels) as its input and output. Where
        `checked`, a second output is the sum of the unclamped result, which tells whether it is
        finite.
        """
        source, target = spec.source.name, spec.target.name
        network = self._read()
        network.reshape([1, 3, spec.height, spec.width])
        pixels = op.parameter(list(spec.shape), _TYPES[source], name="pixels")
        x = op.multiply(op.convert(pixels, ov.Type.f32), np.float32(1.0 / LEVELS[source]))
        x = op.unsqueeze(op.transpose(x, np.array([2, 0, 1])), np.array([0]))
        if spec.channels == 1:
            x = op.concat([x, x, x], 1)
        (old,) = network.get_parameters()
        if old.get_element_type() != ov.Type.f32:  # files of other projects may take f16
            x = op.convert(x, old.get_element_type())
        old.output(0).replace(x.output(0))
        y = network.get_results()[0].input_value(0)
        if y.get_element_type() != ov.Type.f32:
            y = op.convert(y, ov.Type.f32).output(0)
        results = []
        if checked:
            results.append(op.result(op.reduce_sum(y, np.array([0, 1, 2, 3]))))
        if spec.channels == 1:
            y = op.reduce_mean(y, np.array([1]), keep_dims=True)
        y = op.squeeze(op.transpose(y, np.array([0, 2, 3, 1])), np.array([0]))
        if spec.clamped:
            y = op.clamp(y, 0.0, 1.0)
        if target != "float32":
            y = op.multiply(y, np.float32(LEVELS[target]))
            y = op.convert(op.round(y, "half_to_even"), _TYPES[target])
        graph = ov.Model([op.result(y), *results], [pixels], "enlarge")
        _name_alike(graph)
        return graph

    def _compile(self, graph: ov.Model, precision: str) -> ov.CompiledModel:
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self._threads:
            properties["INFERENCE_NUM_THREADS"] = self._threads
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            pass  # without a cache the network is compiled each time, nothing worse
        else:
            properties["CACHE_DIR"] = str(folder)
        try:
            compiled = core().compile_model(graph, "CPU", properties)
        except RuntimeError as error:
            raise _wrapped(error, "compile") from error
        trim_cache(folder, CACHE_LIMIT)
        return compiled


class OpenVinoSession:
    """See `Session`. `request_in` makes an inference request for a precision."""

    def __init__(self, request_in: Callable[[str], ov.InferRequest], precision: str) -> None:
        self._request_in = request_in
        self._request = request_in(precision)
        self._checked = len(self._request.model_outputs) > 1
        self._in_f32: ov.InferRequest | None = None

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        request = self._request
        self._infer(request, tile)
        if self._checked and not np.isfinite(request.get_output_tensor(1).data):
            if self._in_f32 is None:
                self._in_f32 = self._request_in("f32")
            request = self._in_f32
            self._infer(request, tile)
        result: NDArray[Any] = request.get_output_tensor(0).data
        return result

    def _infer(self, request: ov.InferRequest, tile: NDArray[Any]) -> None:
        try:
            request.infer([np.ascontiguousarray(tile)], share_inputs=True)
        except RuntimeError as error:
            raise _wrapped(error, "run") from error


def _name_alike(graph: ov.Model) -> None:
    """Give nodes names that depend on the graph alone, since names are part of the cache's key.

    OpenVINO numbers nodes across the whole process, and records which nodes were fused.
    """
    for number, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"n{number}")
        for output in node.outputs():
            output.set_names({f"n{number}"})
        info = node.get_rt_info()
        for key in [key for key, _ in info.items() if "fused_names" in str(key)]:
            del info[key]


def _wrapped(error: RuntimeError, verb: str) -> EngineError:
    text = str(error)
    if any(word in text for word in ("bad_alloc", "allocate", "out of memory")):
        return EngineMemoryError(f"OpenVINO ran out of memory: {_first(error)}")
    return EngineError(f"OpenVINO could not {verb} the network: {_first(error)}")


def _first(error: Exception) -> str:
    """The first line of an OpenVINO message that is not about its source code."""
    lines = (line.strip() for line in str(error).splitlines())
    boilerplate = ("Exception from", "Check ")
    return next(
        (line for line in lines if line and not line.startswith(boilerplate)), "no reason given"
    )
