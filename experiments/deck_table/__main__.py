"""The deck's table, one cell at a time.

    python -m experiments.deck_table hybrid-1         train and judge one cell (about 20 minutes)
    python -m experiments.deck_table                  say which cells are done here
    python -m experiments.deck_table table            write docs/deck_table.md and its chart
    python -m experiments.deck_table adopt FOLDER MACHINE     cells that a lent GPU trained

A cell is a model and a seed: phase 1 (train : valid 8 : 2 of city100's train.csv, 64² grid patches)
and phase 2 (all of it, with flips), MINUTES each, judged on valid.csv, by which nothing is chosen.
Run it alone on the machine. MINUTES=0.1 in the environment tries it out: no results are
written, and runs/deck_table is to be deleted afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from enlarge.metrics.evaluation import Result, bicubic, evaluate, model_method
from enlarge.metrics.pairs import find_set
from enlarge.metrics.protocol import Protocol
from enlarge.networks import build
from enlarge.training.config import Config, data_root, load_config
from enlarge.training.fit import RUNS, fit
from enlarge.training.result import write_model
from enlarge.weights.card import Card
from enlarge.weights.catalog import Weights
from enlarge.weights.export import (
    describe,
    export_onnx,
    load_network,
    round_to_half,
    with_card,
)
from enlarge.weights.measuring import LADDER, measured
from experiments.deck_table.cells import CELLS, Cell
from experiments.gpu.ship import read

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS, MODELS = HERE / "results", HERE / "models"
CITY = Path("real/city100")
ABOUT, LICENCE = "City100's 18 training pairs, photographed", "MIT, © 2019 Chang Chen"

OWN, LENT = "cpu", "gpu"
"""The folders of results: of this machine's cores, and of a lent GPU."""
KEPT = "-1"
"""How the names of the cells end whose models are kept, where this machine trained them."""


def config_of(name: str, cell: Cell, phase: int, minutes: float) -> Config:
    """The recipe of one phase of a cell."""
    recipe = ROOT / "recipes" / ("deck_hybrid.yaml" if phase == 1 else "deck_hybrid_2.yaml")
    start = f"{RUNS}/deck_table/{name}_1/last.ckpt" if phase == 2 else ""
    city = data_root() / CITY
    config = load_config(
        recipe,
        [
            f"name=deck_table/{name}_{phase}",
            f"data.pairs=[{city / 'train.csv'}]",
            f"data.valid=[{city / 'valid.csv'}]",
            f"model.network={cell.network}",
            f"data.about={ABOUT}",
            f"data.licence={LICENCE}",
            f"model.start={start}",
            f"train.seed={cell.seed}",
            "train.epochs=0",
            f"train.minutes={minutes}",
            f"train.check_every={cell.check_every}",
            "train.keep=last",
            *cell.overrides,
        ],
    )
    return replace(config, model=replace(config.model, options={"scale": 4, **cell.options}))


def run(name: str, cell: Cell, minutes: float) -> None:
    """Train both phases, export, judge, and write the cell's JSON and its model."""
    phases = []
    folder = Path()
    for phase in (1, 2):
        config = config_of(name, cell, phase, minutes)
        if (RUNS / config.name / "last.ckpt").exists():
            raise SystemExit(f"{RUNS / config.name} is there; delete it to train the cell again")
        folder = fit(config)
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        phases.append({"minutes": minutes, "steps": lines[-1]["step"], "curve": lines})
    write_model(config, folder)
    network, card = load_network(folder / "model.safetensors")
    record(name, cell, network, card, phases, OWN, f"{os.cpu_count()} CPU cores")


