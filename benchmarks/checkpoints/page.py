"""The tables of docs/checkpoints.md, from what was measured."""

from __future__ import annotations

from typing import Any

from benchmarks.record import measured_at

Found = dict[str, Any]
TITLES = {"openvino": "OpenVINO", "torch": "PyTorch", "ncnn": "ncnn"}
INTRODUCTIONS = {
    "ncnn": "**Models that packages for ncnn carry**, against ncnn.",
    "families": (
        "**Families that spandrel knows**, as small networks with random weights, against spandrel "
        "in PyTorch."
    ),
    "onnx": "**ONNX files in other conventions**, against ONNX Runtime.",
    "exports": (
        "**What `enlarge export` writes**, against the engine that it is written for; levels are "
        "those of both against PyTorch."
    ),
}
"""By section."""


def text_of_section(name: str, found: Found) -> str:
    """The Markdown of one section."""
    rows = [row for row in found["rows"] if not row["failed"]]
    slower = [row["name"] for row in rows if row["ratio"]["default"] < 1]
    said = f"{len(rows)} of {len(found['rows'])} open and run"
    if rows:
        said += f"; in f32 they differ by at most {max(map(worst, rows)):.3f} levels of 255"
    said += f"; slower than at home by default: {', '.join(slower) or 'none'}."
    lines = [
        INTRODUCTIONS[name] + " " + said,
        "",
        "| | file | | opens | runs in | levels | f32: here, there | default: here, there | × |",
        "|---|---|--:|---|---|--:|--:|--:|--:|",
        *map(line_of_row, found["rows"]),
        "",
        f"`python -m benchmarks.checkpoints {name}`, {measured_at(found)}; {found['machine']}.",
    ]
    return "\n".join(lines)


def worst(row: Found) -> float:
    """The largest difference from the home engine, in levels."""
    return max(row["levels"].values(), default=0.0)


def line_of_row(row: Found) -> str:
    """A line of a table."""
    if row["failed"]:
        reason = row["failed"].replace("|", "\\|")
        return f"| {row['name']} | {row['file']} | | no: {reason} | | | | | |"
    ms = row["ms"]
    cells = [
        row["name"],
        row["file"],
        f"×{row['scale']}",
        "yes",
        f"{TITLES[row['engine']]}, {row['precision']}",
        f"{worst(row):.3f}",
        f"{_number(ms['f32'])}, {_number(ms['home f32'])}",
        _pair(ms),
        f"{row['ratio']['default']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _pair(ms: dict[str, float]) -> str:
    """Milliseconds by default here and there, of which either may be those in f32."""
    here, there = ms.get("default", ms["f32"]), ms.get("home default", ms["home f32"])
    return f"{_number(here)}, {_number(there)} ms"


def _number(milliseconds: float) -> str:
    """Three digits, or all before the point."""
    digits = 2 if milliseconds < 1 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:.{digits}f}"
