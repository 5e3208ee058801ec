"""Checkpoints without a card: which network they hold is detected from their keys and shapes.

    read_checkpoint(path)   .safetensors, .pth, .pt, .ckpt → what the file holds; runs no code
    deduce(checkpoint)      → the network's name, its options, its state dict with our keys

Networks for pictures in 0–255 are converted to ours, in [0, 1], exactly: through their biases, or
through their first and last convolution. The detectors are beside the networks.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from enlarge.engines.protocol import first_line
from enlarge.errors import OptionError, WeightsError
from enlarge.model_file import NCNN
from enlarge.networks import LAYOUTS, build
from enlarge.networks.checkpoints import State
from enlarge.weights.contents import model_kind
from enlarge.weights.pickled import settings_named
from enlarge.weights.tensors import NonFinite, check_tensors

WRAPPERS = ("params_ema", "ema", "params", "state_dict", "model_state_dict", "raw", "model")
"""Keys under which checkpoints nest the state dict; averaged weights come first."""
_DEEPEST = 8
"""The most levels of nesting that are unwrapped: a dict in a file may contain itself."""
PREFIXES = ("module.", "model.", "network.", "net_g.", "generator.", "net.", "_orig_mod.")


_UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, LookupError, SafetensorError),
    *(TypeError, AttributeError, AssertionError, OverflowError, struct.error),  # of noise as pickle
)


class _Ignored:
    """Stands for an object that a trainer stored beside the weights: it takes anything, and keeps
    nothing.
    """

    def __new__(cls, *arguments: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _IgnoredDict:
    """The same for a kind of dict: torch's reader fills an `OrderedDict` only."""

    def __new__(cls, *arguments: Any) -> Any:
        return OrderedDict()


def _refused(error: Exception) -> str:
    """What torch's reader did not want to call."""
    text = " ".join(str(error).split())
    named = re.search(r"GLOBAL (\S+)", text) or re.search(r"Unpickler error: (.{1,80})", text)
    return named[1] if named else text[:80]


_MISFITS = (
    *(ArithmeticError, LookupError, ValueError, TypeError, AttributeError, RuntimeError),
    *(AssertionError, MemoryError),
)
"""Raised where the shapes in a file are not those of the network that its keys promise."""


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The content of a checkpoint: a state dict, or a dict around one. Runs no code of the file.

    Raises `WeightsError` if it cannot be read, or is a pickle that would run code.
    """
    kind = model_kind(path)
    check_tensors(path, kind)
    if kind in ("onnx", NCNN):
        what = "an ONNX file" if kind == "onnx" else "a model of ncnn"
        raise WeightsError(f"{path}: is {what}; expected a checkpoint of torch")
    ignored = settings_named(path) if kind == "checkpoint" else []
    try:
        if kind == "safetensors":
            tensors: State = load_file(path)
            return tensors
        stand_ins: list[Any] = [
            (_IgnoredDict if name.lower().endswith("dict") else _Ignored, name) for name in ignored
        ]
        with torch.serialization.safe_globals(stand_ins), path.open("rb") as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, since this pickle contains more than weights and would run code "
            f"when opened ({_refused(error)}); save only its state dict, preferably as "
            ".safetensors"
        ) from error
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path}: cannot be read as a checkpoint ({first_line(error)}); download or copy it "
            "again"
        ) from error
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path}: expected a dict of tensors, got {type(content).__name__}")
    return content


def check_weights(checkpoint: Mapping[str, Any]) -> None:
    """Raise `WeightsError` if the state dict in a checkpoint holds tensors that no network can use:
    with NaN or infinity, quantised, without values, or integers only.
    """
    state = next(unwrapped(checkpoint), {})
    for key, value in state.items():
        for is_odd, what in (
            (value.is_quantized, "is quantised; give the original, in f32 or f16"),
            (value.is_complex(), "holds complex numbers; expected floats"),
            (value.is_meta, "has a shape but no values; save the checkpoint again"),
            (not value.numel() and key.endswith(("weight", "bias")), "has no values"),
            (value.layout != torch.strided, "is sparse; save it dense, with to_dense()"),
        ):
            if is_odd:
                raise WeightsError(f"its tensor {key} {what}")
        if not value.is_floating_point() or "mask" in key:
            continue
        values = value if value.dtype.itemsize > 1 else value.float()
        if not values.isfinite().all():
            nan = int(values.isnan().sum())
            infinite = int(values.isinf().sum())
            raise WeightsError(NonFinite(key, nan, infinite, values.numel()).message())
    if state and not any(value.is_floating_point() for value in state.values()):
        raise WeightsError(
            "it holds integers only, like a quantised checkpoint; give the original, in f32 or f16"
        )


def deduce(checkpoint: Mapping[str, Any]) -> tuple[str, dict[str, Any], State]:
    """(network, options, state dict) such that `build(network, **options)` loads the state dict.

    Raises `WeightsError`, which names the keys and the layouts tried, if none of them fits.
    """
    misfit = ""
    for state in unwrapped(checkpoint):
        for network, title, detect in LAYOUTS:
            try:
                detected = detect(state)
            except _MISFITS as error:
                misfit = f"; nearest is {title}, but its shapes make no sense: {error}"
                continue
            if detected is None:
                continue
            difference = mismatch(network, *detected)
            if not difference:
                return network, *detected
            misfit = f"; nearest is {title}, but {difference}"
    keys = [key for key in checkpoint if isinstance(key, str)]
    for state in unwrapped(checkpoint):
        keys = list(state)
    listed = ", ".join(keys[:8]) + (f", … ({len(keys)} in all)" if len(keys) > 8 else "")
    tried = ", ".join(layout.title for layout in LAYOUTS)
    raise WeightsError(f"unknown architecture: keys {listed or 'none'}; tried {tried}{misfit}")


def unwrapped(checkpoint: Mapping[str, Any]) -> Iterator[State]:
    """The state dict inside the wrappers, then the same without each prefix that all keys share."""
    inner: Mapping[str, Any] = checkpoint
    for _ in range(_DEEPEST):
        nested = [key for key in WRAPPERS if isinstance(inner.get(key), Mapping)]
        if not nested:
            break
        inner = inner[nested[0]]
    state = {
        key: value
        for key, value in inner.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if state:
        yield state
    while state:
        shared = [p for p in PREFIXES if all(key.startswith(p) for key in state)]
        if not shared:
            return
        state = {key.removeprefix(shared[0]): value for key, value in state.items()}
        yield state


def mismatch(network: str, options: Mapping[str, Any], state: State) -> str:
    """Why the state dict does not fit that network; empty if it fits."""
    try:
        with torch.device("meta"):
            wanted = build(network, **options).state_dict()
    except (OptionError, *_MISFITS) as error:
        return first_line(error)
    missing = [key for key in wanted if key not in state]
    surplus = [key for key in state if key not in wanted]
    if missing or surplus:
        named = [f"lacks {key}" for key in missing[:3]] + [f"has {key}" for key in surplus[:3]]
        return f"it {', '.join(named)}"
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            return f"{key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
    return ""
