"""Model files: their kinds, and what opening them needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from enlarge.errors import WeightsError

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
"""Extensions of torch checkpoints. A file's content decides what it is (see `contents`)."""
KINDS = (".onnx", ".safetensors", ".param", *PICKLES)
"""Extensions of files that hold models."""


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
