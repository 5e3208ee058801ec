"""The protocol that every engine keeps, and the one function that picks an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import EngineError, OptionError
from enlarge.weights.card import Card

EngineName = Literal["auto", "openvino"]
Precision = Literal["auto", "f32", "bf16"]


class Session(Protocol):
    """A network compiled for tiles of one shape and one kind of pixel."""

    def __call__(self, tile: NDArray[Any]) -> NDArray[Any]:
        """Enlarge a tile (h, w, channels) of the session's input type.

        Returns (h·scale, w·scale, channels) of the session's output type: integers rounded half to
        even over their whole range, floats clamped to [0, 1]. The array is the session's own and
        valid until the next call.
        """


class Engine(Protocol):
    """One model in one engine, at one precision."""

    name: str
    precision: str

    def session(
        self, width: int, height: int, channels: int, source: np.dtype[Any], target: np.dtype[Any]
    ) -> Session:
        """Compile for tiles of `height` × `width` pixels.

        `channels` is 3 (RGB), or 1: the network then sees R = G = B, and its three outputs are
        averaged. `source` is uint8, uint16 or float32 in [0, 1]; `target` is the same type, or
        float32. Raises `EngineMemoryError` where the shape does not fit, `EngineError` otherwise.
        """


def pick_engine(
    model: Path,
    card: Card,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    deep: bool = False,
) -> Engine:
    """The engine for this model on this machine.

    `precision` auto: bf16 where the processor computes in it and the card says that the model's
    scores hold in it, else f32; always f32 for `deep` pictures (16 bits or float), since bf16 has
    8 significant bits. `threads` 0: all cores. Raises `OptionError` for an impossible wish.
    """
    if engine not in ("auto", "openvino"):
        raise OptionError(f"unknown engine {engine!r}; there is: auto, openvino")
    if threads < 0:
        raise OptionError(f"threads must be 0 (all cores) or more, got {threads}")
    if precision not in ("auto", "f32", "bf16"):
        raise OptionError(f"unknown precision {precision!r}; there are: auto, f32, bf16")
    try:
        from enlarge.engines.openvino import OpenVinoEngine, has_bf16
    except ImportError as error:
        raise EngineError(
            f"OpenVINO cannot be imported ({error}); install it: pip install openvino"
        ) from error
    if precision == "auto":
        precision = "bf16" if not deep and "bf16" in card.precisions and has_bf16() else "f32"
    return OpenVinoEngine(model, card.scale, precision, threads)
