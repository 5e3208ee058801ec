"""ONNX files whose numbers mean something else: converted with a note, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import enlarge
from enlarge.cli import run
from enlarge.errors import WeightsError
from tests.weights.test_contents import CASES

PICTURE = np.random.default_rng(0).integers(0, 256, (44, 52, 3), np.uint8)


def repeating(
    path: Path,
    *,
    takes: tuple[float, float] = (0, 1),
    gives: tuple[float, float] = (0, 1),
    scale: int = 2,
    kinds: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
    last: tuple[bool, bool] = (False, False),
    swapped: bool = False,
    rounded: bool = False,
    sides: tuple[Any, Any] = ("h", "w"),
) -> Path:
    """A network that repeats pixels, if its numbers are understood. Values above or below its range
    are cut off, as networks that were trained on one range treat those of another.
    """
    span = takes[1] - takes[0]
    gain = (gives[1] - gives[0]) / span
    tensors = {
        "low": np.float32(takes[0]), "high": np.float32(takes[1]),
        "gain": np.float32(gain), "offset": np.float32(gives[0] - takes[0] * gain),
        "scales": np.array([1, 1, scale, scale], np.float32),
        "order": np.array([2, 1, 0] if swapped else [0, 1, 2], np.int64),
    }  # fmt: skip
    nodes = [helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT)]
    at = "float"
    if last[0]:
        nodes.append(helper.make_node("Transpose", [at], ["first"], perm=[0, 3, 1, 2]))
        at = "first"
    nodes += [
        helper.make_node("Clip", [at, "low", "high"], ["cut"]),
        helper.make_node("Round" if rounded else "Identity", ["cut"], ["whole"]),
        helper.make_node("Mul", ["whole", "gain"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["sum"]),
        helper.make_node("Gather", ["sum", "order"], ["ordered"], axis=1),
        helper.make_node(
            "Resize", ["ordered", "", "scales"], ["large"], mode="nearest",
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        ),
    ]  # fmt: skip
    at = "large"
    if last[1]:
        nodes.append(helper.make_node("Transpose", [at], ["end"], perm=[0, 2, 3, 1]))
        at = "end"
    nodes.append(helper.make_node("Cast", [at], ["out"], to=kinds[1]))
    shape_in = [1, *sides, 3] if last[0] else [1, 3, *sides]
    shape_out = [1, "p", "q", 3] if last[1] else [1, 3, "p", "q"]
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", kinds[0], shape_in)],
        [helper.make_tensor_value_info("out", kinds[1], shape_out)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def enlarged(path: Path, engine: str = "auto") -> np.ndarray:
    large = enlarge.open_model(path, engine=engine, precision="f32").upscale(PICTURE)
    return np.asarray(large).astype(int)


def error(path: Path, scale: int = 2, engine: str = "auto") -> int:
    return int(np.abs(enlarged(path, engine) - PICTURE.repeat(scale, 0).repeat(scale, 1)).max())


SPANS = [(0, 1), (0, 255), (-1, 1)]


@pytest.mark.parametrize("takes", SPANS)
@pytest.mark.parametrize("gives", SPANS)
def test_ranges(
    takes: tuple[float, float],
    gives: tuple[float, float],
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = repeating(tmp_path / "m.onnx", takes=takes, gives=gives)
    assert error(path) <= 1
    said = capsys.readouterr().err
    note = f"m.onnx takes f32, {takes[0]} to {takes[1]}; returns {gives[0]} to {gives[1]}"
    # The same range in and out needs no conversion, since this network is linear.
    assert (f"{note}; converted" in said) == (takes != gives)
    assert error(path) <= 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "options",
    [
        {"kinds": (TensorProto.UINT8, TensorProto.UINT8), "takes": (0, 255), "gives": (0, 255)},
        {"kinds": (TensorProto.UINT8, TensorProto.FLOAT), "takes": (0, 255)},
        {"kinds": (TensorProto.FLOAT, TensorProto.UINT8), "gives": (0, 255)},
        {"kinds": (TensorProto.FLOAT16, TensorProto.FLOAT16), "gives": (0, 255)},
        {"kinds": (TensorProto.DOUBLE, TensorProto.DOUBLE)},
        {"last": (True, True)},
        {"last": (True, False), "takes": (0, 255), "gives": (0, 255)},
        {"swapped": True},
        {"takes": (0, 255), "gives": (0, 255), "rounded": True},
        {"sides": (48, 48), "gives": (0, 255)},
        {"scale": 3, "takes": (-1, 1), "gives": (-1, 1)},
        {"scale": 1, "gives": (0, 255)},
    ],
)
@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_types_layouts_and_scales(
    options: dict[str, Any], engine: str, cache: Path, tmp_path: Path
) -> None:
    path = repeating(tmp_path / "m.onnx", **options)
    worst = 2 if TensorProto.FLOAT16 in options.get("kinds", ()) else 1
    assert error(path, options.get("scale", 2), engine) <= worst


def test_details_that_are_added_to_the_picture(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repeating(tmp_path / "m.onnx", takes=(0, 255), gives=(0, 255))
    model = onnx.load(path)
    graph = model.graph
    graph.node[-1].output[0] = "repeated"
    # nothing is added to levels of 1 and more, and to most of 0–1 only a little
    graph.node.extend(
        helper.make_node(kind, given, [made])
        for kind, given, made in (
            ("Sub", ["one", "repeated"], "below"),
            ("Relu", ["below"], "dark"),
            ("Mul", ["dark", "few"], "added"),
            ("Add", ["repeated", "added"], "out"),
        )
    )
    for name, value in (("one", 1.0), ("few", 0.06)):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), name))
    onnx.save(model, path)
    assert error(path) == 0
    assert "m.onnx takes f32, 0 to 255; returns 0 to 255" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        ((1000, 1004), r"turns every picture white: it returns values from 1e\+03 to 1e\+03"),
        ((-9, -4), "turns every picture black"),
        ((float("nan"), 1), "NaN"),
    ],
)
def test_what_would_be_white_black_or_nothing(
    gives: tuple[float, float],
    message: str,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = repeating(tmp_path / "m.onnx", gives=gives)
    with pytest.raises(WeightsError, match=message) as raised:
        enlarge.open_model(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert run(["inspect", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") <= 2


def test_looking_names_what_is_converted(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repeating(tmp_path / "m.onnx", gives=(0, 255))
    assert run(["inspect", str(path)]) == 0
    assert "converted: takes f32, 0 to 1; returns 0 to 255" in capsys.readouterr().out
    assert not list(cache.iterdir())


def test_the_case_that_was_reported(cache: Path) -> None:
    if not CASES.is_dir():
        pytest.skip(f"no cases at {CASES}")
    assert error(CASES / "out255.onnx") == 0
