"""From a run's checkpoint to a model file that anybody can open."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml

from enlarge import __version__
from enlarge.networks import build
from enlarge.networks.replain import RePlain
from enlarge.training.config import Config
from enlarge.weights.card import Card
from enlarge.weights.export import export_onnx, flops_per_output_pixel, measured, save_network
from enlarge.weights.export import with_card as put_card


def minutes_of(run: Path) -> float:
    """Minutes of training behind a run, those of the runs that it started from included."""
    own = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["minutes"]
    start = yaml.safe_load((run / "config.yaml").read_text())["model"]["start"]
    return float(own) + (minutes_of(Path(start).parent) if start else 0.0)


def write_model(config: Config, run: Path) -> Path:
    """Write `model.safetensors` and `model.onnx` of a run: the averaged weights, folded, with the
    card. Returns the ONNX file's path.
    """
    network = build(config.model.network, **config.model.options)
    state = torch.load(run / "last.pt", weights_only=True)
    network.load_state_dict(state["ema"])
    options = dict(config.model.options)
    if isinstance(network, RePlain):
        network.fold()
        options["deployed"] = True
    network.eval()
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    scale = int(network.scale)  # type: ignore[arg-type]
    margin = int(network.margin)  # type: ignore[arg-type]
    card = Card(
        name=config.name,
        network=config.model.network,
        options=options,
        scale=scale,
        margin=margin,
        halo=margin,
        precisions=("f32", "bf16"),
        parameters=sum(p.numel() for p in network.parameters()),
        flops=flops_per_output_pixel(network, scale),
        data=config.data.about,
        licence=config.data.licence,
        recipe=f"recipes/{config.name}.yaml",
        hours=round(minutes_of(run) / 60.0, 2),
        scores={k: {"psnr": last[k]} for k in config.data.valid if k in last},
        version=__version__,
    )
    model = run / "model.onnx"
    export_onnx(network, card, model)
    card = measured(model, card)
    put_card(model, card)
    save_network(network, card, run / "model.safetensors")
    print(f"{model}: {card.parameters} parameters, {card.flops / 1000:.1f} kFLOP per output pixel")
    return model
