"""The deck's table on a GPU: City100's pairs, the grid of patches, and the cells as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from enlarge.data.patches import grid
from experiments.deck_table.cells import CELLS
from experiments.gpu.learn import Job
from experiments.gpu.pictures import Pixels, decode_rgb

CITY_PART = "city100/valid"
PHASES = (1, 2)


def city_pairs(folders: Sequence[Path]) -> dict[str, list[tuple[Pixels, Pixels]]]:
    """The photographed pairs of the packs, by part (`train`, `valid`), in the lists' order."""
    found: dict[str, Pixels] = {}
    for folder in folders:
        data = (folder / "pictures.bin").read_bytes()
        start = 0
        for name, size in json.loads((folder / "pictures.json").read_text()):
            if name.startswith("city-"):
                found[name] = decode_rgb(data[start : start + size])
            start += size
    pairs: dict[str, list[tuple[Pixels, Pixels]]] = {"train": [], "valid": []}
    for part, sides in (("train", "city-low"), ("valid", "city-valid-low")):
        count = sum(name.startswith(f"{sides}/") for name in found)
        for number in range(count):
            low = found[f"{sides}/{number}"]
            high = found[f"{sides.replace('low', 'high')}/{number}"]
            pairs[part].append((low, high[: 4 * low.shape[0], : 4 * low.shape[1]]))
    return pairs


def grid_patches(
    pairs: Sequence[tuple[Pixels, Pixels]], patch: int
) -> Iterator[tuple[Pixels, Pixels]]:
    """The patches of the deck's grid, LR and HR: the last row and column lie flush."""
    for low, high in pairs:
        for y, x in grid(low.shape[0], low.shape[1], patch):
            yield (
                np.ascontiguousarray(low[y : y + patch, x : x + patch]),
                np.ascontiguousarray(high[4 * y : 4 * (y + patch), 4 * x : 4 * (x + patch)]),
            )


def as_tensors(pair: tuple[Pixels, Pixels], device: torch.device) -> tuple[Tensor, Tensor]:
    """Both sides as (3, H, W), uint8."""
    low, high = (torch.from_numpy(s.transpose(2, 0, 1).copy()).to(device) for s in pair)
    return low, high


def deck_jobs(seconds: float, cells: str, *, small: bool) -> Iterator[Job]:
    """Two phases of `seconds` each of every cell whose name begins with one of `cells`."""
    for name, cell in CELLS.items():
        if not name.startswith(tuple(cells.split(","))):
            continue
        muon = bool(cell.overrides)
        for phase in PHASES:
            yield Job(
                f"deck-{name}-{phase}",
                cell.network,
                {"scale": 4, **cell.options},
                seconds,
                ((1.0, 2 if small else 16, 64),),
                lr=0.01,
                lr_rest=1e-3 if muon else 1e-4,
                decay=0.5 if muon else 1.0,
                ema=0.99 if muon else 0.0,
                warmup=50 if muon else 0,
                clip=1.0 if muon else 0.0,
                beta=0.99 if muon else 0.999,
                flat=0.0,
                turned="flips" if phase == 2 else "none",
                start=f"deck-{name}-1" if phase == 2 else "",
                seed=10 * cell.seed + phase,
                every=seconds / 12,
                prepared=True,
                extra={} if muon else {"adam": True},
            )
