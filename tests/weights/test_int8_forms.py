"""The 8-bit forms of bundled models hold what their cards say, also on processors without VNNI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from benchmarks.int8 import CAPS
from experiments.int8.graph import Steps, quantized
from experiments.int8.quantize import FLOATING
from onnx import TensorProto, helper, numpy_helper

import enlarge.weights
from enlarge.card import read_card
from enlarge.digests import file_digest

FORMS = sorted((Path(enlarge.weights.__file__).parent / "data").glob("*.int8.onnx"))
PAIR = 2**15 - 1
"""The largest sum of two products that vpmaddubsw can hold."""

forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


def exact_of(form: Path) -> Path:
    return form.with_name(form.name.replace(".int8", ""))


def kernels(model: onnx.ModelProto) -> list[np.ndarray]:
    """The 8-bit weights, (O, I, h, w)."""
    stored = [c for c in model.graph.initializer if c.data_type == TensorProto.INT8]
    return [numpy_helper.to_array(c) for c in stored if len(c.dims) == 4]


@forms
def test_a_form_belongs_to_its_model(form: Path) -> None:
    card, exact = read_card(form), read_card(exact_of(form))
    assert card is not None
    assert exact is not None
    assert card.int8["of"] == file_digest(exact_of(form))
    assert (card.name, card.precisions) == (exact.name, ("int8",))
    assert (card.network, card.scale, card.margin) == (exact.network, exact.scale, exact.margin)
    assert form.stat().st_size <= 1_000_000


@forms
def test_its_convolutions_are_in_8_bits_and_cannot_saturate(form: Path) -> None:
    model = onnx.load(form)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    found = kernels(model)
    assert len(found) == len(convolutions) - len(FLOATING) >= 8
    assert max(2 * 255 * int(np.abs(kernel).max()) for kernel in found) <= PAIR


@forms
def test_its_card_tells_what_it_loses(form: Path) -> None:
    card = read_card(form)
    assert card is not None
    assert card.int8["isa"] == "AVX2"
    assert max(card.int8["valid"], card.int8["detail"]) <= 0.02
    assert max(card.int8["flat"], card.int8["gradient"]) <= 1
    assert {"colour", "drawing"} < card.int8.keys()


@forms
@pytest.mark.usefixtures("data")
def test_it_holds_what_its_card_promises(form: Path) -> None:
    card = read_card(form)
    assert card is not None
    line = [sys.executable, "-m", "benchmarks.int8", str(exact_of(form)), "--try", "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    for key in ("flat", "colour", "gradient"):
        assert found[key] <= card.int8[key]
    assert found["drawing"] == pytest.approx(card.int8["drawing"], abs=0.02)
    for key in ("valid", "detail"):  # of few pictures
        assert found[key] <= card.int8[key] + 0.03


def test_the_largest_weights_and_activations_do_not_saturate(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weight = (63 * random.choice([-1, 1], (16, 32, 3, 3))).astype(np.int8)
    weight[0] = 63
    image = (255 * random.integers(0, 2, (1, 32, 9, 11))).astype(np.uint8)
    image[:, :, :5] = 255
    path = tmp_path / "one.onnx"
    steps = Steps(
        np.ones(32, np.float32), 0, weight, np.ones(16, np.float32), np.zeros(16, np.float32)
    )
    onnx.save(quantized(convolution(weight.shape), {"conv": steps}), path)
    windows = np.lib.stride_tricks.sliding_window_view(image[0].astype(int), (3, 3), axis=(1, 2))
    wanted = np.einsum("iyxhw,oihw->oyx", windows, weight.astype(int))
    np.save(tmp_path / "image.npy", image.astype(np.float32))
    code = (
        "import sys, numpy as np; from pathlib import Path; "
        "from enlarge.weights.runner import Runner; "
        "np.save('result.npy', Runner(Path('one.onnx')).raw(np.load('image.npy')))"
    )
    capped = {**os.environ, **dict.fromkeys(CAPS, "AVX2")}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=capped, check=True)
    found = np.load(tmp_path / "result.npy")[0]
    assert wanted.max() == 32 * 9 * 255 * 63
    np.testing.assert_array_equal(found, wanted)


def convolution(shape: tuple[int, ...]) -> onnx.ModelProto:
    """An ONNX file of one convolution without padding."""
    sides = ["N", shape[1], "H", "W"], ["N", shape[0], "h", "w"]
    image, result = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, side)
        for name, side in zip(("image", "result"), sides, strict=True)
    )
    constants = [
        numpy_helper.from_array(np.zeros(shape, np.float32), "conv.weight"),
        numpy_helper.from_array(np.zeros(shape[0], np.float32), "conv.bias"),
    ]
    node = helper.make_node("Conv", ["image", "conv.weight", "conv.bias"], ["result"])
    graph = helper.make_graph([node], "one", [image], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
