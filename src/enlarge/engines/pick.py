"""The choice of an engine, a device and a precision for a model on this machine.

torch and ONNX Runtime, which are slow to import, are imported only if files (drivers, and the
libraries of both) show that there is a GPU that they can use.
"""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from enlarge.card import Card
from enlarge.engines.options import EngineOptions
from enlarge.engines.protocol import Engine
from enlarge.errors import EngineError, OptionError
from enlarge.model_file import INT8_ENDING, NCNN, Weights

_GPU_ENGINES = ("torch", "onnxruntime")
_TITLES = {
    "openvino": "OpenVINO",
    "onnxruntime": "ONNX Runtime",
    "torch": "torch",
    NCNN: "ncnn",
}
_INSTALL = {
    "openvino": "pip install openvino",
    "onnxruntime": 'pip install "enlarge[onnx]"',
    "torch": 'pip install "enlarge[torch]"',
    NCNN: 'pip install "enlarge[ncnn]"',
}
_DRIVERS = ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/kfd")  # NVIDIA, the same under WSL, AMD
_LIBRARIES = {
    "torch": ("lib/*torch_cuda*", "lib/*torch_hip*"),
    "onnxruntime": ("capi/*providers_cuda*", "capi/*providers_migraphx*", "capi/DirectML*"),
}
"""Files that only builds for GPUs contain."""
_INT8_MACHINES = ("x86_64", "amd64")
"""Processors on which OpenVINO was measured to be faster in int8 than in f32, though not than in
bf16, which is closer to f32. ONNX Runtime was slower.
"""
_MAY_LOSE = {"valid": 0.02, "detail": 0.02, "flat": 1.0, "gradient": 1.0, "drawing": 1.0}
"""The most that an 8-bit form may lose against f32 where it is chosen automatically: see `Card`.
That of drawings is wide, since one of them is a chessboard of single pixels, which f32 does not
restore either.
"""
_UINT8 = np.dtype(np.uint8)
_AUTO = EngineOptions()


class Placement(NamedTuple):
    """An engine on one of its devices, and the precisions in which a model can run there, the best
    choice first.
    """

    engine: str
    device: str
    precisions: tuple[str, ...]


def pick_engine(
    weights: Weights, options: EngineOptions = _AUTO, dtype: np.dtype[Any] = _UINT8
) -> Engine:
    """The engine for pictures of a `dtype` in a model: an ONNX file (torch uses the .safetensors
    file beside it), a network in torch, or a model of ncnn that only ncnn can run.

    `engine` auto is OpenVINO on a CPU. If `device` is a GPU, or auto finds one that torch or ONNX
    Runtime is installed for, it is torch if that can build the model's network, otherwise ONNX
    Runtime. `device` is auto, cpu, cuda, cuda:1, mps, or another device of ONNX Runtime (tensorrt,
    dml, …).

    `precision` auto is the fastest one that the device has and in which the model's scores hold,
    according to its card (f16 is finer than bf16, so it may also stand for that) and to that of its
    8-bit form. It is always f32 for pictures of a `dtype` other than uint8, since bf16 has 8
    significant bits, and always int8 for files in int8.

    Raises `OptionError` for an impossible combination, `EngineError` for one that this machine does
    not support.
    """
    placement = find_placement(weights, options)
    precision = _choose_precision(placement, weights, options.precision, dtype)
    stored, (name, device, _) = weights.stored_for(precision), placement
    if name == "torch":
        from enlarge.engines.torch import TorchEngine

        return TorchEngine(stored.path, device, precision, options.threads, stored.network)
    if name == NCNN and weights.ncnn is not None:
        from enlarge.engines.ncnn import NcnnEngine

        return NcnnEngine(weights.ncnn, options.threads)
    if name == "onnxruntime":
        from enlarge.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(stored.path, device, precision, options.threads)
    from enlarge.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(stored.path, precision, options.threads, stored.digest)


def check_engine(weights: Weights, options: EngineOptions = _AUTO) -> None:
    """Raise what `pick_engine` would raise for pictures of 8 bits, with nothing loaded yet; of
    `auto`, for any of its models.
    """
    for one in weights.members:
        try:
            _choose_precision(find_placement(one, options), one, options.precision, _UINT8)
        except OptionError as error:
            if one is weights:
                raise
            raise OptionError(
                f"auto may take {one.card.name} (--model names another), and {error}"
            ) from error


def find_placement(weights: Weights, options: EngineOptions = _AUTO) -> Placement:
    """Where `pick_engine` would run the model. Raises `OptionError` or `EngineError`."""
    options.check()
    if weights.network is not None:
        return _on("torch", options.device)
    if weights.is_for_ncnn or options.engine == NCNN:
        _check_ncnn(weights, options.engine)
        return _on(NCNN, options.device)
    weights = weights.stored_for(options.precision)
    placement = _place(weights.path, weights.card, options.engine, options.device)
    if placement.engine == "torch":
        return placement
    if "int8" in weights.card.precisions:  # int8 is a property of the file
        return placement._replace(precisions=("int8",))
    if weights.int8 is not None:
        order = list(placement.precisions)
        is_faster = placement.engine == "openvino" and platform.machine().lower() in _INT8_MACHINES
        order.insert(order.index("f32") if is_faster else len(order), "int8")
        placement = placement._replace(precisions=tuple(order))
    return placement


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


def _check_ncnn(weights: Weights, engine: str) -> None:
    """Raise `OptionError` if ncnn cannot run the model, or if only ncnn can and another engine was
    asked for.
    """
    if weights.ncnn is None:
        raise OptionError(
            f"--engine ncnn runs models of ncnn (.param with .bin), and {weights.card.name} is "
            "none; leave out --engine"
        )
    if engine not in ("auto", NCNN):
        raise OptionError(
            f"{weights.card.name} has a layer that only ncnn computes, so --engine {engine} "
            "contradicts it; leave out --engine"
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
        if engine == NCNN:
            import enlarge.engines.ncnn
        else:
            import enlarge.engines.openvino  # noqa: F401 - checks that it can be imported
    except (ImportError, OSError) as error:  # OSError: a missing shared library
        if isinstance(error.__cause__, KeyboardInterrupt):  # pybind11 wraps it
            raise error.__cause__ from None
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
    if engine == NCNN:
        return ("f32",)
    from enlarge.engines.openvino import has_bf16

    return ("bf16", "f32") if has_bf16() else ("f32",)


def _choose_precision(
    placement: Placement, weights: Weights, requested: str, dtype: np.dtype[Any]
) -> str:
    engine, device, available = placement
    card = weights.card
    if requested == "auto":
        if dtype != np.uint8 and "f32" in available:
            return "f32"
        held = {*card.precisions, "f32"} | ({"f16"} if "bf16" in card.precisions else set())
        if weights.int8 is not None and _is_close(weights.int8.card):
            held.add("int8")
        return next(precision for precision in available if precision in held)
    if requested == "int8" and "int8" not in available:
        raise OptionError(
            f"{card.name} has no 8-bit form, a file {weights.path.stem}{INT8_ENDING} beside it "
            f"(its card lists {', '.join(card.precisions)}); use a model that has one, or another "
            "--precision"
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


def _is_close(form: Card) -> bool:
    """Whether an 8-bit form, according to its card, may be chosen automatically."""
    return all(
        isinstance(lost := form.int8.get(key), int | float) and lost <= limit
        for key, limit in _MAY_LOSE.items()
    )


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
