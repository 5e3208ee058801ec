"""Other people's networks, to compare with: spandrel's."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from enlarge.weights.spandrel_networks import import_spandrel


def spandrel_architecture(name: str) -> Any:
    """The module of one of spandrel's architectures (`pip install --no-deps spandrel einops`).

    Raises ImportError where spandrel is not there.
    """
    import_spandrel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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
