"""The interface of all engines."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

EngineName = Literal["auto", "openvino", "onnxruntime", "torch", "ncnn"]
Precision = Literal["auto", "f32", "bf16", "f16", "int8"]

LEVELS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
"""The dtypes of pixels, and the value that stands for 1.0 in each."""

FOREIGN_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError),
    *(TypeError, ValueError),
)
"""What the code of other projects' networks raises at options or sizes that it does not expect."""


@dataclass(frozen=True)
class TileSpec:
    """The tiles that a session takes, and the pixels that it returns.

    `width` and `height` are in input pixels. `channels` is 3 (RGB), or 1: the network then sees
    R = G = B, and its three outputs are averaged. `source`, the dtype of the input, is uint8,
    uint16 or float32 in [0, 1]; `target`, that of the output, is the same or float32. Results are
    clamped to [0, 1]; where `target` is float32, `clamped` may be False.
    """

    width: int
    height: int
    channels: int
    source: np.dtype[Any]
    target: np.dtype[Any]
    clamped: bool = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels), the shape of an input array."""
        return self.height, self.width, self.channels


class Session(Protocol):
    """A network compiled for tiles of one `TileSpec`. For one thread at a time: each thread gets a
    session of its own.
    """

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """Enlarge a tile (height, width, channels) of dtype `source`.

        Returns (height·scale, width·scale, channels) of dtype `target`; integers are rounded half
        to even and use their full range. The array belongs to the session and is valid until the
        next call. If the result is not finite in a precision below f32, the tile is computed again
        in f32, with one warning per engine. Raises `EngineMemoryError` or `EngineError`.
        """


class Engine(Protocol):
    """One model in one engine, on one device, at one precision. Threads may share it.

    `memory_factor`: the host memory that a tile takes, divided by the working set on the model's
    card, which is measured in OpenVINO.
    """

    name: str
    device: str
    precision: str
    memory_factor: float

    def session(self, spec: TileSpec) -> Session:
        """Compile the network for such tiles; the last few compiled networks are cached.

        Raises `EngineMemoryError` if they do not fit the device's memory, otherwise `EngineError`.
        """

    def forget(self) -> bool:
        """Free the compiled networks in the cache. Returns whether there were any."""


def first_line(error: Exception) -> str:
    """The first line of an error's message that is not empty."""
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), "no reason given"
    )


def warn_of_overflow(precision: str) -> None:
    """Warn that a tile had to be computed again."""
    warnings.warn(
        f"a tile overflowed in {precision} and was repeated in f32; "
        "use --precision f32 to avoid that",
        RuntimeWarning,
        stacklevel=4,
    )
