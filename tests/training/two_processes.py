"""A run by several processes, as a script that Lightning can start again."""

from __future__ import annotations

import sys
from pathlib import Path

from enlarge.training.config import load_config
from enlarge.training.fit import fit

if __name__ == "__main__":
    fit(load_config(Path(sys.argv[1]), sys.argv[2:]))
