"""ncnn: the engine for its own models, on the CPU, for layers that no other engine knows.

A model is a pair of files: `.param`, its layers, and `.bin`, their weights. Pixels are converted to
floats and back outside of the network, in numpy. It computes in f32, without ncnn's approximations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

from enlarge.engines.protocol import LEVELS, TileSpec
from enlarge.errors import EngineError, EngineMemoryError
from enlarge.model_file import NCNN

_APPROXIMATE = (
    *("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"),
    *("use_bf16_packed", "use_bf16_storage", "use_int8_inference"),
)
_OUTPUTS = ("output", "out0", "out")
"""Names of the blob that is the result, where several are left over."""
_NO_MEMORY = -100
"""What ncnn's layers return where they cannot allocate their result."""
VERSION = str(ncnn.__version__)

Picture = NDArray[np.float32]


class NcnnEngine:
    """A model of ncnn by the path of either file. Raises `EngineError` if ncnn cannot load it.

    The network takes and returns RGB in [0, 1]. Without `winograd`, convolutions are computed as
    they are defined, so that a pixel changes nothing beyond their windows, not even by rounding.
    """

    name, device, precision, memory_factor = NCNN, "cpu", "f32", 1.0

    def __init__(self, model: Path, threads: int, *, winograd: bool = True) -> None:
        self._path = model.with_suffix(".param")
        self._net = _loaded(self._path, threads, winograd=winograd)

    def session(self, spec: TileSpec) -> NcnnSession:
        """See `Engine.session`. Nothing is compiled."""
        return NcnnSession(self, spec)

    def forget(self) -> bool:
        """See `Engine.forget`: there is nothing but the weights."""
        return False

    def compute(self, image: Picture) -> Picture:
        """(3, H, W) → (3, scale·H, scale·W), not clamped. Raises as a session's call does."""
        with self._net.create_extractor() as extractor:
            mat = ncnn.Mat(image).clone()  # a Mat only points to an array
            failed = extractor.input(self._net.input_names()[0], mat)
            if not failed:
                failed, large = extractor.extract(_output_of(self._net))
            if failed:
                _refuse(failed, f"run {self._path.name} at {image.shape[2]}×{image.shape[1]}")
            return np.array(large, np.float32)


def _loaded(param: Path, threads: int, *, winograd: bool) -> Any:
    net = ncnn.Net()
    net.opt.use_winograd_convolution = winograd
    for option in _APPROXIMATE:
        setattr(net.opt, option, False)
    if threads:
        net.opt.num_threads = threads
    for load, path in ((net.load_param, param), (net.load_model, param.with_suffix(".bin"))):
        if failed := load(str(path)):
            raise EngineError(
                f"{path}: ncnn {VERSION} cannot load it (code {failed}); a newer ncnn may know its "
                "layers (pip install -U ncnn), or the file is damaged"
            )
    return net


def _output_of(net: Any) -> str:
    names = net.output_names()
    return str(next((name for name in _OUTPUTS if name in names), names[-1]))


def _refuse(code: int, what: str) -> None:
    if code == _NO_MEMORY:
        raise EngineMemoryError(f"ncnn ran out of memory: it could not {what}")
    raise EngineError(f"ncnn could not {what} (code {code})")


class NcnnSession:
    """See `Session`. Each call returns a new array."""

    def __init__(self, engine: NcnnEngine, spec: TileSpec) -> None:
        self._engine, self._spec = engine, spec

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """See `Session.__call__`."""
        spec = self._spec
        planes = tile.transpose(2, 0, 1).astype(np.float32, order="C")
        planes *= np.float32(1.0 / LEVELS[spec.source.name])
        if spec.channels == 1:
            planes = planes.repeat(3, 0)
        large = self._engine.compute(planes)
        if large.ndim != 3 or len(large) != 3:
            raise EngineError(
                f"ncnn returned {large.shape} for {planes.shape}; expected 3 channels"
            )
        if spec.channels == 1:
            large = large.mean(0, keepdims=True)
        if spec.clamped:
            np.clip(large, 0.0, 1.0, out=large)
        if spec.target.kind != "f":
            large *= np.float32(LEVELS[spec.target.name])
            np.rint(large, out=large)
        return np.ascontiguousarray(large.transpose(1, 2, 0).astype(spec.target))
