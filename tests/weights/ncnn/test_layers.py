"""Each layer against what ncnn itself computed (see `cases`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enlarge.engines.openvino import core
from enlarge.weights.ncnn.layers import INPUT, LAYERS
from enlarge.weights.ncnn.nodes import Blob, Step
from enlarge.weights.ncnn.param import read_layers
from enlarge.weights.ncnn.weights import WeightFile
from enlarge.weights.onnx_writing import Graph
from tests.weights.ncnn.cases import CASES, EXPECTED, Case


@cache
def expected() -> dict[str, Any]:
    with np.load(EXPECTED) as stored:
        return dict(stored)


def computed(case: Case, folder: Path) -> list[Any]:
    """The layer in OpenVINO. The first input has free sides if it has three axes; the others are
    constants.
    """
    (folder / "m.param").write_text(case.param(), encoding="utf-8")
    (folder / "m.bin").write_bytes(case.content())
    layer = next(one for one in read_layers(folder / "m.param") if one.kind != INPUT)
    weights, graph, arrays = WeightFile(folder / "m.bin"), Graph(), case.arrays()
    blobs = [Blob(graph.floats(array[None]), array.shape) for array in arrays]
    is_free = bool(arrays) and arrays[0].ndim == 3 and not case.values.startswith("0=63")
    if is_free:
        blobs[0] = Blob("image", (arrays[0].shape[0], None, None))
    made = LAYERS[case.kind](Step(layer, blobs, graph, weights))
    weights.check_end()
    results = []
    for number, blob in enumerate(made if isinstance(made, list) else [made]):
        channels = arrays[0].shape[0] if is_free else 3
        path = folder / f"{number}.onnx"
        graph.rename(blob.name, f"result{number}")
        graph.write(path, "image", f"result{number}", channels)
        model = core().read_model(path)
        given = arrays[0][None] if is_free else np.zeros((1, 3, 4, 4), np.float32)
        compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        result = np.array(compiled([given])[0])
        known = [one == side for one, side in zip(blob.shape, result.shape[1:], strict=True)
                 if one is not None]  # fmt: skip
        assert all(known), (blob.shape, result.shape)
        results.append(result[0])
    return results


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_layer_computes_what_ncnn_computes(case: Case, tmp_path: Path) -> None:
    for number, result in enumerate(computed(case, tmp_path)):
        wanted = expected()[f"{case.name} -> {number}"]
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result, wanted, rtol=2e-4, atol=2e-5)


def test_every_layer_has_a_case() -> None:
    assert {case.kind for case in CASES} | {"Cast", "Packing"} == set(LAYERS)
