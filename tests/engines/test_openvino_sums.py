"""Between convolutions and attention OpenVINO copies no features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from enlarge.engines import TileSpec
from enlarge.engines.openvino import OpenVinoEngine, core
from enlarge.engines.openvino_sums import set_sums_apart
from enlarge.weights.catalog import find_weights

SIDE, FEATURES = 72, 64


@pytest.mark.parametrize("model", ["quality", "photo"])
def test_no_features_are_copied_between_convolutions_and_attention(model: str) -> None:
    kind = np.dtype(np.uint8)
    engine = OpenVinoEngine(find_weights(model).path, "f32", 0)
    graph = engine._graph(TileSpec(SIDE, SIDE, 3, kind, kind), checked=False)
    compiled = engine._compile(graph, "f32")
    nodes = compiled.get_runtime_model().get_ordered_ops()
    kinds = {node.get_rt_info()["primitiveType"].astype(str) for node in nodes}
    if not any(kind.startswith("brgconv") for kind in kinds):
        pytest.skip("convolutions on this processor do not have their channels last")
    copies = []
    for node in nodes:
        layer = node.get_rt_info()["layerType"].astype(str)
        name = node.get_friendly_name()  # OpenVINO calls those fake that do nothing
        if layer not in ("Transpose", "Reorder") or name.endswith("_fake"):
            continue
        shape = list(node.get_output_shape(0))
        if sorted(shape) == sorted([1, FEATURES, SIDE, SIDE]):
            copies.append(f"{layer} {name} {shape}")
    assert not copies


def skipping(path: Path, peak: float) -> ov.Model:
    """A 1×1 convolution that multiplies by `peak`, plus the image, as tokens."""
    weights = [
        numpy_helper.from_array(np.eye(3, dtype=np.float32)[:, :, None, None] * peak, "kernel"),
        numpy_helper.from_array(np.array([0.0, 0.25, 0.5], np.float32), "bias"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "kernel", "bias"], ["large"]),
        helper.make_node("Add", ["image", "large"], ["sum"]),
        helper.make_node("Transpose", ["sum"], ["tokens"], perm=[0, 2, 3, 1]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 2, 2))
    tokens = helper.make_tensor_value_info("tokens", TensorProto.FLOAT, (1, 2, 2, 3))
    graph = helper.make_graph(nodes, "test", [image], [tokens], weights)
    opset = helper.make_opsetid("", 18)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return core().read_model(path)


def test_numbers_stay_what_they_are(tmp_path: Path) -> None:
    network = skipping(tmp_path / "m.onnx", 3e38)
    set_sums_apart(network)
    assert [node.get_type_name() for node in network.get_ops()].count("Clamp") == 1
    request = core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    image = np.array([[[[0.0, 1.0], [-1.0, 2.0]]] * 3], np.float32)
    (got,) = request([image]).values()
    with np.errstate(over="ignore"):
        large = image * np.float32(3e38) + np.array([0, 0.25, 0.5], np.float32)[:, None, None]
    assert np.isinf(large).any()
    assert np.array_equal(got, (image + large).transpose(0, 2, 3, 1))
