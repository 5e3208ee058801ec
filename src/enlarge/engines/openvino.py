"""OpenVINO: the engine on a CPU.

The network's symbolic ONNX graph is reshaped to one tile shape. The conversion from pixels to
floats and back (scaling, clamp, rounding, layout) is compiled into the same graph, so tiles are
passed in the layout of the picture, without a copy in numpy. Compiled graphs are kept on disk, and
loaded from there without the ONNX file being read again.

In bf16 OpenVINO keeps everything after the last convolution, and the network's skip connection that
is added there, in f32.
"""

from __future__ import annotations

import io
import os
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from enlarge.engines.compiled import CompiledGraphs
from enlarge.engines.lru import LRUCache
from enlarge.engines.openvino_errors import FAILURES, message_of, reason_of
from enlarge.engines.openvino_sums import set_sums_apart
from enlarge.engines.protocol import LEVELS, TileSpec, warn_of_overflow
from enlarge.errors import EngineError, EngineMemoryError

_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OV_CPU_MAX_ISA")
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
    if cap := os.environ.get(_CAPS[0]) or os.environ.get(_CAPS[1]):
        os.environ.setdefault("OV_CPU_MAX_ISA", cap)
    return ov.Core()


@cache
def has_bf16() -> bool:
    """Whether this processor has bf16 arithmetic."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def _machine() -> dict[str, Any]:
    """What a compiled graph depends on beside the model: OpenVINO, and the processor with the caps
    on its instruction sets.
    """
    names = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    processor = [str(core().get_property("CPU", name)) for name in names]
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 14).split("\n\n")[0].splitlines()  # those of the first core
    except OSError:
        lines = []
    features = [line for line in lines if line.startswith(("flags", "Features"))]
    return {
        "openvino": ov.get_version(),
        "processor": [platform.machine(), *processor, *features],
        "caps": [os.environ.get(name, "") for name in _CAPS],
    }


class OpenVinoEngine:
    """A model file in OpenVINO on the CPU. Raises `EngineError` if the file cannot be read.

    `precision` int8 is for files with 8-bit convolutions; their other operators run in f32.
    `digest`: the SHA-256 of the file in hexadecimal digits, if it is known.
    """

    name, device, memory_factor = "openvino", "cpu", 1.0

    def __init__(
        self, model: Path, precision: str, threads: int, digest: str | None = None
    ) -> None:
        self.precision = precision
        self._path, self._threads = model, threads
        self._cache: LRUCache[ov.CompiledModel] = LRUCache()
        self._stored = CompiledGraphs(model, digest)
        self._overflowed = False
        if not self._stored.has_any():
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
            except FAILURES as error:
                raise _wrapped(error, "prepare") from error

        return OpenVinoSession(request, self.precision)

    def forget(self) -> bool:
        """See `Engine.forget`."""
        return self._cache.clear()

    def _compiled(self, spec: TileSpec, precision: str) -> ov.CompiledModel:
        """The network for such tiles: from the disk, or else compiled and kept there."""
        key = self._key(spec, precision)
        if (content := self._stored.load(key)) is not None:
            try:
                return core().import_model(
                    io.BytesIO(content), "CPU", self._properties(_computed_in(precision))
                )
            except FAILURES:
                pass  # it is compiled again, and replaced
        # Only low precision overflows, so f32 needs no check for NaN and infinity.
        checked = precision in ("bf16", "f16")
        try:
            graph = self._graph(spec, checked=checked)
        except FAILURES as error:  # impossible shapes
            raise _wrapped(error, f"prepare, for tiles of {spec.width}×{spec.height},") from error
        compiled = self._compile(graph, _computed_in(precision))
        exported = io.BytesIO()
        try:
            compiled.export_model(exported)
        except FAILURES:
            return compiled  # an OpenVINO that cannot export it
        self._stored.save(key, exported.getvalue())
        return compiled

    def _key(self, spec: TileSpec, precision: str) -> dict[str, Any]:
        return {
            "tile": [*spec.shape, spec.source.name, spec.target.name, spec.clamped],
            "precision": precision,
            "threads": self._threads,
            **_machine(),
        }

    def _read(self) -> ov.Model:
        try:
            return core().read_model(self._path)
        except FAILURES as error:
            raise EngineError(
                f"{self._path}: OpenVINO cannot read it ({reason_of(error)})"
            ) from error

    def _graph(self, spec: TileSpec, *, checked: bool) -> ov.Model:
        """The network with pixels (height, width, channels) as its input and output. Where
        `checked`, a second output is the sum of the unclamped result, which tells whether it is
        finite.
        """
        source, target = spec.source.name, spec.target.name
        network = self._read()
        network.reshape([1, 3, spec.height, spec.width])
        set_sums_apart(network)
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
        return ov.Model([op.result(y), *results], [pixels], "enlarge")

    def _properties(self, precision: str) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self._threads:
            properties["INFERENCE_NUM_THREADS"] = self._threads
        return properties

    def _compile(self, graph: ov.Model, precision: str) -> ov.CompiledModel:
        try:
            return core().compile_model(graph, "CPU", self._properties(precision))
        except FAILURES as error:
            raise _wrapped(error, "compile") from error


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
        except FAILURES as error:
            raise _wrapped(error, "run") from error


def _computed_in(precision: str) -> str:
    """The precision of the operators that the file does not store in 8 bits."""
    return "f32" if precision == "int8" else precision


def _wrapped(error: Exception, verb: str) -> EngineError:
    text = message_of(error)
    if any(word in text for word in ("bad_alloc", "allocate", "out of memory")):
        return EngineMemoryError(f"OpenVINO ran out of memory: {reason_of(error)}")
    return EngineError(f"OpenVINO could not {verb} the network: {reason_of(error)}")
