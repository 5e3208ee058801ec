"""The choice of an engine, a device and a precision for a model on this machine.

torch and ONNX Runtime, which are slow to import, are imported only if files (drivers, and the
libraries of both) show that there is a GPU that they can use.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

from enlarge.card import Card
from enlarge.engines.protocol import Engine, EngineName, Precision
from enlarge.errors import EngineError, OptionError

_ENGINES: tuple[str, ...] = get_args(EngineName)
_PRECISIONS: tuple[str, ...] = get_args(Precision)
_GPU_ENGINES = ("torch", "onnxruntime")
_TITLES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime", "torch": "torch"}
_INSTALL = {
    "openvino": "pip install openvino",
    "onnxruntime": 'pip install "enlarge[onnx]"',
    "torch": 'pip install "enlarge[torch]"',
}
_DRIVERS = ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/kfd")  # NVIDIA, the same under WSL, AMD
_LIBRARIES = {
    "torch": ("lib/*torch_cuda*", "lib/*torch_hip*"),
    "onnxruntime": ("capi/*providers_cuda*", "capi/*providers_migraphx*", "capi/DirectML*"),
}
"""Files that only builds for GPUs contain."""
_UINT8 = np.dtype(np.uint8)


class Placement(NamedTuple):
    """An engine on one of its devices, and the precisions in which a model can run there, the best
    choice first.
    """

    engine: str
    device: str
    precisions: tuple[str, ...]


def pick_engine(
    model: Path,
    card: Card,
    *,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    dtype: np.dtype[Any] = _UINT8,
    network: Any = None,
) -> Engine:
    """The engine for a model, an ONNX file (torch uses the .safetensors file beside it), or for a
    `network` in torch, which runs there.

    `engine` auto is OpenVINO on a CPU. If `device` is a GPU, or auto finds one that torch or ONNX
    Runtime is installed for, it is torch if that can build the model's network, otherwise ONNX
    Runtime. `device` is auto, cpu, cuda, cuda:1, mps, or another device of ONNX Runtime (tensorrt,
    dml, …).

    `precision` auto is the fastest one that the device has and in which the model's scores hold,
    according to its card (f16 is finer than bf16, so it may also stand for that). It is always f32
    for pictures of a `dtype` other than uint8, since bf16 has 8 significant bits, and always int8
    for files in int8. `threads`: of the CPU, 0 for all cores.

    Raises `OptionError` for an impossible combination, `EngineError` for one that this machine does
    not support.
    """
    _check_options(engine, device, precision, threads)
    placement = find_placement(model, card, engine=engine, device=device, network=network)
    precision = _choose_precision(placement, card, precision, dtype)
    name, device, _ = placement
    if name == "torch":
        from enlarge.engines.torch import TorchEngine

        return TorchEngine(model, device, precision, threads, network)
    if name == "onnxruntime":
        from enlarge.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model, device, precision, threads)
    from enlarge.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, precision, threads)


def find_placement(
    model: Path, card: Card, *, engine: str = "auto", device: str = "auto", network: Any = None
) -> Placement:
    """Where `pick_engine` would run the model. Raises `OptionError` or `EngineError`."""
    _check_options(engine, device, "auto", 0)
    if network is not None:
        return _on("torch", device)
    placement = _place(model, card, engine, device)
    if "int8" in card.precisions and placement.engine != "torch":  # int8 is a property of the file
        placement = placement._replace(precisions=("int8",))
    return placement


def _check_options(engine: str, device: str, precision: str, threads: int) -> None:
    if engine not in _ENGINES:
        raise OptionError(f"unknown engine {engine!r}; there are: {', '.join(_ENGINES)}")
    if not re.fullmatch(r"[a-z]+(:\d+)?", device) or re.match("(auto|cpu|mps):", device):
        raise OptionError(f"device must be auto, cpu, cuda, cuda:NUMBER or mps, got {device!r}")
    if precision not in _PRECISIONS:
        raise OptionError(f"unknown precision {precision!r}; there are: {', '.join(_PRECISIONS)}")
    if threads < 0:
        raise OptionError(f"threads must be 0 (all cores) or more, got {threads}")
    if engine == "openvino" and device not in ("auto", "cpu"):
        raise OptionError(
            f"--engine openvino runs on the CPU, so --device {device} contradicts it; "
            "use --engine torch or onnxruntime, or leave out one of them"
        )


def _place(model: Path, card: Card, engine: str, device: str) -> Placement:
    if engine != "auto":
        placement = _on(engine, device)
        if engine == "torch":
            _check_network(model, card)
        return placement
    if device == "cpu":
        return _on("openvino", device)
    if device == "auto":
        for name in _GPU_ENGINES if _has_gpu() else ():
            if _has_gpu_build(name):
                try:
                    placement = _on_gpu(name, model, card, device)
                except EngineError:
                    continue  # a build for GPUs that does not find one
                return placement
        return _on("openvino", "cpu")
    refusals = []
    for name in _GPU_ENGINES:
        try:
            return _on_gpu(name, model, card, device)
        except EngineError as error:
            refusals.append(str(error))
    raise EngineError(
        f"no engine can compute on {device}: {'; '.join(refusals)}. --device cpu works everywhere"
    )


def _on_gpu(engine: str, model: Path, card: Card, device: str) -> Placement:
    """The engine on that GPU, or on any GPU if `device` is auto. Raises `EngineError`."""
    placement = _on(engine, device)
    if placement.device == "cpu":
        raise EngineError(f"{_TITLES[engine]} finds no GPU")
    if engine == "torch":
        if "int8" in card.precisions:
            raise EngineError(f"torch does not compute in int8, as {model.name} does")
        _check_network(model, card)
    return placement


def _check_network(model: Path, card: Card) -> None:
    """Raise `EngineError` if there is no file with the model's network beside it, and `OptionError`
    if the model is in int8.
    """
    from enlarge.engines.torch import has_network, parameters_of

    beside = parameters_of(model)
    if "int8" in card.precisions:
        raise OptionError(
            f"{model.name} is stored in int8: int8 and torch contradict each other; use "
            "--engine openvino or onnxruntime"
        )
    if not beside.is_file():
        raise EngineError(
            f"{beside}: missing; torch reads the network from the .safetensors file beside the "
            "model. Put it there, or use --engine openvino or onnxruntime"
        )
    if not has_network(model, card):
        raise EngineError(
            f"{beside} does not hold the network of {model.name}; export both from one model, or "
            "use --engine openvino or onnxruntime"
        )


def _on(engine: str, device: str) -> Placement:
    """The engine on that device, or on its best if `device` is auto. Raises `EngineError`."""
    available = _devices(engine)
    if device == "auto":
        device = available[0]
    kind, _, number = device.partition(":")
    # torch numbers its GPUs; ONNX Runtime only knows kinds, and checks the number when it starts.
    matching = [d for d in available if d == device or (d.partition(":")[0] == kind and not number)]
    if not matching and not (engine == "onnxruntime" and kind in available):
        raise EngineError(
            f"{_TITLES[engine]} has no device {device} here; it has: {', '.join(available)}"
        )
    device = matching[0] if matching else device
    if engine == "torch" and device != "cpu":
        from enlarge.engines.torch import check_device

        check_device(device)
    return Placement(engine, device, _precisions_on(engine, device))


def _devices(engine: str) -> list[str]:
    """The devices that the engine can compute on here, the best first. Raises `EngineError`."""
    try:
        if engine == "torch":
            from enlarge.engines.torch import torch_devices

            return torch_devices()
        if engine == "onnxruntime":
            from enlarge.engines.onnxruntime import onnxruntime_devices

            return onnxruntime_devices()
        import enlarge.engines.openvino  # noqa: F401 - checks that it can be imported
    except (ImportError, OSError) as error:  # OSError: a missing shared library
        raise EngineError(
            f"{_TITLES[engine]} cannot be imported ({error}); install it: {_INSTALL[engine]}"
        ) from error
    return ["cpu"]


def _precisions_on(engine: str, device: str) -> tuple[str, ...]:
    if engine == "torch":
        from enlarge.engines.torch import torch_precisions

        return torch_precisions(device)
    if engine == "onnxruntime":
        from enlarge.engines.onnxruntime import onnxruntime_precisions

        return onnxruntime_precisions(device)
    from enlarge.engines.openvino import has_bf16

    return ("bf16", "f32") if has_bf16() else ("f32",)


def _choose_precision(
    placement: Placement, card: Card, requested: str, dtype: np.dtype[Any]
) -> str:
    engine, device, available = placement
    if requested == "auto":
        if dtype != np.uint8 and "f32" in available:
            return "f32"
        held = {*card.precisions, "f32"} | ({"f16"} if "bf16" in card.precisions else set())
        return next(precision for precision in available if precision in held)
    if requested == "int8" and "int8" not in available:
        raise OptionError(
            f"{card.name} is not stored in int8 (its card lists {', '.join(card.precisions)}); "
            "use a model that is, or another --precision"
        )
    if requested not in available and available == ("int8",):
        raise OptionError(
            f"{card.name} is stored in int8 and computed in int8, got --precision {requested}; use "
            "the model that it was exported from"
        )
    if requested not in available:
        where = "this CPU" if device == "cpu" else device
        raise OptionError(
            f"{_TITLES[engine]} does not compute in {requested} on {where}; "
            f"it does in: {', '.join(available)}"
        )
    return requested


def _has_gpu() -> bool:
    """Whether a GPU's driver seems to be installed."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return True  # DirectML runs on any GPU; torch checks for NVIDIA's
    return any(path for pattern in _DRIVERS for path in Path("/").glob(pattern.removeprefix("/")))


def _has_gpu_build(engine: str) -> bool:
    """Whether the engine is installed, in a build for GPUs, without importing it."""
    spec = find_spec(engine)
    if spec is None or not spec.submodule_search_locations:
        return False
    if sys.platform == "darwin":  # one build for all Macs; CoreML's provider on request only
        return engine == "torch"
    folder = Path(spec.submodule_search_locations[0])
    return any(path for pattern in _LIBRARIES[engine] for path in folder.glob(pattern))
