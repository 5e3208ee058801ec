"""Average the weights of two runs: `python average.py SHARE RUN OTHER OUT`.

OUT/last.pt gets SHARE of RUN's averaged weights and the rest of OTHER's, for both `raw` and `ema`;
config and log are RUN's.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch


def main(share: float, run: Path, other: Path, out: Path) -> None:
    """Write the average of two runs as a run."""
    one, two = (torch.load(folder / "last.pt", weights_only=True)["ema"] for folder in (run, other))
    mixed = {key: one[key] * share + two[key] * (1.0 - share) for key in one}
    out.mkdir(parents=True, exist_ok=True)
    torch.save({"raw": mixed, "ema": mixed}, out / "last.pt")
    for name in ("config.yaml", "log.jsonl"):
        shutil.copy(run / name, out / name)


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(Path, sys.argv[2:5]))
