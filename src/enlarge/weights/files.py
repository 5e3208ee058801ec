"""Weight files: their kinds, and a file together with its card."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from enlarge.card import Card
from enlarge.errors import WeightsError

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
"""Extensions of torch checkpoints."""
KINDS = (".onnx", ".safetensors", *PICKLES)
"""Extensions of files that hold models."""


@dataclass(frozen=True)
class Weights:
    """A model file and its card."""

    path: Path
    card: Card


def check_kind(path: Path) -> None:
    """Raise `WeightsError` if there is no such file, or its extension is not one of `KINDS`."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if path.suffix.lower() not in KINDS:
        raise WeightsError(
            f"{path}: expected a model ({', '.join(KINDS)}), got {path.suffix or 'no extension'}"
        )


@contextlib.contextmanager
def needing_torch(path: Path) -> Iterator[None]:
    """Turn a failed import of another package into a `WeightsError` that says how to install it."""
    try:
        yield
    except ImportError as error:
        if (error.name or "enlarge").partition(".")[0] == "enlarge":
            raise
        raise WeightsError(
            f"{path}: opening a checkpoint needs {error.name}; install it: "
            'pip install "enlarge[torch]"'
        ) from error