def adopt(folder: Path, machine: str) -> None:
    """Take over the files and the log that `experiments.gpu.calls deck` left on a lent GPU."""
    states = read(folder)
    logs = json.loads((folder / "logs.json").read_text())
    for name, cell in CELLS.items():
        phases = []
        for phase in (1, 2):
            log = logs[f"deck-{name}-{phase}"]
            curve = [{**line, "minutes": line["seconds"] / 60} for line in log if line["steps"]]
            phases.append(
                {"minutes": curve[-1]["minutes"], "steps": int(log[-1]["step"]), "curve": curve}
            )
        options = {"scale": 4, **cell.options}
        network = build(cell.network, **options)
        state = {key: value.float() for key, value in states[f"deck-{name}-2"].items()}
        network.load_state_dict(state)
        card = describe(
            network,
            name=f"deck-{name}",
            architecture=cell.network,
            options=options,
            data=ABOUT,
            licence=LICENCE,
            recipe="experiments/deck_table",
            hours=round(sum(phase["minutes"] for phase in phases) / 60, 4),
            scores={},
        )
        record(name, cell, network.eval(), card, phases, LENT, machine)


def record(
    name: str,
    cell: Cell,
    network: nn.Module,
    card: Card,
    phases: list[dict[str, Any]],
    place: str,
    machine: str,
) -> None:
    """Export the trained network, judge it, and write the cell's JSON."""
    round_to_half(network)
    card = replace(card, name=f"deck-{name}", recipe="experiments/deck_table")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / f"{name}.onnx"
        export_onnx(network, card, model, half=True)
        if not card.tiles:  # adopted: judged in tiles as a model trained here is
            card = measured(model, card, LADDER)
        with_card(model, card)
        scores = judge(Weights(model, card))
        if place == OWN and name.endswith(KEPT) and "MINUTES" not in os.environ:
            MODELS.mkdir(exist_ok=True)
            shutil.copyfile(model, MODELS / model.name)
    found = {
        "cell": name,
        "network": cell.network,
        "options": cell.options,
        "seed": cell.seed,
        "recipe": cell.about,
        "parameters": card.parameters,
        "flops": card.flops,
        "machine": machine,
        "phases": phases,
        "scores": scores,
    }
    if "MINUTES" in os.environ:
        print(f"(a trial: nothing was written) {scores}")
        return
    written = RESULTS / place / f"{name}.json"
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{written}: {scores}")


def judge(weights: Weights) -> dict[str, Any]:
    """PSNR and SSIM on valid.csv of the model and of bicubic, in Y and in RGB; and the L1 loss."""
    data = find_set(data_root() / CITY / "valid.csv", 4)
    scores: dict[str, Any] = {}
    for colour in ("y", "rgb"):
        protocol = Protocol(colour, None, False)
        methods = [bicubic(), model_method(weights, precision="f32")]
        results: list[Result] = evaluate(methods, data, protocol)
        for who, result in zip(("bicubic", "model"), results, strict=True):
            scores[f"{who} {colour}"] = {"psnr": result.psnr, "ssim": result.ssim}
    scores["loss"] = loss_of(weights)
    return scores


def loss_of(weights: Weights) -> float:
    """Mean absolute error on valid.csv of the 8-bit output, in [0, 1] as training measures it."""
    from enlarge.metrics.pairs import load

    data = find_set(data_root() / CITY / "valid.csv", 4)
    method = model_method(weights, precision="f32")
    errors = []
    for pair in data.pairs:
        low, high, _ = load(pair, 4)
        errors.append(np.abs(method.run(low, 4) / 255.0 - high / 255.0).mean())
    return float(np.mean(errors))


def main(arguments: list[str]) -> None:
    """One cell, the table, or what there is."""
    minutes = float(os.environ.get("MINUTES", "10"))
    if arguments[:1] == ["adopt"]:
        adopt(Path(arguments[1]), arguments[2])
        return
    for argument in arguments:
        if argument == "table":
            from experiments.deck_table.table import write

            write(RESULTS, ROOT / "docs")
        elif argument in CELLS:
            run(argument, CELLS[argument], minutes)
        else:
            raise SystemExit(f"no cell {argument!r}; there are: {', '.join(CELLS)}, and table")
    if not arguments:
        for name in CELLS:
            done = (RESULTS / OWN / f"{name}.json").exists()
            print(f"{'done' if done else 'to do':6} {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
