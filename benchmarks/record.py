"""What the measurements share: where results are written, and what they say of the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1] / "docs"


def stamp() -> dict[str, str]:
    """Date, commit and machine."""
    text = Path("/proc/cpuinfo").read_text()
    models = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    git = ["git", "describe", "--always", "--dirty"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip(),
        "machine": f"{models[0]}, {len(models)} cores, Python {sys.version.split()[0]}",
    }


def signature(result: dict[str, Any], module: str) -> str:
    """The line under a page's heading."""
    return (
        f"Written by `python -m benchmarks.{module}` on {result['date']}, commit "
        f"{result['commit']}; {result['machine']}."
    )


def keep(folder: Path, rows: list[dict[str, Any]], settings: Mapping[str, float]) -> None:
    """FOLDER/results.json of an experiment: its rows, under what they were measured with. Nothing
    is written where one of the settings came from the environment, as a trial's do.
    """
    if tried := [name for name in settings if name.upper() in os.environ]:
        print(f"(a trial, by {', '.join(tried)}: results.json stays as it was)")
        return
    text = json.dumps({**stamp(), **settings, "rows": rows}, ensure_ascii=False, indent=1)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")


def write(name: str, result: dict[str, Any], page: str, *, trial: bool) -> None:
    """docs/NAME.json and docs/NAME.md; a trial is printed and writes nothing."""
    print(page)
    if trial:
        print("(a trial: nothing was written, and its numbers mean nothing)")
        return
    text = json.dumps(result, ensure_ascii=False, indent=1)
    (DOCS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (DOCS / f"{name}.md").write_text(page, encoding="utf-8")
