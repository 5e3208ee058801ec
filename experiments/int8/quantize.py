"""Make the 8-bit form of a bundled convolutional model: `python -m experiments.int8.quantize NAME`.

Writes NAME.int8.onnx beside NAME.onnx and NAME.safetensors. Ranges of activations are measured, and
kernels rounded (see `rounding`); then kernels, biases and sizes of steps are trained with rounding
in place (see `quantizers`) to give what the network gave in f32, by the squared difference on
photographs, gradients and, less, drawings; and the colour itself, within 0.3 levels up to the
corners, on pictures of one colour. The largest error of each gradient and each flat picture counts
beside the mean, since banding is seen where it is worst.
"""

from __future__ import annotations

import argparse
import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

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
from experiments.int8.pictures import drawings, flats, gradients, patches, photographs
from experiments.int8.quantizers import convolutions, quantize, weight_of
from experiments.int8.rounding import fit

BUNDLED = Path(enlarge.weights.__file__).parent / "data"
LEVEL = 1.0 / 255.0
PHOTOS, GRADIENTS, FLATS = 5, 3, 8
DRAWING = 0.01
"""What a drawing's squared error counts."""
WEIGHTS = (*(1.0,) * PHOTOS, *(2.0,) * GRADIENTS, 0.02)
"""Of the pictures of a batch, where kernels are rounded."""
FLOATING = ("blocks.5.convs.2", "fuse", "tail")
"""The convolutions next to the result stay in float: rounding there is seen most."""
"""Pictures of each kind in a step."""
RATE, RATE_OF_STEPS, RATE_OF_KERNEL_STEPS = 1e-4, 4e-3, 5e-4
"""Learning rates of kernels and biases, of the sizes of steps of inputs, and of kernels."""
NEAR_FLAT, NEAR_GRADIENT = 0.3, 0.4
"""Levels within which an error on such pictures does not count as worst."""


class Stage(NamedTuple):
    """The training: its steps, and what errors count beside those of photographs."""

    steps: int
    worst_of_gradient: float
    flat: float
    worst_of_flat: float


STAGE = Stage(400, 0.25, 4.0, 0.25)


def losses(
    network: nn.Module, exact: nn.Module, batch: Tensor, plain: Tensor, stage: Stage
) -> list[Tensor]:
    """In squared levels: photographs, gradients and their worst, flat pictures, a drawing.

    `batch` holds `PHOTOS` photographs, then gradients, then a drawing; `plain` flat pictures.
    """
    with torch.no_grad():
        wanted = exact(batch)
    error = (network(batch) - wanted) / LEVEL
    smooth = error[PHOTOS:-1]
    worst = (smooth.abs() - NEAR_GRADIENT).clamp(min=0).square().amax((1, 2, 3)).mean()
    enlarged = network(plain)
    times = enlarged.shape[2] // plain.shape[2]
    colour = plain.repeat_interleave(times, 2).repeat_interleave(times, 3)
    off = (enlarged - colour) / LEVEL
    clamped = ((colour >= 1) & (off > 0)) | ((colour <= 0) & (off < 0))
    beyond = (off.abs() - NEAR_FLAT).clamp(min=0).masked_fill(clamped, 0.0).square()
    flat = stage.flat * beyond.mean() + stage.worst_of_flat * beyond.amax((1, 2, 3)).mean()
    drawing = DRAWING * error[-1].square().mean()
    worst = stage.worst_of_gradient * worst
    return [error[:PHOTOS].square().mean(), smooth.square().mean(), worst, flat, drawing]


def mixed(lows: list[Pixels], random: np.random.Generator) -> Tensor:
    """A batch as `losses` takes it."""
    photos, smooth = patches(lows, random, PHOTOS), gradients(random, GRADIENTS)
    return torch.cat([photos, smooth, drawings(lows, random, 1)])


def tune(network: nn.Module, exact: nn.Module, lows: list[Pixels], stage: Stage, seed: int) -> None:
    """Train a quantised network, in place."""
    random, steps = np.random.default_rng(seed), stage.steps
    groups: list[dict[str, Any]] = [
        {"params": [], "lr": rate} for rate in (RATE, RATE_OF_STEPS, RATE_OF_KERNEL_STEPS)
    ]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kind = 0 if "log_size" not in name else 1 if "activation" in name else 2
            groups[kind]["params"].append(parameter)
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    fading = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(1, (t + 1) / 20) * 0.5 * (1 + math.cos(math.pi * t / steps))
    )
    sums = np.zeros(5)
    for step in range(1, steps + 1):
        batch = mixed(lows, random)
        found = losses(network, exact, batch, flats(random, FLATS), stage)
        optimizer.zero_grad()
        sum(found, torch.zeros(())).backward()
        optimizer.step()
        fading.step()
        sums += [float(each.detach()) for each in found]
        if step % 50 == 0:
            print(step, np.sqrt(sums / 50).round(3), "levels, see losses", flush=True)
            sums[:] = 0


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
    """Quantise, train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("fast", "fast-x2"))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    source = BUNDLED / f"{arguments.name}.onnx"
    exact, card = load_network(source.with_suffix(".safetensors"))
    exact.requires_grad_(False)
    assert isinstance(exact, RePlain)
    network = copy.deepcopy(exact).requires_grad_(True)
    lows = photographs(data_root() / "photos", card.scale)
    quantize(network, [mixed(lows, random) for _ in range(24)], FLOATING)
    fit(network, exact, [mixed(lows, random) for _ in range(4)], torch.tensor(WEIGHTS))
    tune(network, exact, lows, STAGE, seed=1)
    model = quantized(onnx.load(source), kernels(network))
    write(model, card, source, arguments.output or BUNDLED / f"{arguments.name}.int8.onnx")


if __name__ == "__main__":
    main()
