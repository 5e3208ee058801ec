"""Weight files: their kinds, and a file together with its card."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enlarge.card import Card
from enlarge.errors import WeightsError

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
"""Extensions of torch checkpoints. A file's content decides what it is (see `contents`)."""
KINDS = (".onnx", ".safetensors", *PICKLES)
"""Extensions of files that hold models."""


@dataclass(frozen=True)
class Weights:
    """A model file and its card.

    `source`: the checkpoint that the file was converted from, if it was. `network`: the network in
    torch of a checkpoint that is not converted yet, which is then `path` itself.
    """

    path: Path
    card: Card
    source: Path | None = None
    network: Any = field(default=None, repr=False, compare=False)


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
