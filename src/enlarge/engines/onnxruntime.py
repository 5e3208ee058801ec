"""ONNX Runtime: the engine for every device with an execution provider (CUDA, DirectML, CoreML, …).

The network's graph is fixed to the shape of a tile. The conversion from pixels to floats and back
(scaling, clamp, rounding, layout) becomes part of the graph, so tiles are passed in the layout of
the picture, and only pixels are copied to a GPU and back.

f16 converts the whole network except those conversions. f32 on CUDA is IEEE, without TF32.
"""

from __future__ import annotations

import threading
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.capi import onnxruntime_pybind11_state as state

from enlarge.engines.lru import LRUCache
from enlarge.engines.protocol import LEVELS, TileSpec, first_line, warn_of_overflow
from enlarge.errors import EngineError, EngineMemoryError

_TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}
_OLDEST, _OPSET, _IR = 13, 18, 9
_SILENCING = threading.Lock()
"""Warning filters are global: two threads that change them at once would not restore them."""
_SILENT = 4  # log fatal errors only: others are raised, or fall back on purpose
_ON_CPU, _ON_GPU = 2.5, 0.3
"""Memory factors: 1.4 (EDSR) to 2.3 (SwinIR) were measured on a CPU; a GPU needs host memory for
pixels only.
"""
_PREFIX = "enlarge."
_END = "ExecutionProvider"
_DEVICE_NAMES = {"directml": "dml", "coreml": "mps"}
"""Devices that are not called after their provider."""
_BEST = ("cuda", "rocm", "migraphx", "dml", "mps")
"""The devices that `auto` may choose, best first. TensorRT is left out: it compiles for minutes."""
_ERRORS: tuple[type[Exception], ...] = (
    *(v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)),
    *(RuntimeError, ValueError, TypeError, OSError, MemoryError),
)


def onnxruntime_devices() -> list[str]:
    """The devices that ONNX Runtime can compute on here, those that `auto` may choose first.

    They are called after their providers (cuda, tensorrt, dml, …), but CoreML's is mps. `cuda` is
    `cuda:0`; other numbers are accepted too. Those that `auto` may choose have been started once.
    """
    found = _providers()
    best = [device for device in _BEST if device in found and _starts(found[device])]
    return [*best, "cpu", *(device for device in found if device not in (*_BEST, "cpu"))]


def onnxruntime_precisions(device: str) -> tuple[str, ...]:
    """The precisions that a device computes in, the best choice first."""
    kind = device.partition(":")[0]
    if kind == "cpu":
        return ("f32",)
    return ("f16", "f32") if kind in ("cuda", "tensorrt") else ("f32", "f16")


@cache
def _providers() -> dict[str, str]:
    """Providers by device."""
    kinds = {name: name.removesuffix(_END).lower() for name in ort.get_available_providers()}
    return {_DEVICE_NAMES.get(k, k): name for name, k in kinds.items() if k != "azure"}  # remote


