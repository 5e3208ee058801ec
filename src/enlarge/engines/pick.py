"""The one function that picks an engine, a device and a precision for a model on this machine.

A picture on a CPU pays nothing for the GPUs that others have: whether there is one is told from
files (drivers, and libraries of torch and ONNX Runtime), and only then is either imported.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, get_args

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
"""Files that builds for GPUs have and those for CPUs have not."""


class Place(NamedTuple):
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
    deep: bool = False,
) -> Engine:
    """The engine for this model (an ONNX file, for torch its .safetensors beside it) here.

    `engine` auto: OpenVINO on a CPU; where `device` is a GPU, or auto finds one that torch or ONNX
    Runtime is installed for, torch if it has the model's network, else ONNX Runtime. `device`:
    auto, cpu, cuda, cuda:1, mps, and what else ONNX Runtime has (tensorrt, dml, …).

    `precision` auto: the fastest in which the device computes and the model's scores hold by its
    card (f16, which is finer than bf16, also where they hold in that); always f32 for `deep`
    pictures (16 bits or float), since bf16 has 8 significant bits; and int8 for files in int8.
    `threads` of the CPU, 0: all cores. Raises `OptionError` for an impossible wish, `EngineError`
    for one that this machine cannot fulfil.
    """
    _check_words(engine, device, precision, threads)
    place = find_place(model, card, engine=engine, device=device)
    precision = _precision(place, card, precision, deep)
    name, device, _ = place
    if name == "torch":
        from enlarge.engines.torch import TorchEngine

        return TorchEngine(model, device, precision, threads)
    if name == "onnxruntime":
        from enlarge.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model, device, precision, threads)
    from enlarge.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, precision, threads)


def find_place(model: Path, card: Card, *, engine: str = "auto", device: str = "auto") -> Place:
    """Where `pick_engine` would run the model. Raises `OptionError` or `EngineError`."""
    _check_words(engine, device, "auto", 0)
    place = _place(model, card, engine, device)
    if "int8" in card.precisions and place.engine != "torch":  # it is in the file, or it is not
        place = place._replace(precisions=("int8",))
    return place


def _check_words(engine: str, device: str, precision: str, threads: int) -> None:
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
            f"--engine openvino computes on the CPU, so --device {device} contradicts it; "
            "take --engine torch or onnxruntime, or leave out one of them"
        )


def _place(model: Path, card: Card, engine: str, device: str) -> Place:
    if engine != "auto":
        place = _on(engine, device)
        if engine == "torch":
            _check_network(model, card)
        return place
    if device == "cpu":
        return _on("openvino", device)
    if device == "auto":
        for name in _GPU_ENGINES if _has_gpu() else ():
            if _has_gpu_build(name):
                try:
                    place = _on_gpu(name, model, card, device)
                except EngineError:
                    continue  # what was installed for a GPU does not find one
                return place
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


def _on_gpu(engine: str, model: Path, card: Card, device: str) -> Place:
    """The engine on that GPU, or on any where `device` is auto. Raises `EngineError`."""
    place = _on(engine, device)
    if place.device == "cpu":
        raise EngineError(f"{_TITLES[engine]} finds no GPU")
    if engine == "torch":
        if "int8" in card.precisions:
            raise EngineError(f"torch does not compute in int8, as {model.name} does")
        _check_network(model, card)
    return place


def _check_network(model: Path, card: Card) -> None:
    """Raise `EngineError` where what lies beside a model for torch is not its network, and
    `OptionError` for a model in int8.
    """
    from enlarge.engines.torch import has_network, parameters_of

    beside = parameters_of(model)
    if "int8" in card.precisions:
        raise OptionError(
            f"{model.name} is stored in int8: int8 and torch contradict each other; take "
            "--engine openvino or onnxruntime"
        )
    if not beside.is_file():
        raise EngineError(
            f"{beside}: not there; torch reads the network from the .safetensors file beside the "
            "model. Put it there, or take --engine openvino or onnxruntime"
        )
    if not has_network(model, card):
        raise EngineError(
            f"{beside} does not hold the network of {model.name}; export both from one model, or "
            "take --engine openvino or onnxruntime"
        )


def _on(engine: str, device: str) -> Place:
    """The engine on that device, or on its best where `device` is auto. Raises `EngineError`."""
    there = _devices(engine)
    if device == "auto":
        device = there[0]
    kind, _, number = device.partition(":")
    # torch counts its GPUs; ONNX Runtime knows kinds only, and finds out when it starts.
    matching = [d for d in there if d == device or (d.partition(":")[0] == kind and not number)]
    if not matching and not (engine == "onnxruntime" and kind in there):
        raise EngineError(
            f"{_TITLES[engine]} has no device {device} here; it has: {', '.join(there)}"
        )
    device = matching[0] if matching else device
    if engine == "torch" and device != "cpu":
        from enlarge.engines.torch import check_device

        check_device(device)
    return Place(engine, device, _precisions_on(engine, device))


def _devices(engine: str) -> list[str]:
    """What the engine can compute on here, the best first. Raises `EngineError`."""
    try:
        if engine == "torch":
            from enlarge.engines.torch import devices

            return devices()
        if engine == "onnxruntime":
            from enlarge.engines.onnxruntime import devices

            return devices()
        import enlarge.engines.openvino  # noqa: F401 - whether it can be imported
    except (ImportError, OSError) as error:  # OSError: a library of it is missing
        raise EngineError(
            f"{_TITLES[engine]} cannot be imported ({error}); install it: {_INSTALL[engine]}"
        ) from error
    return ["cpu"]


def _precisions_on(engine: str, device: str) -> tuple[str, ...]:
    if engine == "torch":
        from enlarge.engines.torch import precisions

        return precisions(device)
    if engine == "onnxruntime":
        from enlarge.engines.onnxruntime import precisions

        return precisions(device)
    from enlarge.engines.openvino import has_bf16

    return ("bf16", "f32") if has_bf16() else ("f32",)


def _precision(place: Place, card: Card, wish: str, deep: bool) -> str:
    engine, device, computed = place
    if wish == "auto":
        held = {*card.precisions, "f32"} | ({"f16"} if "bf16" in card.precisions else set())
        return "f32" if deep and "f32" in computed else next(p for p in computed if p in held)
    if wish == "int8" and "int8" not in computed:
        raise OptionError(
            f"{card.name} is not stored in int8 (its card lists {', '.join(card.precisions)}); "
            "take a model that is, or another --precision"
        )
    if wish not in computed and computed == ("int8",):
        raise OptionError(
            f"{card.name} is stored in int8 and computed so, got --precision {wish}; take the "
            "model that it was exported from"
        )
    if wish not in computed:
        raise OptionError(
            f"{_TITLES[engine]} does not compute in {wish} on {_spoken(device)}; "
            f"it does in: {', '.join(computed)}"
        )
    return wish


def _spoken(device: str) -> str:
    return "this CPU" if device == "cpu" else device


def _has_gpu() -> bool:
    """Whether a GPU's driver seems to be there."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return True  # DirectML runs on any; for NVIDIA's, torch will tell
    return any(path for pattern in _DRIVERS for path in Path("/").glob(pattern.removeprefix("/")))


def _has_gpu_build(engine: str) -> bool:
    """Whether the engine is installed, in a build for GPUs. Nothing is imported."""
    spec = find_spec(engine)
    if spec is None or not spec.submodule_search_locations:
        return False
    if sys.platform == "darwin":  # one build for all; CoreML's provider only when it is asked for
        return engine == "torch"
    folder = Path(spec.submodule_search_locations[0])
    return any(path for pattern in _LIBRARIES[engine] for path in folder.glob(pattern))
