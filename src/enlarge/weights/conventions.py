"""ONNX files of other programs whose numbers mean something else: found by running them, and
converted.

A network that enlarges gives back the picture that it got. So the conventions are those under which
its result, reduced, is closest to a generated picture: values in 0–1, 0–255 or −1–1 (results also
0–65535), channels first or last, RGB or BGR. The types of input and output are in the file.

    plain_file(path, folder)   → the file itself, or one in `folder` that takes and returns
                                 (1, 3, H, W), float32, RGB in [0, 1]; and a note on what differs
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import WeightsError
from enlarge.weights.measuring import Runner, natural_picture

Span = tuple[float, float]
"""The values that stand for 0 and 1."""
_PLAIN: Span = (0.0, 1.0)
_IN: tuple[Span, ...] = (_PLAIN, (0.0, 255.0), (-1.0, 1.0))
_OUT: tuple[Span, ...] = (*_IN, (0.0, 65535.0))
_SIDE = 64
_CLOSE = 0.05
"""Another convention is taken if the picture comes back this closely, as a mean difference."""
_BETTER = 0.03
"""And the difference without it is at least twice as large, plus this. Red and blue of the picture
differ by 0.06.
"""
_INSTALL = 'pip install "enlarge[onnx]"'


@dataclass(frozen=True)
class Convention:
    """What a network's numbers mean. `last`: channels last; `swapped`: BGR comes out for RGB."""

    span_in: Span = _PLAIN
    span_out: Span = _PLAIN
    last_in: bool = False
    last_out: bool = False
    swapped: bool = False
    typed: tuple[str, str] = ("f32", "f32")

    @property
    def is_plain(self) -> bool:
        """Whether engines run it as it is; they convert float16 themselves."""
        floats = {"f32", "f16"}
        return self == Convention(typed=self.typed) and set(self.typed) <= floats

    def __str__(self) -> str:
        takes = [_named(self.span_in)] + ["channels last"] * self.last_in
        gives = [_named(self.span_out)] + ["channels last"] * self.last_out
        gives += ["BGR"] * self.swapped
        return f"takes {self.typed[0]}, {', '.join(takes)}; returns {', '.join(gives)}"


def _named(span: Span) -> str:
    return f"{span[0]:g} to {span[1]:g}"


def plain_file(path: Path, folder: Path) -> tuple[Path, str]:
    """See above. Raises `WeightsError` if the network turns every picture black or white, or the
    file must be converted and the package onnx is missing.
    """
    run = Runner(path)
    found = _found(path, run.graph, run)
    if found is None or found.is_plain:
        return path, ""
    try:
        import onnx
    except ImportError as error:
        raise WeightsError(f"{path}: {found}; converting it needs onnx: {_INSTALL}") from error
    model = onnx.load(path)
    _wrap(model, found)
    target = folder / f"{path.stem}.onnx"
    onnx.save(model, target)
    return target, str(found)


