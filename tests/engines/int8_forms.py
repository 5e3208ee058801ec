"""A tiny model with an 8-bit form whose results tell which of the two files was run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from enlarge.card import KEY, Card
from enlarge.digests import file_digest

GOOD = {
    **{"isa": "AVX2", "valid": 0.02, "detail": 0.004},
    **{"flat": 1.0, "gradient": 1.0, "drawing": 1.0},
}
"""What a form loses that may just be chosen automatically."""
EXACT, FORM = 1.0, 0.5
"""By what the model, and its form, multiply a picture."""
TILES = {16: 3_000_000, 32: 4_000_000}
"""The working sets of the model; the form's are half."""


def write_pair(folder: Path, name: str = "m", **about: Any) -> Path:
    """Write the model and its form. `about` replaces entries of the form's `int8`; None leaves one
    out. Returns the model's file.
    """
    card = Card(name, "onnx", {}, 1, 0, 0, tiles=TILES, precisions=("f32", "bf16"))
    path = _write(folder / f"{name}.onnx", EXACT, card)
    lost = {"of": file_digest(path)} | GOOD | about
    form = replace(
        card,
        tiles={side: size // 2 for side, size in TILES.items()},
        precisions=("int8",),
        int8={key: value for key, value in lost.items() if value is not None},
    )
    _write(folder / f"{name}.int8.onnx", FORM, form)
    return path


def _write(path: Path, gain: float, card: Card) -> Path:
    """A ×1 network that multiplies pixels by `gain`."""
    sides = (1, 3, "height", "width")
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[range(3), range(3)] = gain
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "kernel"], ["enlarged"])],
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("enlarged", TensorProto.FLOAT, sides)],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=9)
    model.metadata_props.add(key=KEY, value=card.to_json())
    onnx.save(model, path)
    return path
