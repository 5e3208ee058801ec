"""Choose the limits by which `auto` tells degraded pictures from clean ones:

    python -m experiments.auto.limits [--every 4] [--cases FILE]

They are those in `enlarge.picture.looking`. Photographs for training, each in the forms of
`benchmarks.auto`, are enlarged by both models; then each limit in turn is moved to where the mean
loss of the choices against the better model is least, until none moves. `--cases` keeps what was
measured, so that a second search takes seconds.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.auto import Case, candidates, degraded, judged, middle_of
from benchmarks.photo import Enlarge
from numpy.typing import NDArray

from enlarge.data.photos import list_photos
from enlarge.media.reading import open_picture
from enlarge.picture import looking
from enlarge.picture.looking import Looks, find_kind, looks_of
from enlarge.training.config import data_root

Decibels = NDArray[np.float64]
LIMITS: dict[str, Sequence[float]] = {
    "QUALITY": (40, 50, 60, 70, 75, 80, 85, 90, 92, 95, 98),
    "NOISE": np.arange(0.5, 8.1, 0.2).tolist(),
    "WHITE": np.arange(0.4, 1.3, 0.03).tolist(),
    "FAINT": np.arange(0.25, 6.0, 0.14).tolist(),
    "EVEN": np.arange(0.6, 1.0, 0.02).tolist(),
    "COLOUR_NOISE": np.arange(1.0, 12.1, 0.5).tolist(),
    "COLOUR_WHITE": np.arange(0.6, 2.1, 0.1).tolist(),
    "BLOCKS": np.arange(0.05, 1.2, 0.03).tolist(),
    "SOFT": np.arange(0.45, 0.66, 0.01).tolist(),
    "ROUGH": np.arange(0.66, 0.9, 0.01).tolist(),
}
WORST = 0.02
"""What a dB of the worst hundredth's mean loss counts beside one of the mean of all."""


def measured(case: Case, models: dict[str, Enlarge]) -> dict[str, Any]:
    """The figures of a picture, and by how many dB the model for degraded pictures is ahead."""
    with open_picture(io.BytesIO(case.file)) as picture:
        quality = picture.facts.quality
    found = judged(case, models)
    clean, other = found["psnr"].values()
    figures = asdict(looks_of(case.low, quality=quality))
    return {"group": case.group, "ahead": other - clean, "looks": figures}


def measure(every: int) -> list[dict[str, Any]]:
    """Of one photograph of so many, all forms."""
    models, found = candidates(), []
    for number, path in enumerate(list_photos(data_root() / "photos", ["free"])[::every]):
        forms = degraded(path.stem, middle_of(path), number)
        found += [measured(case, models) for case in forms]
        print(f"{path.stem}: {len(found)} pictures", flush=True)
    return found


def losses(looks: Sequence[Looks], ahead: Decibels) -> Decibels:
    """By how many dB each choice is below the better model."""
    other = np.array([find_kind(one).kind != "clean" for one in looks])
    return np.maximum(np.where(other, -ahead, ahead), 0.0)


def cost(loss: Decibels) -> float:
    """What is made small."""
    worst = np.sort(loss)[-max(1, len(loss) // 100) :]
    return float(loss.mean() + WORST * worst.mean())


def search(looks: Sequence[Looks], ahead: Decibels) -> None:
    """Move the limits in the module, one at a time."""
    least = cost(losses(looks, ahead))
    moved = True
    while moved:
        moved = False
        for name, values in LIMITS.items():
            best = getattr(looking, name)
            for value in values:
                setattr(looking, name, value)
                if (now := cost(losses(looks, ahead))) < least - 1e-6:
                    least, best, moved = now, value, True
            setattr(looking, name, best)


def main() -> None:
    """Measure, search, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--every", type=int, default=4, help="one photograph of so many")
    parser.add_argument("--cases", type=Path, help="JSON of what was measured")
    options = parser.parse_args()
    if options.cases is not None and options.cases.is_file():
        found = json.loads(options.cases.read_text(encoding="utf-8"))
    else:
        found = measure(options.every)
        if options.cases is not None:
            options.cases.write_text(json.dumps(found), encoding="utf-8")
    looks = [Looks(**one["looks"]) for one in found]
    ahead = np.array([one["ahead"] for one in found])
    for what, all_of in (("the first alone", ahead), ("the second alone", -ahead)):
        print(f"{what}: {np.maximum(all_of, 0).mean():.4f} dB below the better one")
    print(f"limits as they are: {losses(looks, ahead).mean():.4f}")
    search(looks, ahead)
    loss = losses(looks, ahead)
    print({name: round(getattr(looking, name), 3) for name in LIMITS})
    print(f"mean {loss.mean():.4f}, worst {loss.max():.2f}")
    for group in dict.fromkeys(one["group"] for one in found):
        own = np.array([one["group"] == group for one in found])
        print(f"{group:12s} ahead {ahead[own].mean():+.2f}  loss {loss[own].mean():.3f}")


if __name__ == "__main__":
    main()
