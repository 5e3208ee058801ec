"""A pair of ncnn's files as an ONNX file, which is RGB in and RGB out.

Its layers are translated one by one:

    write_graph(pair, …)   → an ONNX file: input `image`, output `enlarged`
    outline(pair)          → its scale and its number of parameters
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from enlarge.errors import WeightsError
from enlarge.weights.ncnn.detecting import NcnnPair
from enlarge.weights.ncnn.layers import INPUT, LAYERS
from enlarge.weights.ncnn.nodes import Blob, Shape, Step
from enlarge.weights.ncnn.param import NcnnLayer, UnknownLayerError, read_layers
from enlarge.weights.ncnn.weights import WeightFile
from enlarge.weights.onnx_writing import Graph

_INSTEAD = "use its .pth, .safetensors or .onnx file"
_SIDE = 192
"""Of a picture whose enlargement is only planned: a multiple of what networks need."""
_OUTPUTS = ("output", "out0", "out")
"""Names of the blob that is the result, where several are left over."""


def unknown_layers(layers: list[NcnnLayer]) -> list[str]:
    """The types of layers that enlarge does not know, sorted."""
    return sorted({layer.kind for layer in layers} - LAYERS.keys() - {INPUT})


def write_graph(pair: NcnnPair, target: Path) -> None:
    """Write the pair as an ONNX file. Raises `WeightsError`, which names the layer, if one of the
    files is damaged or the graph cannot be one for pictures; `UnknownLayerError` for a layer that
    enlarge does not know.
    """
    with _naming(pair):
        graph, enlarged = _translated(pair, (3, None, None))
        if enlarged.rank != 3 or enlarged.shape[0] not in (None, 3):
            raise WeightsError(f"returns {list(enlarged.shape)}, expected a picture of 3 channels")
        graph.rename(enlarged.name, "enlarged")
        graph.write(target, "image", "enlarged", 3)


def outline(pair: NcnnPair) -> tuple[int, int]:
    """The scale and the number of parameters, without running the graph. Raises `WeightsError`."""
    with _naming(pair):
        graph, enlarged = _translated(pair, (3, _SIDE, _SIDE))
        shape = enlarged.shape
        if len(shape) != 3 or shape[1] != shape[2] or not shape[1] or shape[1] % _SIDE:
            raise WeightsError(f"turns {_SIDE}² pixels into {list(shape)}")
        return shape[1] // _SIDE, graph.parameters


@contextlib.contextmanager
def _naming(pair: NcnnPair) -> Iterator[None]:
    """Say in errors which model it is."""
    try:
        yield
    except OSError as error:
        at = error.filename or pair.param
        raise WeightsError(f"{at}: cannot be opened ({error.strerror or error})") from error
    except WeightsError as error:
        raise type(error)(f"{pair.param}: {error}") from error


def _translated(pair: NcnnPair, shape: Shape) -> tuple[Graph, Blob]:
    """The pair as a graph for pictures of that shape, and the blob that is the result."""
    layers = read_layers(pair.param)
    if unknown := unknown_layers(layers):
        names = ", ".join(unknown)[:200]
        raise UnknownLayerError(f"has layers that enlarge does not know: {names}")
    source, result = _ends(layers)
    graph, weights = Graph(), WeightFile(pair.weights)
    blobs = {source.outputs[0]: Blob("image", shape)}
    for layer in layers:
        if layer is not source:
            blobs |= _outputs(Step(layer, [blobs[name] for name in layer.inputs], graph, weights))
    weights.check_end()
    return graph, blobs[result]


def _ends(layers: list[NcnnLayer]) -> tuple[NcnnLayer, str]:
    """The layer that is the picture, and the blob that is the result."""
    sources = [layer for layer in layers if layer.kind == INPUT]
    if len(sources) != 1 or len(sources[0].outputs) != 1:
        raise WeightsError(f"has {len(sources)} inputs, expected one, a picture; {_INSTEAD}")
    if sources[0].whole(2) not in (0, 3):
        channels = sources[0].whole(2)
        raise WeightsError(f"takes pictures of {channels} channels, expected 3; {_INSTEAD}")
    used = {name for layer in layers for name in layer.inputs}
    left = [name for layer in layers for name in layer.outputs if name not in used]
    chosen = [name for name in _OUTPUTS if name in left] if len(left) > 1 else left
    if len(chosen) != 1:
        raise WeightsError(f"has {len(left)} outputs, expected one, a picture; {_INSTEAD}")
    return sources[0], chosen[0]


def _outputs(step: Step) -> dict[str, Blob]:
    """The blobs that a layer makes, by their names, after it has added its nodes."""
    if not step.inputs and step.layer.kind != "MemoryData":
        raise step.misfit("reads no blob")
    made = LAYERS[step.layer.kind](step)
    made = made if isinstance(made, list) else [made]
    if len(made) != len(step.layer.outputs):
        raise step.misfit(f"makes {len(made)} blobs, and is to make {len(step.layer.outputs)}")
    return dict(zip(step.layer.outputs, made, strict=True))
