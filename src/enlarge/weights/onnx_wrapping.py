"""An ONNX file with another convention, wrapped: around it, nodes that convert from and to ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from enlarge.luma import LUMA

if TYPE_CHECKING:
    from enlarge.weights.conventions import Convention

_TO_YCBCR = np.array([LUMA, [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""BT.601 with its full range, as JPEG has it (ITU-T T.871); Cb and Cr without their offset."""
_BICUBIC = -0.5


def wrap(model: Any, convention: Convention) -> None:
    """Let an ONNX model take and return (1, 3, H, W), float32, RGB in [0, 1], in place.

    A network for luma gets that of the picture, and the chroma is enlarged bicubically.
    """
    graph, image = model.graph, convention.image
    given = {name for name, _, _ in convention.values}
    (port,) = (value for value in graph.input if value.name == image.name)
    enlarged = graph.output[convention.output]
    before, after = _Chain("enlarge.in"), _Chain("enlarge.out")
    _into(before, convention)
    before.add("Cast", to=port.type.tensor_type.elem_type)
    before.name_last(port.name)
    for name, value, axes in convention.values:
        kind = next(v for v in graph.input if v.name == name).type.tensor_type
        _give(before, name, value, axes, kind)
    _out_of(after, enlarged.name, convention)
    after.name_last("enlarged")
    nodes = [*before.nodes, *graph.node, *after.nodes]
    inputs = [v for v in graph.input if v.name not in given | {image.name}]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(before.tensors + after.tensors)
    height, width = convention.sides
    sides = [height or "height", width or "width"]
    graph.input.extend(
        [*inputs, helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *sides])]
    )
    graph.output.append(
        helper.make_tensor_value_info("enlarged", TensorProto.FLOAT, [1, 3, None, None])
    )


def _into(chain: _Chain, convention: Convention) -> None:
    """From the picture `image` to what the network takes, as floats."""
    image, (low, high) = convention.image, convention.span_in
    chain.last = "image"
    if image.channels == 1:
        chain.mix(_TO_YCBCR[:1])
    elif image.is_bgr:
        chain.add("Gather", chain.wholes([2, 1, 0]), axis=1)
    chain.scaled(high - low, low)
    if image.last:
        chain.add("Transpose", perm=[0, 2, 3, 1])
    if image.kind in ("u8", "u16"):
        chain.scaled(1.0, 0.5)
        chain.add("Floor")
    if not image.batch:
        chain.add("Squeeze", chain.wholes([0]))
    elif image.batch > 1:
        chain.add("Tile", chain.wholes([image.batch, 1, 1, 1]))


def _give(chain: _Chain, name: str, value: float, axes: tuple[int, int] | None, kind: Any) -> None:
    """Make a further input a constant or, where it has the picture's sides, one of their size."""
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    dims = [side.dim_value or 1 for side in kind.shape.dim]
    if axes is None or all(kind.shape.dim[axis].dim_value for axis in axes):
        chain.tensors.append(numpy_helper.from_array(np.full(dims, value, dtype), name))
        return
    chain.last = "image"
    chain.add("Shape")
    chain.add("Gather", chain.wholes([2, 3]))
    parts = [chain.last, chain.wholes([1])]
    order = [parts[1], parts[0], parts[1]] if axes == (1, 2) else [parts[1], parts[1], parts[0]]
    chain.last = order[0]
    chain.add("Concat", *order[1:], axis=0)
    shape, chain.last = chain.last, chain.constant(np.full([1] * 4, value, dtype))
    chain.add("Expand", shape)
    chain.name_last(name)


def _out_of(chain: _Chain, result: str, convention: Convention) -> None:
    """From what the network returns to the picture."""
    low, high = convention.span_out
    chain.last = result
    chain.add("Cast", to=TensorProto.FLOAT)
    if not convention.batched:
        chain.add("Unsqueeze", chain.wholes([0]))
    elif convention.image.batch > 1:
        chain.add("Gather", chain.wholes([0]), axis=0)
    if convention.last:
        chain.add("Transpose", perm=[0, 3, 1, 2])
    chain.scaled(1.0 / (high - low), -low / (high - low))
    if convention.swapped:
        chain.add("Gather", chain.wholes([2, 1, 0]), axis=1)
    if convention.image.channels == 1:
        _with_chroma(chain)


def _with_chroma(chain: _Chain) -> None:
    """From the enlarged luma to RGB, with the chroma of `image`."""
    luma = chain.last
    chain.add("Shape")
    chain.add("Gather", chain.wholes([2, 3]))
    sides = chain.last
    chain.last = chain.wholes([1, 2])
    chain.add("Concat", sides, axis=0)
    sizes, chain.last = chain.last, "image"
    chain.mix(_TO_YCBCR[1:])
    chain.add("Resize", "", "", sizes, mode="cubic", cubic_coeff_a=_BICUBIC)
    chroma, chain.last = chain.last, luma
    chain.add("Concat", chroma, axis=1)
    chain.mix(np.linalg.inv(_TO_YCBCR))


class _Chain:
    """Nodes one after the other, and the constants that they read."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self.last = ""
        self._prefix = prefix

    def add(self, kind: str, *others: str, **attributes: Any) -> None:
        """Add a node that reads the last one's output."""
        output = f"{self._prefix}.{len(self.nodes)}"
        inputs = [self.last, *others]
        self.nodes.append(helper.make_node(kind, inputs, [output], output, **attributes))
        self.last = output

    def name_last(self, name: str) -> None:
        """Give the output of the last node another name."""
        self.nodes[-1].output[0] = name

    def constant(self, values: NDArray[Any]) -> str:
        """A constant, by its name."""
        name = f"{self._prefix}.value{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def wholes(self, values: list[int]) -> str:
        """A constant of int64, by its name."""
        return self.constant(np.array(values, np.int64))

    def scaled(self, gain: float, offset: float) -> None:
        """Multiply and add."""
        for kind, value in (("Mul", gain), ("Add", offset)):
            self.add(kind, self.constant(np.array(value, np.float32)))

    def mix(self, matrix: NDArray[np.float64]) -> None:
        """Channels mixed by a matrix: a convolution of 1×1."""
        self.add("Conv", self.constant(matrix[:, :, None, None].astype(np.float32)))