@cache
def _starts(provider: str) -> bool:
    """Whether a provider, which a build lists in any case, finds its device and libraries."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    same = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "try", [value], [same])
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=_IR)
    failures: tuple[type[Exception], ...] = (EngineError, *_ERRORS)
    try:
        _start(model.SerializeToString(), provider, {}, 0)
    except failures:
        return False
    return True


def _start(
    content: bytes, provider: str, options: dict[str, str], threads: int
) -> ort.InferenceSession:
    """A session on that provider; operators that it lacks run on the CPU.

    Raises `EngineError` if everything would run on the CPU, and what ONNX Runtime raises.
    """
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.enable_mem_pattern = False  # doubles the memory of some networks, saves no time
    settings.log_severity_level = _SILENT
    providers = {provider: options, f"CPU{_END}": {}}
    with _SILENCING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing provider is reported below
        session = ort.InferenceSession(
            content, settings, providers=list(providers.items()), enable_fallback=0
        )
    if provider not in session.get_providers():
        raise EngineError(
            f"ONNX Runtime could not start {provider}: its device or its libraries are missing or "
            "too old (see onnxruntime.ai/docs/execution-providers); use --device cpu instead"
        )
    return session


class OnnxRuntimeEngine:
    """A model file in ONNX Runtime. Raises `EngineError` if the file cannot be read.

    `precision` int8 is for files with 8-bit convolutions; their other operators run in f32.
    """

    name = "onnxruntime"

    def __init__(self, model: Path, device: str, precision: str, threads: int) -> None:
        self.device, self.precision = device, precision
        self.memory_factor = _ON_CPU if device == "cpu" else _ON_GPU
        self._path, self._threads = model, threads
        self._cache: LRUCache[ort.InferenceSession] = LRUCache()
        self._overflowed = False
        self._read()

    def session(self, spec: TileSpec) -> OnnxRuntimeSession:
        """See `Engine.session`. On a GPU a black tile is computed first, as a trial."""
        return OnnxRuntimeSession(self, spec)

    def forget(self) -> bool:
        """See `Engine.forget`."""
        return self._cache.clear()

    def compiled(self, spec: TileSpec, precision: str) -> ort.InferenceSession:
        """The network compiled for such tiles in that precision."""
        if precision != self.precision and not self._overflowed:
            self._overflowed = True
            warn_of_overflow(self.precision)
        try:
            return self._cache.get((spec, precision), lambda: self._compile(spec, precision))
        except EngineMemoryError:
            if not self._cache.clear():  # cached networks hold the GPU's memory too
                raise
        return self._cache.get((spec, precision), lambda: self._compile(spec, precision))

    def _compile(self, spec: TileSpec, precision: str) -> ort.InferenceSession:
        model = self._read()
        provider = _providers()[self.device.partition(":")[0]]
        try:
            if precision == "f16":
                model = _in_f16(model)
            content = _with_pixels(model, spec, checked=precision == "f16").SerializeToString()
            session = _start(content, provider, self._options(), self._threads)
            if not provider.startswith("CPU"):
                session.run(None, {"pixels": np.zeros((1, *spec.shape), spec.source)})
        except _ERRORS as error:
            raise _wrapped(error, "start") from error
        return session

    def _options(self) -> dict[str, str]:
        """The provider's options."""
        kind, _, number = self.device.partition(":")
        options = {"device_id": number} if number else {}
        if kind == "cuda":
            # Allocate no more than a tile needs, and do not spend minutes on trying algorithms.
            options |= {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
            options |= {"cudnn_conv_algo_search": "HEURISTIC"}
        if kind == "mps":
            options |= {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}
        return options

    def _read(self) -> onnx.ModelProto:
        try:
            return onnx.load(self._path)
        except (DecodeError, OSError, ValueError) as error:
            raise EngineError(
                f"{self._path}: ONNX Runtime cannot read it ({first_line(error)})"
            ) from error


class OnnxRuntimeSession:
    """See `Session`. Each call returns a new array."""

    def __init__(self, engine: OnnxRuntimeEngine, spec: TileSpec) -> None:
        self._engine, self._spec = engine, spec
        self._session = engine.compiled(spec, engine.precision)
        self._in_f32: ort.InferenceSession | None = None

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        large, *total = self._run(self._session, tile)
        if total and not np.isfinite(total[0]):
            if self._in_f32 is None:
                self._in_f32 = self._engine.compiled(self._spec, "f32")
            large, *_ = self._run(self._in_f32, tile)
        result: NDArray[Any] = large[0]
        return result

    def _run(self, session: ort.InferenceSession, tile: NDArray[Any]) -> list[NDArray[Any]]:
        try:
            return session.run(None, {"pixels": np.ascontiguousarray(tile)[None]})
        except _ERRORS as error:
            raise _wrapped(error, "run") from error


def _with_pixels(model: onnx.ModelProto, spec: TileSpec, *, checked: bool) -> onnx.ModelProto:
    """The network with pixels as its input (`pixels`, (1, height, width, channels)) and output.
    Where `checked`, a second output is the sum of the unclamped result. Models below opset 13 are
    converted.
    """
    source, target = spec.source.name, spec.target.name
    if next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0) < _OLDEST:
        model = version_converter.convert_version(model, _OPSET)
    graph = model.graph
    known = {weight.name for weight in graph.initializer}
    (image,) = (value for value in graph.input if value.name not in known)
    enlarged = graph.output[0]
    steps = _Steps()

    pixels = helper.make_tensor_value_info("pixels", _TYPES[source], (1, *spec.shape))
    x = steps.add("Cast", "pixels", to=TensorProto.FLOAT)
    x = steps.add("Mul", x, steps.constant(np.float32(1.0 / LEVELS[source])))
    x = steps.add("Transpose", x, perm=(0, 3, 1, 2))
    if spec.channels == 1:
        x = steps.add("Concat", x, x, x, axis=1)
    steps.add("Cast", x, to=image.type.tensor_type.elem_type, name=image.name)
    before = steps.nodes

    steps.nodes = []
    y = steps.add("Cast", enlarged.name, to=TensorProto.FLOAT)
    outputs = [helper.make_tensor_value_info(f"{_PREFIX}pixels", _TYPES[target], None)]
    if checked:
        outputs.append(helper.make_tensor_value_info(f"{_PREFIX}total", TensorProto.FLOAT, None))
        steps.add("ReduceSum", y, keepdims=0, name=outputs[1].name)
    y = steps.add("Transpose", y, perm=(0, 2, 3, 1))
    if spec.channels == 1:
        y = steps.add("MatMul", y, steps.constant(np.full((3, 1), 1 / 3, np.float32)))
    if spec.clamped:
        y = steps.add("Clip", y, steps.constant(np.float32(0)), steps.constant(np.float32(1)))
    if target != "float32":
        y = steps.add("Round", steps.add("Mul", y, steps.constant(np.float32(LEVELS[target]))))
    steps.add("Cast", y, to=_TYPES[target], name=outputs[0].name)

    nodes = [*before, *graph.node, *steps.nodes]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.output.extend(outputs)
    graph.initializer.extend(steps.constants)
    graph.input.remove(image)
    graph.input.append(pixels)
    return model


class _Steps:
    """Builds a chain of nodes, and the constants that they read."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output. Returns the name of the output."""
        name = name or self._name()
        self.nodes.append(helper.make_node(kind, inputs, [name], self._name(), **attributes))
        return name

    def constant(self, value: Any) -> str:
        """Add a tensor for nodes to read. Returns its name."""
        name = self._name()
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"{_PREFIX}{self._count}"


def _in_f16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with weights and activations in f16; its input and output keep their type."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _SILENCING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every weight that f16 rounds
        converted: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return converted


def _wrapped(error: Exception, verb: str) -> EngineError:
    """An error of ONNX Runtime as an `EngineError`."""
    text = str(error)
    if isinstance(error, MemoryError) or any(
        words in text
        for words in ("Failed to allocate", "bad_alloc", "out of memory", "OUTOFMEMORY")
    ):
        return EngineMemoryError(f"ONNX Runtime ran out of memory: {first_line(error)}")
    return EngineError(f"ONNX Runtime could not {verb} the network: {first_line(error)}")
