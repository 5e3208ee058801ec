"""ONNX files as others export them, made of the networks of bundled models, against ONNX Runtime.

Their inputs and outputs follow other conventions, and they have no card.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.checkpoints.rows import ODD, Case, Home
from enlarge import luma
from enlarge.weights.catalog import find_weights
from enlarge.weights.runner import Picture

Array = NDArray[Any]
Sizes = tuple[tuple[int, int], ...]
FLOAT, HALF, BYTE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


class Convention(NamedTuple):
    """How a file takes and returns pictures.

    `inner`, `outer`: nodes before the network, whose input is `x` and whose result is `image`, and
    after it, from `enlarged` to `y`. `shape` and `kind`: of the input, `name`: what it is called.
    `given`, `taken`: from (1, 3, H, W) in [0, 1] to what ONNX Runtime is given, and back.
    """

    title: str
    inner: tuple[Any, ...] = ()
    outer: tuple[Any, ...] = ()
    shape: tuple[Any, ...] = (1, 3, "h", "w")
    kind: int = FLOAT
    name: str = "x"
    given: Callable[[Picture], Array] = np.asarray
    taken: Callable[[Array], Array] = np.asarray
    more: tuple[tuple[str, tuple[Any, ...], Array], ...] = ()
    model: str = "fast"
    sizes: Sizes = ODD
    is_gray: bool = False


def _node(kind: str, *names: str, **attributes: Any) -> Any:
    """A node: its inputs, and last its output."""
    return helper.make_node(kind, list(names[:-1]), [names[-1]], **attributes)


LUMA = np.array(luma.LUMA, np.float32)
_CONSTANTS = {
    "level": np.float32(255),
    "luma": LUMA.reshape(1, 3, 1, 1),
    "first": np.array([0], np.int64),
    "backwards": np.array([2, 1, 0], np.int64),
    "three": np.array([1, 3, 1, 1], np.int64),
    "channels": np.array([1], np.int64),
}
_LAST = (0, 2, 3, 1)

CONVENTIONS = (
    Convention("RGB, 0 to 1, any size"),
    Convention(
        "0 to 255",
        (_node("Div", "x", "level", "image"),),
        (_node("Mul", "enlarged", "level", "y"),),
        given=lambda image: image * np.float32(255),
        taken=lambda large: large / 255,
    ),
    Convention(
        "channels last",
        (_node("Transpose", "x", "image", perm=[0, 3, 1, 2]),),
        (_node("Transpose", "enlarged", "y", perm=list(_LAST)),),
        (1, "h", "w", 3),
        given=lambda image: image.transpose(_LAST),
        taken=lambda large: large.transpose(0, 3, 1, 2),
    ),
    Convention(
        "BGR, as its input's name says",
        (_node("Gather", "x", "backwards", "image", axis=1),),
        (_node("Gather", "enlarged", "backwards", "y", axis=1),),
        name="bgr",
        given=lambda image: image[:, ::-1],
        taken=lambda large: large[:, ::-1],
    ),
    Convention(
        "f16 in and out",
        (_node("Cast", "x", "image", to=FLOAT),),
        (_node("Cast", "enlarged", "y", to=HALF),),
        kind=HALF,
        given=lambda image: image.astype(np.float16),
        taken=lambda large: large.astype(np.float32),
    ),
    Convention(
        "8 bits in and out",
        (_node("Cast", "x", "f", to=FLOAT), _node("Div", "f", "level", "image")),
        (
            _node("Mul", "enlarged", "level", "l"),
            _node("Round", "l", "r"),
            _node("Clip", "r", "none", "level", "c"),
            _node("Cast", "c", "y", to=BYTE),
        ),
        kind=BYTE,
        given=lambda image: (image * 255).round().astype(np.uint8),
        taken=lambda large: large.astype(np.float32) / 255,
    ),
    Convention("64×64 only", shape=(1, 3, 64, 64), sizes=((64, 64),)),
    Convention(
        "no axis for the batch",
        (_node("Unsqueeze", "x", "first", "image"),),
        (_node("Squeeze", "enlarged", "first", "y"),),
        (3, "h", "w"),
        given=lambda image: image[0],
        taken=lambda large: large[None],
    ),
    Convention(
        "one channel",
        (_node("Expand", "x", "three", "image"),),
        (
            _node("Mul", "enlarged", "luma", "w"),
            _node("ReduceSum", "w", "channels", "y", keepdims=1),
        ),
        (1, 1, "h", "w"),
        given=lambda image: image[:, :1],
        taken=lambda large: large.repeat(3, 1),
        is_gray=True,
    ),
    Convention(
        "with a level of noise",
        (_node("Add", "x", "noise_level", "image"),),
        more=(("noise_level", (1,), np.zeros(1, np.float32)),),
    ),
    Convention(
        "sides that are multiples of 8", model="quality-x2", sizes=((40, 56), (72, 24), (64, 64))
    ),
)


def cases() -> list[Case]:
    """All conventions."""
    return [
        Case(
            each.title,
            ".onnx",
            partial(write, each),
            partial(in_onnxruntime, each),
            each.sizes,
            64 if each.model != "fast" else 128,
            is_gray=each.is_gray,
        )
        for each in CONVENTIONS
    ]


def write(convention: Convention, folder: Path) -> Path:
    """The file in that folder."""
    model = onnx.load(find_weights(convention.model).path)
    del model.metadata_props[:]
    graph = model.graph
    (source,), (target,) = graph.input, graph.output
    for node in graph.node:
        node.input[:] = ["image" if name == source.name else name for name in node.input]
        node.output[:] = ["enlarged" if name == target.name else name for name in node.output]
    inner = convention.inner or (_node("Identity", "x", "image"),)
    outer = convention.outer or (_node("Identity", "enlarged", "y"),)
    nodes = [*inner, *graph.node, *outer]
    for node in nodes:
        node.input[:] = [convention.name if name == "x" else name for name in node.input]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    ports = [(convention.name, convention.kind, convention.shape)]
    ports += [(name, FLOAT, shape) for name, shape, _ in convention.more]
    graph.input.extend(helper.make_tensor_value_info(*port) for port in ports)
    graph.output.append(helper.make_tensor_value_info("y", convention.kind, None))
    constants = {**_CONSTANTS, "none": np.float32(0)}
    used = {name for node in nodes for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in constants.items()
        if name in used
    )
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def in_onnxruntime(convention: Convention, path: Path) -> Home:
    """The file in ONNX Runtime, on all cores."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    more = {name: value for name, _, value in convention.more}

    def run(image: Picture) -> Picture:
        given = {convention.name: np.ascontiguousarray(convention.given(image)), **more}
        return np.asarray(convention.taken(session.run(None, given)[0]), np.float32)

    return Home("ONNX Runtime", run)
