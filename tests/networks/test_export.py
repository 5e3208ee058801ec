"""One ONNX file of a network serves every size that is a multiple of `multiple`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from enlarge.weights.network_file import describe_network
from enlarge.weights.onnx_file import export_onnx
from tests.networks.tiny import TINY, picture, tiny

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def export(network: nn.Module, path: Path) -> Any:
    """Write the network with free sides, as everything here does, and return what was written."""
    card = describe_network(network, name="x", architecture="x", options={})
    export_onnx(network, card, path)
    return onnx.load(path)


def run(path: Path, image: torch.Tensor) -> np.ndarray[Any, Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (enlarged,) = session.run(None, {"image": image.numpy()})
    assert isinstance(enlarged, np.ndarray)
    return enlarged


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in TINY),
    ("rrdb", {"scale": 2}),
    ("swinir", {"upsampler": "nearest+conv", "connection": "3conv"}),
    ("edswin", {"arrangement": "parallel", "window": 8, "tail_features": 4}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_file_serves_every_size(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    network = tiny(name, **options)
    model = export(network, tmp_path / "model.onnx")
    multiple = getattr(network, "multiple", 1)
    if multiple > 1:  # such sizes only: who runs the file pads
        assert "Pad" not in {node.op_type for node in model.graph.node}
    for rows, columns in ((3, 4), (5, 2), (1, 1), (1, 3), (2, 1)):
        image = picture(multiple * rows, multiple * columns)
        with torch.no_grad():
            wanted = network(image).numpy()
        np.testing.assert_allclose(run(tmp_path / "model.onnx", image), wanted, rtol=0, atol=1e-4)


def test_biases_and_norms_of_attention(tmp_path: Path) -> None:
    """Which a new network does not have."""
    network = tiny("edswin", arrangement="alternating")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.normal_()
    export(network, tmp_path / "model.onnx")
    image = picture(12, 20)
    with torch.no_grad():
        wanted = network(image).numpy()
    np.testing.assert_allclose(run(tmp_path / "model.onnx", image), wanted, rtol=0, atol=1e-4)


def test_position_biases_are_stored_as_tables(tmp_path: Path) -> None:
    heads, pixels = 4, 8 * 8
    network = tiny("swinir", window=8, depths=(4,), heads=(heads,))
    model = export(network, tmp_path / "model.onnx")
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    assert max(sizes.values()) < heads * pixels * pixels, "a bias of (heads, N, N) is in the file"
    assert sum(size == heads * 15 * 15 for size in sizes.values()) == 4
