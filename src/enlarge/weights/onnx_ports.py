"""What the graph of an ONNX file takes: the picture, and further inputs, which get values.

find_image(path, graph)         → the input that is the picture, and the names of the others
candidates(graph, name)         → values that a further input may want, the likeliest first
narrowed(graph, values, …)      → the graph with the picture alone, and one output
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op

from enlarge.errors import WeightsError

_SCALES = ("scale", "factor", "ratio", "zoom")
_BGR = "bgr"


@dataclass(frozen=True)
class ImagePort:
    """The input that is the picture. `dims`: its sizes, 0 where they are free. `channels`: 3, or 1
    for luma. `last`: channels come last. `batch`: the size of the first axis, 0 if it is missing.
    """

    name: str
    kind: str
    dims: tuple[int, ...]
    channels: int
    last: bool
    batch: int

    @property
    def sides(self) -> tuple[int, int]:
        """The height and width that it takes, 0 where they are free."""
        spatial = self.dims[-3:-1] if self.last else self.dims[-2:]
        return spatial[0], spatial[1]

    @property
    def is_bgr(self) -> bool:
        """Whether its name says so."""
        return _BGR in self.name.lower()

    def laid_out(self, image: NDArray[Any]) -> NDArray[Any]:
        """A picture (1, channels, H, W) in this layout."""
        image = image.transpose(0, 2, 3, 1) if self.last else image
        return image[0] if not self.batch else image.repeat(self.batch, 0)

    def __str__(self) -> str:
        """What is unusual about it, for a note."""
        said = ["channels last"] * self.last + ["luma"] * (self.channels == 1)
        said += [f"{self.batch} pictures at a time"] * (self.batch > 1)
        said += ["no batch axis"] * (not self.batch) + ["BGR"] * self.is_bgr
        return ", ".join(said)


def find_image(path: Path, graph: Any) -> tuple[ImagePort, list[str]]:
    """The input that is the picture, and the names of the further ones.

    Raises `WeightsError`, which says what the graph takes, if none is a picture.
    """
    ports = [_image_port(port) for port in graph.inputs]
    found = sorted(filter(None, ports), key=lambda port: -port.channels)
    if not found:
        taken = "; ".join(map(_described, graph.inputs)) or "nothing"
        raise WeightsError(
            f"{path}: takes {taken}; expected one picture, (1, 3, H, W) or (1, H, W, 3) of floats "
            "or 8 bits, or one of luma, with 1 channel"
        )
    names = [port.get_any_name() for port in graph.inputs]
    return found[0], [name for name in names if name != found[0].name]


def _described(port: Any) -> str:
    kind = port.get_element_type().get_type_name()
    return f"{port.get_any_name()} {port.get_partial_shape()} of {kind}"


def _image_port(port: Any) -> ImagePort | None:
    shape, kind = port.get_partial_shape(), port.get_element_type()
    if shape.rank.is_dynamic or len(shape) not in (3, 4):
        return None
    if not kind.is_real() and kind not in (ov.Type.u8, ov.Type.u16):
        return None
    dims = tuple(0 if side.is_dynamic else side.get_length() for side in shape)
    first, last = dims[-3], dims[-1]
    is_last = last in (1, 3) and first not in (1, 3)
    channels = last if is_last else first or 3
    batch = (dims[0] or 1) if len(dims) == 4 else 0
    if channels not in (1, 3) or batch > 64:
        return None
    return ImagePort(port.get_any_name(), kind.get_type_name(), dims, channels, is_last, batch)


def candidates(graph: Any, name: str) -> tuple[float, ...]:
    """Values that the further input may want: of a factor 4, 2, 3 and 1, of anything else, such as
    a level of noise, 0 and 1. Empty for an input that is more than one number, or one per pixel.
    """
    shape = graph.input(name).get_partial_shape()
    if shape.rank.is_dynamic or len(shape) not in (0, 1, 2, 4):
        return ()
    dims = [0 if side.is_dynamic else side.get_length() for side in shape]
    is_one = all(side in (0, 1) for side in dims)
    is_map = len(dims) == 4 and dims[0] in (0, 1) and 1 in (dims[1], dims[3])
    if not is_one and not is_map:
        return ()
    return (4.0, 2.0, 3.0, 1.0) if any(word in name.lower() for word in _SCALES) else (0.0, 1.0)


def map_axes(graph: Any, name: str) -> tuple[int, int] | None:
    """The axes of a further input that are the picture's height and width; None of one value."""
    shape = graph.input(name).get_partial_shape()
    if len(shape) != 4:
        return None
    return (1, 2) if shape[3] == 1 and shape[1] != 1 else (2, 3)


def narrowed(
    graph: Any, values: Mapping[str, float], output: int, sides: tuple[int, int]
) -> ov.Model:
    """The graph with these values in the place of its further inputs, for a picture of that height
    and width, and with one of its outputs.
    """
    graph = graph.clone()
    for name, value in values.items():
        port = graph.input(name)
        shape = [1 if side.is_dynamic else side.get_length() for side in port.get_partial_shape()]
        for axis, side in zip(map_axes(graph, name) or (), sides, strict=False):
            if port.get_partial_shape()[axis].is_dynamic:
                shape[axis] = side
        parameter = port.get_node()
        filled = np.full(shape, value, port.get_element_type().to_dtype())
        parameter.output(0).replace(op.constant(filled).output(0))
        graph.remove_parameter(parameter)
    return ov.Model([graph.get_results()[output]], graph.get_parameters(), "enlarge")
