"""What the measurements share: where results are written, and what they say of the machine."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.caps import cap_in_force

RESULTS = Path(__file__).parent
DOCS = RESULTS.parent / "docs"
_SETS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "bf16": {"avx512_bf16", "amx_bf16", "bf16"},
}
"""By name, the flags of the kernel of which one is enough."""


def stamp() -> dict[str, str]:
    """Date, commit and machine."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": f"{machine()}, Python {sys.version.split()[0]}",
    }


def machine() -> str:
    """The processor's name, its cores, which of the instruction sets that matter it has, and the
    cap on them.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        text = ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    name = names[0] if names else platform.processor() or platform.machine()
    told = [name, f"{os.cpu_count()} cores", *(instruction_sets(text) or ["no AVX2"])]
    if cap := cap_in_force():
        told.append(f"capped at {cap}")
    return ", ".join(told)


def instruction_sets(cpuinfo: str) -> list[str]:
    """Which of AVX2, AVX-512, VNNI and bf16 the first core has, from the text of /proc/cpuinfo."""
    lines = cpuinfo.split("\n\n")[0].splitlines()
    flags = {
        word for line in lines if line.startswith(("flags", "Features")) for word in line.split()
    }
    return [name for name, any_of in _SETS.items() if any_of & flags]


def commit() -> str:
    """The current commit, with `-dirty` if anything but recorded results is changed; in a copy
    without its history, what ENLARGE_COMMIT says.
    """
    try:
        head = _git("describe", "--always")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("ENLARGE_COMMIT", "unknown")
    written = (":!docs", ":!README.md", ":!benchmarks/*.json")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", *written)
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    line = ["git", *arguments]
    done = subprocess.run(line, cwd=RESULTS.parent, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def measured_at(result: Mapping[str, Any]) -> str:
    """The date and commit of a result; one of a modified tree is to be measured again."""
    if str(result["commit"]).endswith("-dirty"):
        return f"{result['date']}, from uncommitted code (to be measured again)"
    return f"{result['date']}, commit {result['commit']}"


def signature(result: dict[str, Any], module: str) -> str:
    """The line under a page's heading."""
    return (
        f"Written by `python -m benchmarks.{module}` on {measured_at(result)}; {result['machine']}."
    )


def between_marks(page: str, name: str, text: str) -> str:
    """The page with that text between the marks of that name. Raises `ValueError` without them."""
    marks = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(page):
        raise ValueError(f"the page has no <!-- {name}: … --> and <!-- /{name} -->")
    return marks.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


def write(name: str, result: dict[str, Any], page: str, *, trial: bool) -> None:
    """Write benchmarks/NAME.json and docs/NAME.md; a trial is printed and writes nothing."""
    print(page)
    if trial:
        print("(a trial: nothing was written, and its numbers mean nothing)")
        return
    _write_json(name, result)
    (DOCS / f"{name}.md").write_text(page, encoding="utf-8")


def _write_json(name: str, result: Mapping[str, Any]) -> None:
    text = json.dumps(result, ensure_ascii=False, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
