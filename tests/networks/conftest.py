"""Other people's networks, for comparison."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

Architecture = Callable[[str], Any]


@pytest.fixture(scope="session")
def spandrel() -> Iterator[Architecture]:
    """The module of one of spandrel's architectures, by name; skips where it cannot be imported.

    spandrel imports torchvision, whose compiled operators the CPU build lacks here: the two that
    it registers are declared first.
    """
    library: Any = None
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

    def architecture(name: str) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return importlib.import_module(f"spandrel.architectures.{name}")
        except Exception as error:
            pytest.skip(f"spandrel 0.4.2 and torchvision are needed to compare with: {error}")

    yield architecture
    del library
