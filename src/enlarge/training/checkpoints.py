"""What a run saved, and the weights that a run starts from."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from enlarge.errors import WeightsError
from enlarge.training.callbacks import DATA, LAST
from enlarge.training.learner import STATE
from enlarge.weights.catalog import find_weights
from enlarge.weights.contents import model_kind

_UNREADABLE = (OSError, KeyError, TypeError, AttributeError, EOFError, RuntimeError,
               pickle.UnpicklingError, safetensors.SafetensorError)  # fmt: skip
"""Raised by reading a file that is no checkpoint."""


def load_state(run: Path) -> dict[str, Any]:
    """The state in a run's last checkpoint. Raises `WeightsError` if it cannot be read."""
    try:
        state = torch.load(run / LAST, map_location="cpu", weights_only=True)[STATE]
    except _UNREADABLE as error:
        raise WeightsError(
            f"{run / LAST} cannot be read ({error}); --overwrite starts again"
        ) from error
    return dict(state)


def load_lists(run: Path) -> dict[str, list[list[str]]]:
    """A run's lists of pictures by use, see `TrainingData`; empty if it saved none."""
    try:
        found = json.loads((run / DATA).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def start_from(network: nn.Module, start: str) -> None:
    """Load the weights of a run or a model into the network. Raises `WeightsError`.

    The tail keeps its own initialisation if its factor differs, and so do 1×1 branches that were
    folded away.
    """
    own, begin = network.state_dict(), load_start(start)
    kept = {
        key: value
        for key, value in own.items()
        if (key.startswith("tail.") and key in begin and begin[key].shape != value.shape)
        or (key.endswith(".point") and key not in begin)
    }
    try:
        network.load_state_dict({**begin, **kept})
    except RuntimeError as error:
        raise WeightsError(f"model.start {start} does not fit the network: {error}") from error


def load_start(start: str) -> dict[str, Tensor]:
    """The parameters behind `model.start`: the network (not its average) of another run's
    checkpoint, an enlarge `.safetensors` file, or a model by name. Raises `WeightsError`.
    """
    path = start_file(start)
    if not path.is_file():
        raise WeightsError(f"model.start {path}: no such file; train that model first")
    kind = model_kind(path)
    if kind in ("onnx", "ncnn"):
        what = "an ONNX file" if kind == "onnx" else "a model of ncnn"
        raise WeightsError(f"model.start {path} is {what}; give the checkpoint it was made of")
    try:
        if kind == "safetensors":
            return safetensors.torch.load_file(path)
        return network_of(path, "network")
    except _UNREADABLE as error:
        raise WeightsError(
            f"model.start {path} cannot be read ({error}); expected last.ckpt or best.ckpt of a "
            "run, or a .safetensors file of enlarge"
        ) from error


def start_file(start: str) -> Path:
    """The file behind `model.start`: the path itself, or that of the model of this name."""
    named = Path(start).suffix == "" and not Path(start).exists()
    return find_weights(start).path.with_suffix(".safetensors") if named else Path(start)


def network_of(checkpoint: Path, which: str) -> dict[str, Tensor]:
    """The parameters in a run's checkpoint; `which`: network (being trained) or average (EMA)."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {
        key.removeprefix(f"{which}."): value
        for key, value in state.items()
        if key.startswith(f"{which}.")
    }
