"""A network's file, run on pictures of every size that it takes, to look at it and to measure it.

Pictures are (1, 3, H, W), float32, RGB in [0, 1].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from enlarge.engines.openvino_errors import FAILURES, reason_of
from enlarge.errors import WeightsError
from enlarge.forks import check_can_use

Picture = NDArray[np.float32]


class Network(Protocol):
    """A network that runs in f32 on pictures of every size that it takes."""

    def __call__(self, image: Picture) -> Picture:
        """(1, 3, H, W) → (1, 3, scale·H, scale·W), not clamped. Raises `WeightsError`."""

    def in_bf16(self) -> Network | None:
        """The same in bf16; None if the processor or its engine has no bf16."""


class Runner:
    """An ONNX file in OpenVINO on the CPU, for pictures of every size that its graph takes. It is
    compiled for all sizes at once, where OpenVINO can do that, since compiling takes longer than
    running.

    `graph`: what is run in the place of the file's own. Raises `WeightsError` if OpenVINO cannot
    read it, or cannot run it at that size.
    """

    def __init__(self, model: Path, precision: str = "f32", graph: Any = None) -> None:
        from enlarge.engines.openvino import core

        check_can_use("engines", f"{model}: preparing a model")
        self._source, self._precision = model, precision
        self._core = core()
        self._compiled: dict[tuple[int, ...] | None, Any] = {}
        try:
            self.graph = self._core.read_model(model) if graph is None else graph
        except FAILURES as error:
            raise WeightsError(f"{model}: OpenVINO cannot read it: {reason_of(error)}") from error
        self._takes_all = bool(self.graph.is_dynamic())

    def __call__(self, image: Picture) -> Picture:
        """(1, 3, H, W) → (1, 3, scale·H, scale·W), not clamped."""
        return self.raw(image)

    def in_bf16(self) -> Runner | None:
        """See `Network.in_bf16`."""
        from enlarge.engines.openvino import has_bf16

        return Runner(self._source, "bf16", self.graph) if has_bf16() else None

    def raw(self, image: NDArray[Any]) -> Picture:
        """The graph's output for an input of its own layout and range; types are converted."""
        if self._takes_all:
            try:
                return self._run(image, None)
            except FAILURES:  # at this size, or at all sizes at once: known below
                self._takes_all = False
        try:
            return self._run(image, image.shape)
        except FAILURES as error:
            what = f"does not run at {list(image.shape)}: {reason_of(error)}"
            raise WeightsError(f"{self._source}: {what}") from error

    def _run(self, image: NDArray[Any], shape: tuple[int, ...] | None) -> Picture:
        """The output of the graph, compiled for that shape (None: for all that it takes)."""
        if shape not in self._compiled:
            graph = self.graph
            if shape is not None:
                graph = self.graph.clone()
                graph.reshape(list(shape))
            while len(self._compiled) > 1:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[shape] = self._core.compile_model(
                graph, "CPU", {"INFERENCE_PRECISION_HINT": self._precision}
            )
        compiled = self._compiled[shape]
        kind = compiled.input(0).get_element_type().to_dtype()
        return np.array(compiled([image.astype(kind)])[0], np.float32)
