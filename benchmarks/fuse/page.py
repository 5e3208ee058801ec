"""The tables of docs/fuse.md, from what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.fuse.reading import WAYS, summary
from benchmarks.record import between_marks, measured_at

Row = dict[str, Any]


def into_page(page: str, name: str, result: Row) -> str:
    """The page with a section's text between its marks. Raises `ValueError` without them."""
    return between_marks(page, name, text_of_section(name, result))


def text_of_section(name: str, result: Row) -> str:
    """The Markdown of one section."""
    told = f"{measured_at(result)}; {result['machine']}.\n\n" if "machine" in result else ""
    return told + (
        _reading(summary(result["plates"])) if name == "reading" else _cells(result["cells"])
    )


def _cells(cells: Sequence[Row]) -> str:
    """A row for each cell: the mean gain over one frame, by kind of scene, and the worst."""
    lines = [
        "| | one frame | `--then none` | default | photographs | plates | worst scene "
        "| `none` over bicubic: mean, worst | motion: median, 95 % | used |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(row_of_cell(cell) for cell in cells),
    ]
    return "\n".join(lines)


def row_of_cell(cell: Row) -> str:
    """A line of a table."""
    rows = cell["scenes"]
    gain = {key: np.array([row[key] - row["single"] for row in rows]) for key in ("none", "then")}
    plain = np.array([row["none"] - row["bicubic"] for row in rows])
    is_plate = np.array([row["scene"].endswith((" px", "background")) for row in rows])
    groups = [_signed(gain["then"][mask]) for mask in (~is_plate, is_plate)]
    motion = "{:.3f}, {:.2f} px".format(*cell["motion"]) if "motion" in cell else "–"
    used = np.mean([row["used"] for row in rows])
    told = f"{used:.1f} of {rows[0]['given']}"
    if "another" in cell["name"]:
        told += f", foreign {sum(row['foreign_used'] for row in rows)}"
    if refused := sum(row["refused"] for row in rows):
        told += f", {refused} refused"
    single = np.mean([row["single"] for row in rows])
    cells = [
        cell["name"],
        f"{single:.2f}",
        _signed(gain["none"]),
        f"**{_signed(gain['then'])}**",
        *groups,
        f"{min(gain['none']):+.2f} / {min(gain['then']):+.2f}",
        f"{_signed(plain)}, {min(plain):+.2f}",
        motion,
        told,
    ]
    return "| " + " | ".join(cells) + " |"


def _signed(values: Any) -> str:
    return f"{np.mean(values):+.2f}" if len(values) else "–"


def _reading(result: Row) -> str:
    """Shares of characters right / confidently wrong, by height; then the pooled comparison."""
    lines = [
        f"{result['plates']} plates.",
        "",
        "| height, px | characters | " + " | ".join(WAYS) + " |",
        "|--:|--:|" + "--:|" * len(WAYS),
    ]
    for height, row in result["rows"].items():
        shares = [f"{row[way][0]:.0%} / {row[way][1]:.1%}" for way in WAYS]
        lines.append(f"| {height} | {row['characters']} | " + " | ".join(shares) + " |")
    pooled = ", ".join(map(str, result["pooled"]))
    lines += ["", f"Pooled over the heights at which `photo` reads 10 to 60 % ({pooled} px):", ""]
    for way, found in result["against"].items():
        low, high = found["ratio_interval"]
        few, many = found["fewer_interval"]
        lines.append(
            f"- {way}: {found['ratio']:.2f} times as many right as `photo` ({low:.2f} to {high:.2f}"
            f"), {found['wrong']:.1%} confidently wrong against {found['wrong_photo']:.1%} "
            f"(difference {100 * few:+.1f} to {100 * many:+.1f} points)"
        )
    return "\n".join(lines)
