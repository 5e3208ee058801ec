"""Average the weights of two runs: `python average.py SHARE RUN OTHER OUT`.

OUT/last.ckpt gets SHARE of RUN's averaged weights and the rest of OTHER's, as network and as
average; config and log are RUN's.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from enlarge.training.fit import network_of


def main(share: float, run: Path, other: Path, out: Path) -> None:
    """Write the average of two runs as a run."""
    one, two = (network_of(folder / "last.ckpt", "average") for folder in (run, other))
    mixed = {key: one[key] * share + two[key] * (1.0 - share) for key in one}
    checkpoint = torch.load(run / "last.ckpt", weights_only=True)
    for key, value in mixed.items():
        for which in ("network", "average"):
            checkpoint["state_dict"][f"{which}.{key}"] = value
    out.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, out / "last.ckpt")
    for name in ("config.yaml", "log.jsonl"):
        shutil.copy(run / name, out / name)


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(Path, sys.argv[2:5]))
