"""The deck's table on a GPU: City100's pairs, and the cells as jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from enlarge.data.photos import Pair
from experiments.deck_table.cells import CELLS
from experiments.gpu.learn import Job
from experiments.gpu.pictures import decode_rgb, packed

CITY_PART = "city100/valid"
PHASES = (1, 2)


def city_pairs(folder: Path) -> dict[str, list[Pair]]:
    """The photographed pairs of a pack, by part (`train`, `valid`), in the lists' order."""
    found = {n: decode_rgb(data) for n, data in packed(folder) if n.startswith("city-")}
    pairs: dict[str, list[Pair]] = {"train": [], "valid": []}
    for part, sides in (("train", "city-low"), ("valid", "city-valid-low")):
        count = sum(name.startswith(f"{sides}/") for name in found)
        for number in range(count):
            low = found[f"{sides}/{number}"]
            high = found[f"{sides.replace('low', 'high')}/{number}"]
            high = np.ascontiguousarray(high[: 4 * low.shape[0], : 4 * low.shape[1]])
            pairs[part].append(Pair(f"{part}-{number}", low, high))
    return pairs


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
