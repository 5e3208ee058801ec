"""ncnn, the engine of upscayl, from the same ONNX through pnnx. Its 8-bit form is not measured: it
needs calibration tools that ncnn's Python package lacks.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_F16 = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic")
_BF16 = ("use_bf16_packed", "use_bf16_storage")
SETTINGS: dict[str, tuple[str, ...]] = {"ncnn f32": (), "ncnn bf16 storage": _BF16}
"""By name, the options that are on. f16 is left out: on x86 its results are those of f32."""
_TOLERANCES = {"ncnn f32": 0.01, "ncnn bf16 storage": 0.05}
"""The largest difference from torch; noise is hard on the Winograd transforms of f32."""


def has_ncnn() -> bool:
    """Whether ncnn and pnnx are installed."""
    return find_spec("ncnn") is not None and find_spec("pnnx") is not None


class Ncnn:
    """An ONNX model of the family of `fast`, converted once for any size of tile."""

    def __init__(self, model: Path) -> None:
        import pnnx

        with tempfile.TemporaryDirectory() as name:
            onnx = Path(name) / "model.onnx"
            onnx.write_bytes(model.read_bytes())
            line = [pnnx.EXEC_PATH, str(onnx), "inputshape=[1,3,64,64]"]
            subprocess.run(line, cwd=name, check=True, capture_output=True)
            param = Path(name) / "model.ncnn.param"
            param.write_text(_nearest_skip(param.read_text()))
            self._nets = {label: open_net(param, options) for label, options in SETTINGS.items()}

    def calls(
        self, tile: NDArray[np.uint8], wanted: NDArray[np.float32]
    ) -> dict[str, Callable[[], NDArray[np.float32]]]:
        """By name, what enlarges the tile (h, w, 3) to floats (3, 4h, 4w). Raises `AssertionError`
        where a result is not about `wanted`.
        """
        import ncnn

        pixels = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32) / np.float32(255)
        picture = ncnn.Mat(pixels).clone()  # a Mat only points to an array
        calls: dict[str, Callable[[], NDArray[np.float32]]] = {
            label: partial(_run, net, picture) for label, net in self._nets.items()
        }
        for label, call in calls.items():
            assert np.abs(call() - wanted).max() < _TOLERANCES[label], label
        return calls


def open_net(param: Path, options: tuple[str, ...] | None = ()) -> Any:
    """A model's pair of files in ncnn, in f32 but for `options` (None: as ncnn is by default)."""
    import ncnn

    net = ncnn.Net()
    if options is not None:
        for option in (*_F16, *_BF16):
            setattr(net.opt, option, option in options)
    net.load_param(str(param))
    net.load_model(str(param.with_suffix(".bin")))
    return net


def _run(net: Any, picture: Any) -> NDArray[np.float32]:
    with net.create_extractor() as extractor:
        extractor.input("in0", picture)
        return np.array(extractor.extract("out0")[1])


def _nearest_skip(param: str) -> str:
    """Pnnx takes the repeated colours of the skip for one colour: put ncnn's own nearest
    enlargement in their place, added behind the pixel shuffle.
    """
    lines = param.splitlines()
    crop, squeeze, tail, _, _ = lines[-5:]
    assert crop.startswith("Crop")
    assert squeeze.startswith("Squeeze")
    image, features = crop.split()[4], tail.split()[5]
    layers, blobs = map(int, lines[1].split())
    lines[1] = f"{layers - 1} {blobs - 1}"
    skip = [
        f"Interp nearest 1 1 {image} skip 0=1 1=4.0 2=4.0",
        tail,
        f"PixelShuffle shuffle 1 1 {features} details 0=4 1=0",
        "BinaryOp sum 2 1 details skip out0 0=0",
    ]
    return "\n".join([*lines[:-5], *skip, ""])