def _found(path: Path, graph: Any, run: Runner) -> Convention | None:
    """The graph's convention; None if it does not take one picture, or does not run."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    shape = graph.inputs[0].get_partial_shape()
    typed = tuple(
        port.get_element_type().get_type_name() for port in (graph.inputs[0], graph.outputs[0])
    )
    if shape.rank.is_dynamic or len(shape) != 4:
        return None
    sizes = [0 if side.is_dynamic else side.get_length() for side in shape]
    last = sizes[3] == 3 and sizes[1] != 3
    if not last and sizes[1] not in (0, 3):
        return None
    height, width = (sizes[1], sizes[2]) if last else (sizes[2], sizes[3])
    side = (height or _SIDE, width or _SIDE)
    picture = natural_picture(max(side))[:, :, : side[0], : side[1]]
    spans = ((0.0, 255.0),) if typed[0] == "u8" else _IN
    errors: dict[Convention, float] = {}
    plain: NDArray[Any] | None = None
    for span in spans:
        raw = picture * (span[1] - span[0]) + span[0]
        raw = np.rint(raw) if typed[0] == "u8" else raw
        try:
            result = run.raw(raw.transpose(0, 2, 3, 1) if last else raw)
        except WeightsError:
            return None
        if result.ndim != 4 or not np.isfinite(result).all():
            continue
        last_out = result.shape[3] == 3 and result.shape[1] != 3
        result = result.transpose(0, 3, 1, 2) if last_out else result
        if result.shape[1] != 3:
            return None
        plain = result if plain is None else plain
        for out, swapped in product(_OUT, (False, True)):
            convention = Convention(span, out, last, last_out, swapped, (typed[0], typed[1]))
            errors[convention] = _error(picture, (result - out[0]) / (out[1] - out[0]), swapped)
    if plain is None:
        return None
    best = min(errors, key=lambda convention: errors[convention])
    usual = next(iter(errors))  # the first span, and a result in 0–1
    if errors[best] > _CLOSE or errors[best] > (errors[usual] - _BETTER) / 2:
        best = usual
    if best == usual:
        _check_not_blank(path, plain)
    return best


def _error(picture: NDArray[Any], result: NDArray[Any], swapped: bool) -> float:
    """The mean difference of the reduced result from the picture."""
    _, _, height, width = picture.shape
    if result.shape[2] % height or result.shape[3] % width or result.shape[2] < height:
        return np.inf
    down, across = result.shape[2] // height, result.shape[3] // width
    small = result.reshape(3, height, down, width, across).mean((2, 4))
    return float(np.abs((small[::-1] if swapped else small) - picture[0]).mean())


def _check_not_blank(path: Path, result: NDArray[Any]) -> None:
    """Raise `WeightsError` if a picture in [0, 1] became nothing but black, or white."""
    for is_blank, name in (((result >= 1.0), "white"), ((result <= 0.0), "black")):
        if is_blank.mean() > 0.99:
            raise WeightsError(
                f"{path}: turns every picture {name}: it returns values from {result.min():.3g} to "
                f"{result.max():.3g} for a picture in 0 to 1, and neither 0 to 1, 0 to 255 nor -1 "
                "to 1 fits; export it so that it takes and returns 0 to 1"
            )


def _wrap(model: Any, convention: Convention) -> None:
    """Let an ONNX model take and return (1, 3, H, W), float32, RGB in [0, 1], in place."""
    from onnx import TensorProto, helper

    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    (image,) = (value for value in graph.input if value.name not in stored)
    enlarged = graph.output[0]
    dims = [d.dim_value or d.dim_param or None for d in image.type.tensor_type.shape.dim]
    sides = dims[1:3] if convention.last_in else dims[2:4]
    low, high = convention.span_in
    before = _Chain("enlarge.in", helper)
    before.scaled("image", high - low, low)
    if convention.last_in:
        before.add("Transpose", perm=[0, 2, 3, 1])
    if convention.typed[0] == "u8":
        before.scaled(before.last, 1.0, 0.5)
        before.add("Floor")
    before.add("Cast", to=image.type.tensor_type.elem_type)
    before.nodes[-1].output[0] = image.name
    low, high = convention.span_out
    after = _Chain("enlarge.out", helper)
    after.last = enlarged.name
    after.add("Cast", to=TensorProto.FLOAT)
    if convention.last_out:
        after.add("Transpose", perm=[0, 3, 1, 2])
    after.scaled(after.last, 1.0 / (high - low), -low / (high - low))
    if convention.swapped:
        indices = helper.make_tensor("enlarge.bgr", TensorProto.INT64, [3], [2, 1, 0])
        after.tensors.append(indices)
        after.add("Gather", "enlarge.bgr", axis=1)
    after.nodes[-1].output[0] = "enlarged"
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.input.remove(image)
    graph.node.extend(nodes)
    graph.initializer.extend(before.tensors + after.tensors)
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *sides]))
    graph.output.append(
        helper.make_tensor_value_info("enlarged", TensorProto.FLOAT, [1, 3, None, None])
    )


class _Chain:
    """Nodes one after the other, and the constants that they read."""

    def __init__(self, prefix: str, helper: Any) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.last = ""
        self._prefix, self._helper = prefix, helper

    def add(self, kind: str, *others: str, **attributes: Any) -> None:
        """Add a node that reads the last one's output."""
        output = f"{self._prefix}.{len(self.nodes)}"
        inputs = [self.last, *others]
        self.nodes.append(self._helper.make_node(kind, inputs, [output], output, **attributes))
        self.last = output

    def scaled(self, source: str, gain: float, offset: float) -> None:
        """Add `source`·gain + offset."""
        self.last = source
        for kind, value in (("Mul", gain), ("Add", offset)):
            name = f"{self._prefix}.value{len(self.tensors)}"
            self.tensors.append(self._helper.make_tensor(name, 1, [], [value]))
            self.add(kind, name)
