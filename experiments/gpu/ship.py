"""Turn what came back from the lent machine into the wheel's files, with their cards.

    python -m experiments.gpu.ship FOLDER NAME… [--take STATE]

FOLDER holds the files that the calls left in $OUT. Afterwards `python -m benchmarks.score FILE…`
writes the scores. `--take` ships another of the states under the one NAME (quality-2).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from enlarge.networks import build, resolve
from enlarge.networks.replain import RePlain
from enlarge.training.result import write_files
from enlarge.weights.network_file import describe_network, round_to_half

SHIPPED = Path(__file__).parents[2] / "src" / "enlarge" / "weights" / "data"
PICTURES = (
    "`free` photographs (wiki, Unsplash, Debian wallpapers, imagecompression.info) and those of "
    "src/enlarge/weights/data/SOURCES.tsv"
)
FIRST = "; 1,671 tiles, 193 megapixels; 867 also reduced to 0.7"
BOTH = "; 3,944 tiles, 371 megapixels"
SECOND = {  # the models of the second sitting
    "quality": f"{FIRST}; then {BOTH.removeprefix('; ')}, 886 also reduced to 0.85 and 0.7",
    "fast": f"{FIRST}; then {BOTH.removeprefix('; ')}, taught by quality's self-ensemble",
}
LICENCE = (
    "public domain, CC0, CC-BY, CC-BY-SA, Unsplash, Pexels, LGPL, GPL, BSD, MIT; authors in "
    "src/enlarge/weights/data/SOURCES.tsv"
)
CHAINS = "; LR by the chains compressed, cctv, old, real and bicubic; City100's 18 training pairs"
CITY = "; City100 MIT, © 2019 Chang Chen"
HOURS = {  # on one H200; a model that starts from another counts its hours too
    "quality": (289 + 230) / 3600,
    "fast": (95 + 156) / 3600,
    "photo": (289 + 79) / 3600,
    "quality-x2": (289 + 91) / 3600,
    "fast-x2": (95 + 60) / 3600,
}


def read(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Every state that came back, by name: the files hold tensors called NAME/KEY."""
    states: dict[str, dict[str, torch.Tensor]] = {}
    for file in sorted(folder.glob("*.pt")):
        for name, tensor in torch.load(file, weights_only=True).items():
            state, _, key = name.partition("/")
            states.setdefault(state, {})[key] = tensor
    return states


def ship(name: str, state: dict[str, torch.Tensor]) -> None:
    """Fold, round to fp16 where the file would be large, describe, measure, write both files."""
    scale = 2 if name.endswith("-x2") else 4
    preset: dict[str, Any] = {"scale": scale}
    if name.startswith("fast"):
        preset |= {"channels": 32, "blocks": 6, "taps": 4}
    architecture, options = resolve("replain" if name.startswith("fast") else "edswin-s", preset)
    network = build(architecture, **options)
    network.load_state_dict({key: value.float() for key, value in state.items()})
    if isinstance(network, RePlain):
        network.fold()
        options["deployed"] = True
    half = architecture == "edswin"
    if half:
        round_to_half(network)
    network.eval()
    photo = name.startswith("photo")
    card = describe_network(
        network,
        name=name,
        architecture=architecture,
        options=options,
        data=PICTURES + SECOND.get(name, FIRST) + (CHAINS if photo else "; LR by MATLAB's bicubic"),
        licence=LICENCE + (CITY if photo else ""),
        recipe=f"recipes/{name}.yaml",
        hours=round(HOURS[name], 4),
        scores={},
    )
    card = write_files(network, card, SHIPPED / f"{name}.onnx", half=half)
    print(f"{name}: {card.parameters} parameters, halo {card.halo}, {card.precisions}", flush=True)


def main() -> None:
    """Ship every NAME."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--take", default="")
    arguments = parser.parse_args()
    states = read(arguments.folder)
    for name in arguments.names:
        ship(name, states[arguments.take or name])


if __name__ == "__main__":
    main()
