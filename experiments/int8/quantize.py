"""Make the 8-bit form of a bundled convolutional model: `python -m experiments.int8.quantize NAME`.

Writes NAME.int8.onnx beside NAME.onnx and NAME.safetensors. Ranges of activations are measured, and
kernels rounded so that they compensate each other's errors (see `rounding`), on photographs,
gradients and drawings. Nothing is trained.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

import enlarge.weights
from enlarge.card import Card
from enlarge.data.photos import Pixels
from enlarge.digests import file_digest
from enlarge.networks.replain import RePlain
from enlarge.training.config import data_root
from enlarge.weights.measuring import working_sets
from enlarge.weights.network_file import load_network, replacing
from enlarge.weights.onnx_file import with_card
from experiments.int8.graph import Steps, quantized
from experiments.int8.pictures import drawings, gradients, patches, photographs
from experiments.int8.quantizers import convolutions, quantize, weight_of
from experiments.int8.rounding import fit

BUNDLED = Path(enlarge.weights.__file__).parent / "data"
PHOTOS, GRADIENTS = 5, 3
WEIGHTS = (*(1.0,) * PHOTOS, *(2.0,) * GRADIENTS, 0.02)
"""What a picture of `mixed` counts where kernels are rounded."""
FLOATING = (
    "head",
    *(f"blocks.{block}.convs.{place}" for block in range(3) for place in range(3)),
    *("blocks.5.convs.2", "fuse", "tail"),
)
"""The convolutions that stay in float: those next to the result, where rounding is seen most, and
the first ones, whose errors all others enlarge, most of all where zeros around a picture are seen.
"""


def mixed(lows: list[Pixels], random: np.random.Generator) -> Tensor:
    """A batch: `PHOTOS` photographs, `GRADIENTS` gradients, and a drawing."""
    photos, smooth = patches(lows, random, PHOTOS), gradients(random, GRADIENTS)
    return torch.cat([photos, smooth, drawings(lows, random, 1)])


@torch.no_grad()
def kernels(network: nn.Module) -> dict[str, Steps]:
    """How each convolution is quantised, by its name."""
    found = {}
    for name, module in convolutions(network).items():
        if (weight := weight_of(module)) is None:
            continue
        found[name] = Steps(
            weight.activation.size.numpy(),
            weight.activation.zero,
            weight.steps(module.parametrizations.weight.original).round().to(torch.int8).numpy(),
            weight.size.numpy(),
            module.bias.numpy(),
        )
    return found


def write(model: onnx.ModelProto, card: Card, source: Path, target: Path) -> None:
    """Write the 8-bit form of `source`, with its card."""
    with replacing(target) as temporary:
        onnx.save(model, temporary)
    card = replace(
        card, precisions=("int8",), scores={}, tiling={}, int8={"of": file_digest(source)}
    )
    with_card(target, card)
    with_card(target, replace(card, tiles=working_sets(target, card)))


def main() -> None:
    """Quantise and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("fast", "fast-x2"))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    source = BUNDLED / f"{arguments.name}.onnx"
    exact, card = load_network(source.with_suffix(".safetensors"))
    assert isinstance(exact, RePlain)
    exact.requires_grad_(False)
    network = copy.deepcopy(exact)
    lows = photographs(data_root() / "photos", card.scale)
    quantize(network, [mixed(lows, random) for _ in range(24)], FLOATING)
    fit(network, exact, [mixed(lows, random) for _ in range(4)], torch.tensor(WEIGHTS))
    model = quantized(onnx.load(source), kernels(network))
    write(model, card, source, arguments.output or BUNDLED / f"{arguments.name}.int8.onnx")


if __name__ == "__main__":
    main()
