"""OpenVINO: the engine on a CPU.

The network's symbolic ONNX is reshaped to one tile shape, and the conversion from pixels to floats
and back (scaling, clamp, rounding, layout) is compiled into the same graph, so a tile goes in and
comes out as it lies in the picture, without a copy in numpy. Compiled graphs are cached on disk.

In bf16 OpenVINO keeps everything behind the last convolution, and the network's skip that is
added there, in f32.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from enlarge.errors import EngineError, EngineMemoryError

CACHE_LIMIT = 512 * 1024 * 1024
_LEVELS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
_TYPES = {"uint8": ov.Type.u8, "uint16": ov.Type.u16, "float32": ov.Type.f32}


def cache_folder() -> Path:
    """Where compiled models are kept: ENLARGE_CACHE, else the platform's cache folder."""
    if chosen := os.environ.get("ENLARGE_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "enlarge"


def trim_cache(folder: Path, limit: int = CACHE_LIMIT) -> None:
    """Delete the files that were used longest ago until the folder holds at most `limit` bytes."""
    files = []
    for path in folder.glob("*"):
        try:
            status = path.stat()
        except OSError:
            continue  # another process trimmed it first
        files.append((max(status.st_mtime, status.st_atime), status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size


@cache
def _core() -> ov.Core:
    return ov.Core()


@cache
def has_bf16() -> bool:
    """Whether this processor computes in bf16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """A model file in OpenVINO on the CPU. Raises `EngineError` if the file cannot be read."""

    name = "openvino"

    def __init__(self, model: Path, scale: int, precision: str, threads: int) -> None:
        self.precision = precision
        self._path, self._scale, self._threads = model, scale, threads
        self._read()

    def session(
        self, width: int, height: int, channels: int, source: np.dtype[Any], target: np.dtype[Any]
    ) -> OpenVinoSession:
        """See `Engine.session`."""

        def compiled(precision: str) -> ov.CompiledModel:
            # NaN and infinity come from low precision; f32 runs are spared the check.
            graph = self._graph(width, height, channels, source, target, precision != "f32")
            return self._compile(graph, precision)

        shape = (height * self._scale, width * self._scale, channels)
        return OpenVinoSession(compiled, self.precision, shape, target)

    def _read(self) -> ov.Model:
        try:
            return _core().read_model(self._path)
        except RuntimeError as error:
            raise EngineError(f"{self._path}: OpenVINO cannot read it ({_first(error)})") from error

    def _graph(
        self,
        width: int,
        height: int,
        channels: int,
        source: np.dtype[Any],
        target: np.dtype[Any],
        checked: bool,
    ) -> ov.Model:
        """Pixels (h, w, channels) in, pixels out; with a last output that sums what is unclamped
        where the result is to be checked for NaN and infinity.
        """
        network = self._read()
        network.reshape([1, 3, height, width])
        pixels = op.parameter([height, width, channels], _TYPES[source.name], name="pixels")
        x = op.multiply(op.convert(pixels, ov.Type.f32), np.float32(1.0 / _LEVELS[source.name]))
        x = op.unsqueeze(op.transpose(x, np.array([2, 0, 1])), np.array([0]))
        if channels == 1:
            x = op.concat([x, x, x], 1)
        (old,) = network.get_parameters()
        old.output(0).replace(x.output(0))
        y = network.get_results()[0].input_value(0)
        results = []
        if checked:
            results.append(op.result(op.reduce_sum(y, np.array([0, 1, 2, 3]))))
        if channels == 1:
            y = op.reduce_mean(y, np.array([1]), keep_dims=True)
        y = op.squeeze(op.transpose(y, np.array([0, 2, 3, 1])), np.array([0]))
        y = op.clamp(y, 0.0, 1.0)
        if target.name != "float32":
            y = op.multiply(y, np.float32(_LEVELS[target.name]))
            y = op.convert(op.round(y, "half_to_even"), _TYPES[target.name])
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
            pass  # a read-only home costs a compilation each time, nothing else
        else:
            properties["CACHE_DIR"] = str(folder)
        try:
            compiled = _core().compile_model(graph, "CPU", properties)
        except RuntimeError as error:
            raise _wrapped(error, "compile") from error
        trim_cache(folder)
        return compiled


class OpenVinoSession:
    """See `Session`. A tile that comes out non-finite in bf16 is repeated in f32, said once."""

    def __init__(
        self,
        compile_at: Any,
        precision: str,
        shape: tuple[int, int, int],
        target: np.dtype[Any],
    ) -> None:
        self._compile_at = compile_at
        self._precision = precision
        self._request = compile_at(precision).create_infer_request()
        self._spare: ov.InferRequest | None = None
        self.shape, self.target = shape, target

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        request = self._request
        self._infer(request, tile)
        if self._precision != "f32" and not np.isfinite(request.get_output_tensor(1).data):
            request = self._in_f32()
            self._infer(request, tile)
        result: NDArray[Any] = request.get_output_tensor(0).data
        return result

    def _infer(self, request: ov.InferRequest, tile: NDArray[Any]) -> None:
        try:
            request.infer([np.ascontiguousarray(tile)], share_inputs=True)
        except RuntimeError as error:
            raise _wrapped(error, "run") from error

    def _in_f32(self) -> ov.InferRequest:
        if self._spare is None:
            warnings.warn(
                f"a tile overflowed in {self._precision} and was repeated in f32; "
                "--precision f32 avoids the detour",
                RuntimeWarning,
                stacklevel=3,
            )
            self._spare = self._compile_at("f32").create_infer_request()
        return self._spare


def _name_alike(graph: ov.Model) -> None:
    """Give equal graphs equal names, which are a part of the cache's key.

    OpenVINO numbers nodes through the life of a process, and notes what was fused into them.
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
    """The first telling line of an OpenVINO message."""
    return next(_telling(str(error)), "no reason given")


def _telling(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip() and not line.startswith(("Exception from", "Check ")):
            yield line.strip()
