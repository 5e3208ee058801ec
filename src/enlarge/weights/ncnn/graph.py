"""A pair of ncnn's files as an ONNX file, which is RGB in and RGB out.

Its layers are translated one by one:

    write_graph(pair, …)   → an ONNX file: input `image`, output `enlarged`
"""

from __future__ import annotations

from pathlib import Path

from enlarge.errors import WeightsError
from enlarge.weights.ncnn.detecting import Pair
from enlarge.weights.ncnn.layers import INPUT, LAYERS
from enlarge.weights.ncnn.nodes import Blob, Step
from enlarge.weights.ncnn.param import Layer, read_layers
from enlarge.weights.ncnn.weights import WeightFile
from enlarge.weights.onnx_writing import Graph

_INSTEAD = "use its .pth, .safetensors or .onnx file"
_OUTPUTS = ("output", "out0", "out")
"""Names of the blob that is the result, where several are left over."""


def unknown_layers(layers: list[Layer]) -> list[str]:
    """The types of layers that enlarge does not know, sorted."""
    return sorted({layer.kind for layer in layers} - LAYERS.keys() - {INPUT})


def write_graph(pair: Pair, target: Path) -> None:
    """Write the pair as an ONNX file. Raises `WeightsError`, which names the layer, if one of the
    files is damaged or the graph cannot be one for pictures.
    """
    try:
        layers = read_layers(pair.param)
        if unknown := unknown_layers(layers):
            raise WeightsError(
                f"has layers that enlarge does not know: {', '.join(unknown)[:200]}; {_INSTEAD}"
            )
        source, result = _ends(layers)
        graph, weights = Graph(), WeightFile(pair.weights)
        enlarged = _blobs(layers, source, graph, weights)[result]
        weights.check_end()
        if enlarged.rank != 3 or enlarged.shape[0] not in (None, 3):
            raise WeightsError(f"returns {list(enlarged.shape)}, expected a picture of 3 channels")
        graph.rename(enlarged.name, "enlarged")
        graph.write(target, "image", "enlarged", 3)
    except OSError as error:
        at = error.filename or pair.param
        raise WeightsError(f"{at}: cannot be opened ({error.strerror or error})") from error
    except WeightsError as error:
        raise WeightsError(f"{pair.param}: {error}") from error


def _ends(layers: list[Layer]) -> tuple[Layer, str]:
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


def _blobs(
    layers: list[Layer], source: Layer, graph: Graph, weights: WeightFile
) -> dict[str, Blob]:
    """All blobs of the graph by their names, after each layer has added its nodes."""
    blobs = {source.outputs[0]: Blob("image", (3, None, None))}
    for layer in layers:
        if layer is source:
            continue
        inputs = [blobs[name] for name in layer.inputs]
        if not inputs and layer.kind != "MemoryData":
            raise WeightsError(f"{layer} reads no blob")
        made = LAYERS[layer.kind](Step(layer, inputs, graph, weights))
        made = made if isinstance(made, list) else [made]
        if len(made) != len(layer.outputs):
            raise WeightsError(f"{layer} makes {len(made)} blobs, and is to make other ones too")
        blobs |= zip(layer.outputs, made, strict=True)
    return blobs
