"""A trained network as files that describe themselves: safetensors for torch, ONNX for engines."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from enlarge.errors import WeightsError
from enlarge.networks import build
from enlarge.weights.card import KEY, Card
from enlarge.weights.files import read_card

LADDER = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
_OPSET = 18
_TOLERANCE = 1e-4


def load_network(path: Path) -> tuple[nn.Module, Card]:
    """The network of one of our `.safetensors` files, in eval mode, and its card.

    Raises `WeightsError` where the file is not ours or its parameters do not fit its card.
    """
    card = read_card(path)
    if card is None:
        raise WeightsError(f"{path}: carries no enlarge card; expected one in its metadata")
    network = build(card.network, **card.options)
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise WeightsError(f"{path}: its parameters do not fit its card: {error}") from error
    return network.eval(), card


def flops_per_output_pixel(network: nn.Module, scale: int) -> float:
    """Floating-point operations (a multiply-add counts two) of one output pixel.

    Counted without computing, on the meta device, where attention is counted too.
    """
    side = 64
    network = copy.deepcopy(network).to("meta")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, side, side, device="meta"))
    return float(counter.get_total_flops()) / (side * side * scale * scale)


def save_network(network: nn.Module, card: Card, path: Path) -> None:
    """Write the parameters and the card as safetensors (atomically)."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    temporary = path.with_name(f".{path.name}.part")
    save_file(tensors, temporary, metadata={KEY: card.to_json()})
    temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    temporary.replace(path)


def export_onnx(network: nn.Module, card: Card, path: Path, tile: int | None = None) -> None:
    """Write the network as ONNX with its card, verified against torch before the file appears.

    Input `image` (1, 3, H, W) float32 in [0, 1], H and W symbolic or fixed to `tile`; output
    `enlarged`, not clamped. Raises `WeightsError` where ONNX and torch differ by more than 1e-4.
    """
    network = network.eval()
    side = tile or card.multiple * -(-48 // card.multiple)
    example = torch.rand(1, 3, side, side if tile else 2 * side)
    dynamic = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own future, not of ours
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes=None if tile else ({2: dynamic, 3: dynamic},),
            input_names=["image"],
            output_names=["enlarged"],
            opset_version=_OPSET,
            verbose=False,
        )
    assert program is not None
    model = _tidied(program.model_proto, card)
    temporary = path.with_name(f".{path.name}.part")
    try:
        onnx.save(model, temporary)
        _verify(network, temporary, example)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _tidied(model: onnx.ModelProto, card: Card) -> onnx.ModelProto:
    """Without the exporter's notes, with names for the free sides, and with the card."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    for value in (*values, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.value_info[:]
    sides = ("height", "width")
    for axis, side in enumerate(sides, start=2):
        (image,), (enlarged,) = model.graph.input, model.graph.output
        if image.type.tensor_type.shape.dim[axis].dim_param:
            image.type.tensor_type.shape.dim[axis].dim_param = side
            enlarged.type.tensor_type.shape.dim[axis].dim_param = f"enlarged_{side}"
    del model.metadata_props[:], model.graph.metadata_props[:]
    model.metadata_props.add(key=KEY, value=card.to_json())
    return model


def _verify(network: nn.Module, path: Path, example: Tensor) -> None:
    import openvino as ov

    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.inference_mode():
        wanted = network(example).numpy()
    got = compiled(example.numpy())[0]
    if not np.allclose(got, wanted, atol=_TOLERANCE):
        worst = float(np.abs(got - wanted).max())
        raise WeightsError(f"the exported network differs from torch by {worst:.2g}; not written")


def with_card(model: Path, card: Card) -> None:
    """Replace the card inside an ONNX file (atomically)."""
    proto = onnx.load(model)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=KEY, value=card.to_json())
    temporary = model.with_name(f".{model.name}.part")
    onnx.save(proto, temporary)
    temporary.replace(model)


def measured(model: Path, card: Card) -> Card:
    """The card with each rung's working set: what a fresh process's peak grows by when it compiles
    the network for a tile of that side and runs it twice in f32.
    """
    sizes = {}
    for side in LADDER:
        if side <= 2 * card.halo or side % card.multiple:
            continue
        sizes[side] = _working_set(model, side)
    return replace(card, tiles=sizes)


_MEASURE = """
import json, sys
import numpy as np
from pathlib import Path
from enlarge.engines.openvino import OpenVinoEngine
from enlarge.memory import peak, resident
side, scale = int(sys.argv[2]), int(sys.argv[3])
engine = OpenVinoEngine(Path(sys.argv[1]), scale, "f32", 0)
before = resident()
session = engine.session(side, side, 3, np.dtype("uint8"), np.dtype("uint8"))
for _ in range(2):
    session(np.zeros((side, side, 3), np.uint8))
print(json.dumps(peak() - before))
"""


def _working_set(model: Path, side: int) -> int:
    card = read_card(model)
    assert card is not None
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, "-c", _MEASURE, str(model), str(side), str(card.scale)]
        environment = {**os.environ, "ENLARGE_CACHE": cache}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout))
