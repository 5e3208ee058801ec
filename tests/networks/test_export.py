"""One ONNX file of a network serves every size that is a multiple of `multiple`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks.tiny import TINY, picture, tiny

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
optimizer = pytest.importorskip("onnxscript.optimizer")


def export(network: nn.Module, path: Path) -> Any:
    """Write the network with free sides, and return what was written.

    Folding of constants is held below the size of a bias table: the position biases must stay
    tables in the file.
    """
    multiple = getattr(network, "multiple", 1)
    sides = {
        axis: multiple * torch.export.Dim(name) if multiple > 1 else torch.export.Dim(name)
        for axis, name in ((2, "rows"), (3, "columns"))
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (picture(3 * multiple + (multiple == 1) * 6, 4 * multiple + (multiple == 1) * 6),),
            dynamo=True,
            dynamic_shapes=(sides,),
            input_names=["image"],
            output_names=["enlarged"],
            opset_version=18,
            optimize=False,
            verbose=False,
        )
        assert program is not None
        optimizer.optimize_ir(program.model, input_size_limit=32)
        for node in program.model.graph:
            node.metadata_props.clear()
        program.save(path)
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


def test_position_biases_are_stored_as_tables(tmp_path: Path) -> None:
    heads, pixels = 4, 8 * 8
    network = tiny("swinir", window=8, depths=(4,), heads=(heads,))
    model = export(network, tmp_path / "model.onnx")
    sizes = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    assert max(sizes.values()) < heads * pixels * pixels, "a bias of (heads, N, N) is in the file"
    assert sum(size == heads * 15 * 15 for size in sizes.values()) == 4
