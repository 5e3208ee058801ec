"""ONNX files as others export them: layouts, batches, luma, further inputs, sizes; and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import enlarge
from enlarge.errors import WeightsError
from enlarge.media.resample import imresize
from enlarge.weights.conventions import plain_file
from enlarge.weights.graphs import describe_graph, multiple_and_scale
from enlarge.weights.measuring import natural_picture
from enlarge.weights.preparing import describe_file
from enlarge.weights.runner import Runner

FLOAT, HALF, WHOLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64


def node(kind: str, *names: str, **attributes: Any) -> Any:
    """A node: its inputs, and last its output."""
    return helper.make_node(kind, list(names[:-1]), [names[-1]], **attributes)


def repeat(source: str, target: str, scales: str = "scales") -> Any:
    """Repeat pixels, as the constant `scales` says."""
    return node(
        "Resize", source, "", scales, target, mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


def save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, tuple[int, tuple[Any, ...]]],
    outputs: tuple[str, ...] = ("out",),
    kind: int = FLOAT,
    **tensors: Any,
) -> Path:
    constants = {"scales": np.array([1, 1, 2, 2], np.float32), **tensors}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, *facts) for name, facts in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def converted(path: Path, folder: Path) -> tuple[Runner, str]:
    """The file as it is run, and what is said about it."""
    model, note = plain_file(path, folder)
    if note:
        onnx.checker.check_model(model)
    return Runner(model), note


IMAGE = natural_picture(64)[:, :, :48, :60]
TWICE = IMAGE.repeat(2, 2).repeat(2, 3)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((3, "h", "w"), "takes f32, 0 to 1, no batch axis; returns 0 to 1"),
        (("h", "w", 3), "takes f32, 0 to 1, channels last, no batch axis"),
        ((4, 3, "h", "w"), "takes f32, 0 to 1, 4 pictures at a time; returns 0 to 1"),
        ((2, "h", "w", 3), "channels last, 2 pictures at a time"),
        (("n", 3, "h", "w"), ""),
        (("n", "c", "h", "w"), ""),
    ],
)
def test_axes(tmp_path: Path, out: Path, shape: tuple[Any, ...], said: str) -> None:
    last = shape[-1] == 3
    scales = [1.0] * len(shape)
    scales[-3 + (not last) : -1 if last else None] = [2.0, 2.0]
    path = save(
        tmp_path / "m.onnx", [repeat("x", "out")], {"x": (FLOAT, shape)},
        scales=np.array(scales, np.float32),
    )  # fmt: skip
    run, note = converted(path, out)
    assert said in note
    assert bool(said) == bool(note)
    np.testing.assert_allclose(run(IMAGE), TWICE, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "top", "kind"),
    [
        ((1, 1, "h", "w"), 1.0, FLOAT), ((1, 1, "h", "w"), 255.0, FLOAT),
        ((1, 1, "h", "w"), 1.0, HALF), ((1, "h", "w", 1), 1.0, FLOAT),
        ((1, "h", "w", 1), 255.0, FLOAT), ((1, 1, 48, 48), 1.0, FLOAT), (("h", "w", 1), 1.0, FLOAT),
    ],
)  # fmt: skip
def test_one_channel_is_luma(
    tmp_path: Path, out: Path, shape: tuple[Any, ...], top: float, kind: int
) -> None:
    scales = np.array([1, 2, 2, 1] if shape[-1] == 1 else [1, 1, 2, 2], np.float32)
    scales = scales[-len(shape) :]
    nodes = [node("Cast", "x", "f", to=FLOAT), node("Clip", "f", "low", "high", "c")]
    nodes += [node("Mul", "c", "gain", "s"), repeat("s", "r"), node("Cast", "r", "out", to=kind)]
    path = save(
        tmp_path / "m.onnx", nodes, {"x": (kind, shape)}, kind=kind, scales=scales,
        low=np.float32(0), high=np.float32(top), gain=np.float32(255 / top),
    )  # fmt: skip
    run, note = converted(path, out)
    assert "luma" in note
    assert f"returns 0 to {255 if top == 1 else 1}" in note
    image = IMAGE[:, :, :48, :48]
    red, green, blue = image[0].astype(np.float64)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = np.stack([(blue - luma) / 1.772, (red - luma) / 1.402], -1)
    large = imresize(chroma.astype(np.float32), 96, 96)
    y, (cb, cr) = luma.repeat(2, 0).repeat(2, 1), large.transpose(2, 0, 1)
    wanted = [y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb]
    most = 3e-3 if kind == HALF else 1e-4
    inner = (slice(None), slice(8, -8), slice(8, -8))  # the edge is continued differently
    np.testing.assert_allclose(run(image)[0][inner], np.stack(wanted)[inner], atol=most)


def noisy(path: Path, kind: int, shape: tuple[Any, ...], name: str = "noise_level") -> Path:
    """Adds a fifth of a level of noise that is one number, or one per pixel."""
    nodes = [node("Cast", name, "f", to=FLOAT), node("Mul", "f", "fifth", "n")]
    nodes += [node("Add", "x", "n", "s"), repeat("s", "out")]
    ports = {"x": (FLOAT, (1, 3, "h", "w")), name: (kind, shape)}
    return save(path, nodes, ports, fifth=np.float32(0.2))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (FLOAT, ()), (FLOAT, (1,)), (HALF, (1, 1)), (WHOLE, (1,)), (FLOAT, (1, 1, 1, 1)),
        (FLOAT, (1, 1, "h", "w")), (FLOAT, ("n", 1, "a", "b")),
    ],
)  # fmt: skip
def test_a_level_of_noise(tmp_path: Path, out: Path, kind: int, shape: tuple[Any, ...]) -> None:
    run, note = converted(noisy(tmp_path / "m.onnx", kind, shape), out)
    assert note.endswith("; with noise_level = 0")
    np.testing.assert_allclose(run(IMAGE), TWICE, atol=1e-6)


@pytest.mark.parametrize("kind", [FLOAT, WHOLE])
def test_a_factor(tmp_path: Path, out: Path, kind: int) -> None:
    nodes = [node("Cast", "outscale", "f", to=FLOAT), node("Concat", "ones", "f", "f", "s", axis=0)]
    path = save(
        tmp_path / "m.onnx", [*nodes, repeat("x", "out", "s")],
        {"outscale": (kind, (1,)), "x": (FLOAT, (1, 3, "h", "w"))}, ones=np.ones(2, np.float32),
    )  # fmt: skip
    run, note = converted(path, out)
    assert note == "takes f32, 0 to 1; returns 0 to 1; with outscale = 4"
    np.testing.assert_allclose(run(IMAGE), IMAGE.repeat(4, 2).repeat(4, 3), atol=1e-6)


def test_a_value_that_the_file_itself_gives(tmp_path: Path, out: Path) -> None:
    path = noisy(tmp_path / "m.onnx", FLOAT, (1,))
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "noise_level"))
    onnx.save(model, path)
    run, note = converted(path, out)
    assert not note
    np.testing.assert_allclose(run(IMAGE), TWICE, atol=1e-6)


def test_a_name_that_says_bgr(tmp_path: Path, out: Path) -> None:
    gains = np.array([0.9, 1.0, 1.1], np.float32).reshape(1, 3, 1, 1)
    nodes = [node("Mul", "bgr_image", "gains", "s"), repeat("s", "out")]
    path = save(tmp_path / "m.onnx", nodes, {"bgr_image": (FLOAT, (1, 3, "h", "w"))}, gains=gains)
    run, note = converted(path, out)
    assert note == "takes f32, 0 to 1, BGR; returns 0 to 1, BGR"
    np.testing.assert_allclose(run(IMAGE), TWICE * gains[:, ::-1], atol=1e-6)


def test_one_of_two_outputs_is_the_picture(tmp_path: Path, out: Path) -> None:
    nodes = [node("ReduceMean", "x", "mean", keepdims=1), repeat("x", "out")]
    path = save(tmp_path / "m.onnx", nodes, {"x": (FLOAT, (1, 3, "h", "w"))}, ("mean", "out"))
    run, _ = converted(path, out)
    np.testing.assert_allclose(run(IMAGE), TWICE, atol=1e-6)


@pytest.mark.parametrize(
    ("sides", "fixed"), [((32, 48), 0), ((48, 48), 48), ((48, "w"), 48), (("h", 48), 48)]
)
def test_fixed_sides(tmp_path: Path, out: Path, sides: tuple[Any, Any], fixed: int) -> None:
    path = save(tmp_path / "m.onnx", [repeat("x", "out")], {"x": (FLOAT, (1, 3, *sides))})
    model, note = plain_file(path, out)
    assert ("at any size" in note) == (sides != (48, 48))
    _, card = describe_graph(model)
    assert (card.fixed, card.scale) == (fixed, 2)


def test_a_rectangle_that_is_written_into_the_graph(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x", "shape", "same"), repeat("same", "out")]
    path = save(
        tmp_path / "m.onnx", nodes, {"x": (FLOAT, (1, 3, 32, 48))}, shape=np.array([1, 3, 32, 48])
    )
    with pytest.raises(WeightsError, match=r"m.onnx: takes \[1,3,32,48\]; expected free sides or"):
        describe_file(path)


@pytest.mark.parametrize("multiple", [3, 6, 7, 12, 32, 48])
def test_multiples(tmp_path: Path, out: Path, multiple: int) -> None:
    nodes = [node("SpaceToDepth", "x", "d", blocksize=multiple)]
    nodes += [node("DepthToSpace", "d", "s", blocksize=multiple), repeat("s", "out")]
    path = save(tmp_path / "m.onnx", nodes, {"x": (FLOAT, (1, 3, "h", "w"))})
    run, note = converted(path, out)
    assert not note
    assert multiple_and_scale(path, run) == (multiple, 2)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": (FLOAT, (1, 4, "h", "w"))}, r"takes x \[1,4,\?,\?\] of f32; expected one picture"),
        ({"x": (FLOAT, (1, 3, 5, "h", "w"))}, r"takes x \[1,3,5,\?,\?\] of f32; expected one p"),
        ({"x": (WHOLE, (1, 3, "h", "w"))}, r"takes x \[1,3,\?,\?\] of i64; expected one picture"),
        (
            {"x": (FLOAT, (1, 3, "h", "w")), "reference": (FLOAT, (1, 3, "h", "w"))},
            r"takes the picture x and further inputs, reference; .* what to give for reference",
        ),
        (
            {"x": (FLOAT, (1, 3, "h", "w")), "kernel": (FLOAT, (21,))},
            ".* enlarge does not know what to give for kernel",
        ),
    ],
)
def test_what_is_refused_says_why(tmp_path: Path, inputs: dict[str, Any], message: str) -> None:
    others = [node("ReduceMax", name, name + "!", keepdims=0) for name in inputs if name != "x"]
    nodes = [node("Cast", "x", "f", to=FLOAT), *others]
    at = "f"
    for other in others:
        nodes.append(node("Add", at, other.output[0], at + "+"))
        at += "+"
    scales = np.ones(len(inputs["x"][1]), np.float32)
    path = save(tmp_path / "m.onnx", [*nodes, repeat(at, "out")], inputs, scales=scales)
    with pytest.raises(WeightsError, match=f"m.onnx: {message}") as raised:
        describe_file(path)
    assert "\n" not in str(raised.value)


def test_further_inputs_that_no_value_helps(tmp_path: Path) -> None:
    nodes = [node("Div", "x", "amount", "q"), node("ReduceMean", "q", "out", keepdims=0)]
    path = save(
        tmp_path / "m.onnx", nodes, {"x": (FLOAT, (1, 3, "h", "w")), "amount": (FLOAT, (1,))}
    )
    with pytest.raises(WeightsError, match="does not enlarge the picture x, whatever its further"):
        describe_file(path)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_both_engines_run_what_was_converted(engine: str, cache: Path, tmp_path: Path) -> None:
    nodes = [node("Add", "x", "noise", "n"), repeat("n", "r"), node("Mul", "r", "top", "out")]
    path = save(
        tmp_path / "m.onnx", nodes,
        {"x": (FLOAT, (2, "h", "w", 1)), "noise": (FLOAT, (1, "h", "w", 1))},
        scales=np.array([1, 2, 2, 1], np.float32), top=np.float32(255),
    )  # fmt: skip
    gray = (IMAGE[0, 0] * 255).round().astype(np.uint8)
    model = enlarge.open_model(path, engine=engine, precision="f32")
    assert (model.card.scale, model.card.network) == (2, "onnx")
    large = model.upscale(gray).astype(int)
    assert np.abs(large - gray.repeat(2, 0).repeat(2, 1)).max() <= 1
