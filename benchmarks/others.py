"""Other people's networks, to compare with: spandrel's, without torchvision."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

FUNCTIONS = "torchvision.transforms.functional"


def spandrel_architecture(name: str) -> Any:
    """The module of one of spandrel's architectures (`pip install --no-deps spandrel einops`).

    Two of spandrel's forty networks take a function from torchvision, and all are imported with
    each. torchvision's wheels do not fit the CPU build of torch, so where it is not installed names
    stand in for it while spandrel is imported, and are taken away again: nothing else sees them.
    Raises ImportError where spandrel is not there.
    """
    with warnings.catch_warnings(), _torchvision():
        warnings.simplefilter("ignore")
        importlib.import_module("spandrel")
        return importlib.import_module(f"spandrel.architectures.{name}")


def swinir_light(layers: int = 6, groups: int = 4) -> Any:
    """SwinIR-light ×4 of spandrel, in eval mode; `layers` and `groups` as published, or fewer."""
    return (
        spandrel_architecture("SwinIR")
        .SwinIR(
            embed_dim=60,
            depths=[layers] * groups,
            num_heads=[6] * groups,
            window_size=8,
            mlp_ratio=2.0,
            upscale=4,
            upsampler="pixelshuffledirect",
        )
        .eval()
    )


class _InterpolationMode(Enum):
    NEAREST, BILINEAR, BICUBIC = "nearest", "bilinear", "bicubic"


@contextmanager
def _torchvision() -> Iterator[None]:
    if "spandrel" in sys.modules or find_spec("torchvision") is not None:
        yield
        return
    for name in [name for name in sys.modules if name.startswith("spandrel.")]:
        del sys.modules[name]  # what an import without torchvision left behind
    names = ("torchvision", "torchvision.transforms", FUNCTIONS)
    for name in names:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, is_package=name != FUNCTIONS)
        module.__path__ = []
        sys.modules[name] = module
    functions: Any = sys.modules[FUNCTIONS]
    functions.InterpolationMode = _InterpolationMode
    functions.rotate = functions.normalize = _missing
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _missing(*arguments: Any, **options: Any) -> Any:
    raise NotImplementedError("this network needs torchvision, which is not installed")
