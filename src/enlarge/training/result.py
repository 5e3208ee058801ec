"""Export a run's checkpoint as model files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from torch import nn

from enlarge.card import Card, read_card
from enlarge.networks import build, resolve
from enlarge.networks.replain import RePlain
from enlarge.training.callbacks import BEST, LAST, LOG
from enlarge.training.checkpoints import load_lists, network_of, start_file
from enlarge.training.config import Config
from enlarge.training.learner import STATE
from enlarge.training.training_data import VALID
from enlarge.weights.measuring import LADDER, measured
from enlarge.weights.network_file import describe_network, save_network
from enlarge.weights.onnx_file import export_onnx
from enlarge.weights.onnx_file import with_card as put_card


def training_minutes(run: Path) -> float:
    """Minutes of training of a run, including those of the runs that it started from."""
    own = json.loads((run / LOG).read_text("utf-8").splitlines()[-1])["minutes"]
    given = yaml.safe_load((run / "config.yaml").read_text("utf-8"))["model"]["start"]
    start = start_file(given) if given else Path()
    if (start.parent / LOG).is_file():
        return float(own) + training_minutes(start.parent)
    card = read_card(start) if start.suffix == ".safetensors" and start.is_file() else None
    return float(own) + (60.0 * card.hours if card else 0.0)


def kept_checkpoint(config: Config, run: Path) -> Path:
    """The checkpoint that becomes the model: the best by validation PSNR, if there is one, else the
    last. Adversarial runs always use the last, because their PSNR does not measure quality.
    """
    best = config.train.keep == "best" and not config.adversarial.weight
    return run / BEST if best and (run / BEST).is_file() else run / LAST


def write_model(config: Config, run: Path) -> Path:
    """Write `model.safetensors` and `model.onnx` of a run: the averaged weights, re-parameterised,
    with the card. Returns the path of the ONNX file.
    """
    architecture, options = resolve(config.model.network, config.model.options)
    network = build(architecture, **options)
    checkpoint = kept_checkpoint(config, run)
    network.load_state_dict(network_of(checkpoint, "average"))
    if isinstance(network, RePlain):
        network.fold()
        options["deployed"] = True
    network.eval()
    step = torch.load(checkpoint, map_location="cpu", weights_only=True)[STATE]["taken"]
    lines = [json.loads(line) for line in (run / LOG).read_text("utf-8").splitlines()]
    # A run that was stopped between two validations has no scores for its last step.
    line: dict[str, float] = next((line for line in reversed(lines) if line["step"] == step), {})
    parts = [use.removeprefix(VALID) for use in load_lists(run) if use.startswith(VALID)]
    scores = {part: {"psnr": line[part]} for part in parts if part in line}
    card = describe_network(
        network,
        name=config.name,
        architecture=architecture,
        options=options,
        data=config.data.about,
        licence=config.data.licence,
        recipe=f"recipes/{config.name}.yaml",
        hours=round(training_minutes(run) / 60.0, 2),
        scores=scores,
    )
    model = run / "model.onnx"
    card = write_files(network, card, model, ladder=None)
    print(f"{model}: {card.parameters} parameters, {card.flops / 1000:.1f} kFLOP per output pixel")
    return model


def has_model(run: Path) -> bool:
    """Whether the model of a run is newer than its last checkpoint."""
    written = run / "model.safetensors"  # the last of the files
    return written.is_file() and written.stat().st_mtime >= (run / LAST).stat().st_mtime


def write_files(
    network: nn.Module,
    card: Card,
    model: Path,
    *,
    half: bool = False,
    ladder: Sequence[int] | None = LADDER,
) -> Card:
    """Write a network as `model`, an ONNX file, and as safetensors beside it. Returns the card with
    what was measured on the file. `half`: store fp16, for a network of `round_to_half`. `ladder`:
    the sides of the tiles to measure (None: `measured` chooses).
    """
    print(f"writing {model} and comparing it with torch", flush=True)
    export_onnx(network, card, model, half=half)
    print("measuring the memory of its tiles", flush=True)
    card = measured(model, card, ladder)
    put_card(model, card)
    save_network(network, card, model.with_suffix(".safetensors"), half=half)
    return card
