"""ONNX Runtime: the engine for whatever has an execution provider (CUDA, DirectML, CoreML, …).

The conversion from pixels to floats and back (scaling, clamp, rounding, layout) is put into the
network's own graph, whose sides are fixed to those of a tile, so a tile goes in and comes out as
it lies in the picture, and only pixels travel to a GPU and back.

f16 converts the whole network but not those conversions; f32 on CUDA is IEEE's, without TF32.
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

from enlarge.engines.kept import Kept
from enlarge.engines.protocol import LEVELS, TileSpec, first_line, warn_of_overflow
from enlarge.errors import EngineError, EngineMemoryError

_TYPES = {"uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "float32": TensorProto.FLOAT}
_OLDEST, _OPSET, _IR = 13, 18, 9
_SILENCING = threading.Lock()
"""What is warned of is the process's: of two that silence it, the second would keep the silence."""
_SILENT = 4  # only what is fatal is logged: the rest is raised, or falls back on purpose
_ON_CPU, _ON_GPU = 2.5, 0.3
"""Memory factors: measured 1.4 (EDSR) to 2.3 (SwinIR) on a CPU; on a GPU, pixels on their way."""
_PREFIX = "enlarge."
_END = "ExecutionProvider"
_WORDS = {"directml": "dml", "coreml": "mps"}
"""Other words for devices, on the command line or in the names of providers."""
_BEST = ("cuda", "rocm", "migraphx", "dml", "mps")
"""What `auto` may take, best first. TensorRT is not among them: it spends minutes on a network."""
_ERRORS: tuple[type[Exception], ...] = (
    *(v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)),
    *(RuntimeError, ValueError, TypeError, OSError, MemoryError),
)


def devices() -> list[str]:
    """What ONNX Runtime can compute on here, what `auto` takes first.

    Providers are called by their own names (cuda, tensorrt, dml, …; CoreML is mps, after the
    device); `cuda` stands for `cuda:0`, and cuda:1 may be given too. Those that `auto` may take
    are known to start.
    """
    found = _providers()
    best = [word for word in _BEST if word in found and _starts(found[word])]
    return [*best, "cpu", *(word for word in found if word not in (*_BEST, "cpu"))]


def precisions(device: str) -> tuple[str, ...]:
    """The precisions that a device computes in, the best choice first."""
    word = device.partition(":")[0]
    if word == "cpu":
        return ("f32",)
    return ("f16", "f32") if word in ("cuda", "tensorrt") else ("f32", "f16")


@cache
def _providers() -> dict[str, str]:
    """Word → provider."""
    words = {name: name.removesuffix(_END).lower() for name in ort.get_available_providers()}
    return {_WORDS.get(w, w): name for name, w in words.items() if w != "azure"}  # a remote one


@cache
def _starts(provider: str) -> bool:
    """Whether a provider finds its device and its libraries: a build lists those that it knows."""
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
    """A session on that provider, what it cannot compute on the CPU. Raises `EngineError` where it
    would compute on the CPU alone, and what ONNX Runtime raises.
    """
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.enable_mem_pattern = False  # it doubles the memory of some networks, and saves no time
    settings.log_severity_level = _SILENT
    providers = {provider: options, f"CPU{_END}": {}}
    with _SILENCING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of providers that are not there: said below
        session = ort.InferenceSession(
            content, settings, providers=list(providers.items()), enable_fallback=0
        )
    if provider not in session.get_providers():
        raise EngineError(
            f"ONNX Runtime could not start {provider}: its device or its libraries are missing, or "
            "too old (see onnxruntime.ai/docs/execution-providers); --device cpu works without"
        )
    return session


class OnnxRuntimeEngine:
    """A model file in ONNX Runtime. Raises `EngineError` if the file cannot be read.

    `precision` int8 is for files that hold 8-bit weights; what is left in them runs in f32.
    """

    name = "onnxruntime"

    def __init__(self, model: Path, device: str, precision: str, threads: int) -> None:
        self.device, self.precision = device, precision
        self.memory_factor = _ON_CPU if device == "cpu" else _ON_GPU
        self._path, self._threads = model, threads
        self._kept: Kept[ort.InferenceSession] = Kept()
        self._overflowed = False
        self._read()

    def session(self, spec: TileSpec) -> OnnxRuntimeSession:
        """See `Engine.session`. On a GPU the first tile of a shape is a trial, of black pixels."""
        return OnnxRuntimeSession(self, spec)

    def forget(self) -> bool:
        """See `Engine.forget`."""
        return self._kept.clear()

    def compiled(self, spec: TileSpec, precision: str) -> ort.InferenceSession:
        """The network compiled for such tiles in that precision."""
        if precision != self.precision and not self._overflowed:
            self._overflowed = True
            warn_of_overflow(self.precision)
        try:
            return self._kept.get((spec, precision), lambda: self._compile(spec, precision))
        except EngineMemoryError:
            if not self._kept.clear():  # cached networks hold the GPU's memory too
                raise
        return self._kept.get((spec, precision), lambda: self._compile(spec, precision))

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
        """What the provider is told."""
        word, _, number = self.device.partition(":")
        options = {"device_id": number} if number else {}
        if word == "cuda":
            # Memory grows by what a tile needs, and no minutes are spent on trying algorithms.
            options |= {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
            options |= {"cudnn_conv_algo_search": "HEURISTIC"}
        if word == "mps":
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
    """See `Session`. Every result is an array of its own."""

    def __init__(self, engine: OnnxRuntimeEngine, spec: TileSpec) -> None:
        self._engine, self._spec = engine, spec
        self._session = engine.compiled(spec, engine.precision)
        self._spare: ort.InferenceSession | None = None

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        large, *total = self._run(self._session, tile)
        if total and not np.isfinite(total[0]):
            if self._spare is None:
                self._spare = self._engine.compiled(self._spec, "f32")
            large, *_ = self._run(self._spare, tile)
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
    """Nodes in a row, and the constants that they read."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._count = 0

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        name = name or self._name()
        self.nodes.append(helper.make_node(kind, inputs, [name], self._name(), **attributes))
        return name

    def constant(self, value: Any) -> str:
        """A tensor that nodes can read, by its name."""
        name = self._name()
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _name(self) -> str:
        self._count += 1
        return f"{_PREFIX}{self._count}"


def _in_f16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network with weights and activations in f16, its input and output as they were."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _SILENCING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of every weight that f16 cannot hold exactly
        converted: onnx.ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return converted


def _wrapped(error: Exception, verb: str) -> EngineError:
    """An error of ONNX Runtime as one of ours."""
    text = str(error)
    if isinstance(error, MemoryError) or any(
        words in text
        for words in ("Failed to allocate", "bad_alloc", "out of memory", "OUTOFMEMORY")
    ):
        return EngineMemoryError(f"ONNX Runtime ran out of memory: {first_line(error)}")
    return EngineError(f"ONNX Runtime could not {verb} the network: {first_line(error)}")
