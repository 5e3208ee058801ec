"""The models at hand: those in the wheel, those in ENLARGE_MODELS, and any file by its path."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from enlarge.errors import WeightsError
from enlarge.weights.card import Card
from enlarge.weights.files import read_card

DEFAULT = "fast"
_BUNDLED = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Weights:
    """A model file and its card."""

    path: Path
    card: Card


def list_weights() -> list[Weights]:
    """Every model that can be called by name: bundled ones first, then those of ENLARGE_MODELS."""
    folders = [_BUNDLED]
    if own := os.environ.get("ENLARGE_MODELS"):
        folders.append(Path(own))
    found: dict[str, Weights] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.onnx")):
            try:
                card = read_card(path)
            except WeightsError as error:  # one broken file hides itself, not the others
                warnings.warn(str(error), RuntimeWarning, stacklevel=2)
                continue
            if card is not None:
                found.setdefault(path.stem, Weights(path, card))
    return list(found.values())


def find_weights(model: str | Path, scale: float | None = None) -> Weights:
    """A model by name or by path. Where `scale` is at most 2, `NAME-x2` is taken if it exists.

    Raises `WeightsError` for an unknown name, a missing file, or one that carries no card.
    """
    name = str(model)
    known = {weights.path.stem: weights for weights in list_weights()}
    if name not in known and (os.sep in name or "/" in name or Path(name).suffix):
        return _by_path(Path(name))
    if scale is not None and 1 < scale <= 2 and f"{name}-x2" in known:
        return known[f"{name}-x2"]
    if name not in known:
        raise WeightsError(
            f"unknown model {name!r}; there are: {', '.join(known)}. "
            "A file is given by its path, for example ./model.onnx"
        )
    return known[name]


def _by_path(path: Path) -> Weights:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if path.suffix.lower() != ".onnx":
        raise WeightsError(
            f"{path}: expected an .onnx file as `enlarge train` writes it, got {path.suffix}"
        )
    card = read_card(path)
    if card is None:
        raise WeightsError(f"{path}: carries no enlarge card; expected one in its metadata")
    return Weights(path, card)
