"""Briefly trained networks: random weights say nothing of precision and of how far tiles reach."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from enlarge.training.config import data_root

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "out" / "brief"
RRDB_SMALL = {"features": 32, "blocks": 6, "growth": 16}
"""margin 94: beyond what tiles overlap by as a matter of course."""
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "edsr-baseline": ("edsr-baseline", {}),
    "swinir-light": ("swinir-light", {}),
    "rrdb-small": ("rrdb", RRDB_SMALL),
}


def trained(name: str, minutes: float) -> Path:
    """The ONNX file of one of `NETWORKS`, trained by `enlarge train` on the photographs for that
    long (0: two steps); kept in out/brief for the next call.
    """
    run = f"{name}-{minutes:g}"
    model = FOLDER / "runs" / run / "model.onnx"
    if model.is_file():
        return model
    network, options = NETWORKS[name]
    recipe = {
        "name": run,
        "data": {"photos": [str(data_root().resolve() / "photos")], "valid": []},
        "model": {"network": network, "options": options},
        "train": {
            "minutes": minutes,
            "steps": 0 if minutes else 2,
            "batch": 4,
            "patch": 32,
            "optimizer": "muon",  # with Adam an RRDB learns nothing in minutes
            "lr": 0.01,
            "lr_rest": 0.001,
            "warmup": 10,
            "ema": 0,
            "keep": "last",
        },
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{run}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    line = [sys.executable, "-m", "enlarge", "train", str(path), "--overwrite", "--quiet"]
    subprocess.run(line, cwd=FOLDER, check=True)
    return model
