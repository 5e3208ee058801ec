"""What a proof says, and how it runs the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """A claim, what was measured, and whether the claim holds."""

    claim: str
    measured: str
    holds: bool


class Missing(Exception):
    """Raised by a proof that needs what this machine lacks: its last result is kept."""


Proof = Callable[[], Result]


def enlarge(*arguments: str | Path) -> dict[str, Any]:
    """Run the command in a process of its own; its JSON about the one picture."""
    code = "from enlarge.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    (result,) = json.loads(done.stdout)["results"]
    return dict(result)


def refusal(*arguments: str | Path) -> str:
    """Run the command, which must fail with status 1; its one line."""
    code = "from enlarge.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    return done.stderr.strip()
