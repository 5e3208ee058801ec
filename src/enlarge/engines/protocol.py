"""The protocol that every engine keeps."""

from __future__ import annotations

import warnings
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

EngineName = Literal["auto", "openvino", "onnxruntime", "torch"]
Precision = Literal["auto", "f32", "bf16", "f16", "int8"]

LEVELS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""The kinds of pixels that sessions take and give, and what stands for 1 in each."""


class Session(Protocol):
    """A network ready for tiles of one shape and one kind of pixel. For one thread at a time; each
    thread gets a session of its own.
    """

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """Enlarge a tile (h, w, channels) of the session's input type.

        Returns (h·scale, w·scale, channels) of the session's output type: integers rounded half to
        even over their whole range, floats clamped to [0, 1] unless asked for as they are. The
        array is the session's own and valid until the next call. A tile that comes out non-finite
        in less than f32 is repeated in f32, which is said once. Raises `EngineMemoryError` or
        `EngineError`.
        """


class Engine(Protocol):
    """One model in one engine, on one device, at one precision. Threads may share it.

    `appetite`: the process's memory that a tile takes, by the card's working set of that tile,
    which is OpenVINO's.
    """

    name: str
    device: str
    precision: str
    appetite: float

    def session(
        self,
        width: int,
        height: int,
        channels: int,
        source: np.dtype[Any],
        target: np.dtype[Any],
        *,
        clamped: bool = True,
    ) -> Session:
        """Prepare for tiles of `height` × `width` pixels. What is costly is kept for the next call
        that asks for the same.

        `channels` is 3 (RGB), or 1: the network then sees R = G = B, and its three outputs are
        averaged. `source` is uint8, uint16 or float32 in [0, 1]; `target` is the same type, or
        float32. `clamped` may be False where `target` is float32: the values as the network gives
        them. Raises `EngineMemoryError` where the shape does not fit, `EngineError` otherwise.
        """

    def forget(self) -> bool:
        """Let go of what is kept in the process's memory; returns whether there was anything."""


def first_line(error: Exception) -> str:
    """The first line of an error's message that says something."""
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), "no reason given"
    )


def warn_of_overflow(precision: str) -> None:
    """Say that a tile had to be repeated."""
    warnings.warn(
        f"a tile overflowed in {precision} and was repeated in f32; "
        "--precision f32 avoids the detour",
        RuntimeWarning,
        stacklevel=4,
    )
