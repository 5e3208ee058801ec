"""The deck's table and its curves, from the cells' JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

PART = "city100/valid"
NAMES = {"edsr": "toy EDSR", "swinir": "toy SwinIR", "hybrid": "EDSR + SwinIR"}
PLACES = ("cpu", "gpu")
"""The folders of results, as the table and the rows of the chart name them."""
DECK = {"edsr": 22.7684, "swinir": 21.1658, "hybrid": 23.1245}
COLOURS = {"edsr": "#2563c9", "swinir": "#15803d", "hybrid": "#c2410c"}
_WIDTH, _HEIGHT, _LEFT, _TOP = 460, 300, 52, 28


Cells = Sequence[dict[str, Any]]


def write(results: Path, docs: Path) -> None:
    """Write deck_table.md and deck_table.svg from what cells there are."""
    places = [
        [json.loads(path.read_text()) for path in sorted((results / place).glob("*.json"))]
        for place in PLACES
    ]
    places = [cells for cells in places if cells]
    if not places:
        raise SystemExit(f"no results in {results}; run a cell first")
    (docs / "deck_table.md").write_text(page(places), encoding="utf-8")
    (docs / "deck_table.svg").write_text(chart(places), encoding="utf-8")
    print(f"{docs}/deck_table.md: {' and '.join(str(len(cells)) for cells in places)} cells")


def page(places: Sequence[Cells]) -> str:
    """The page in Markdown: bicubic first, then a row for each cell of each machine."""
    plain = places[0][0]["scores"]
    lines = [
        "# The deck's table, on photographed pairs",
        "",
        "The deck's three models with every width and every number of layers divided by 4, trained "
        "on the 18 pairs of City100's `train.csv` (© 2019 Chang Chen, MIT) in 64² grid patches: "
        "phase 1 with 8 : 2, phase 2 on all with flips, each as long as the table says, judged on "
        "the 4 pairs of `valid.csv`, by which nothing was chosen. "
        "The deck's own numbers stand beside as context: other pictures, not comparable.",
        "",
        "`python -m experiments.deck_table CELL` runs a cell, `… table` writes this page.",
        "",
        "| model | recipe | on | seed | parameters | steps | loss | PSNR Y / SSIM | RGB "
        "| the deck |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
        f"| bicubic | | | | | | | {_score(plain['bicubic y'])} | "
        f"{plain['bicubic rgb']['psnr']:.2f} | |",
    ]
    lines += [row(cell) for cells in places for cell in cells]
    lines += [
        "",
        "![PSNR against time and against steps](deck_table.svg)",
        "",
        "What it says: [experiments/deck_table](../experiments/deck_table/README.md).",
        "",
    ]
    return "\n".join(lines)


def row(cell: dict[str, Any]) -> str:
    """A cell's row of the table."""
    kind = cell["cell"].partition("-")[0]
    steps = " + ".join(f"{phase['steps']:,}" for phase in cell["phases"])
    scores = cell["scores"]
    return (
        f"| {NAMES[kind]} | {cell['recipe']} | {cell['machine']}, "
        f"2 × {told(cell['phases'][0]['minutes'])} | {cell['seed']} | {cell['parameters']:,} | "
        f"{steps} | {scores['loss']:.4f} | {_score(scores['model y'])} | "
        f"{scores['model rgb']['psnr']:.2f} | {DECK[kind]:.2f} |"
    )


def told(minutes: float) -> str:
    """Ten minutes, or seconds where it was a lent GPU's."""
    return f"{minutes:g} minutes" if minutes >= 1 else f"{60 * minutes:.0f} seconds"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _score(score: dict[str, float]) -> str:
    return f"{score['psnr']:.2f} / {score['ssim']:.4f}"


def curve(cell: dict[str, Any], by: str) -> list[tuple[float, float]]:
    """(minutes, seconds or steps, PSNR in dB), phase 2 behind phase 1."""
    points, before = [], 0.0
    for phase in cell["phases"]:
        points += [(before + line[by], line[PART]) for line in phase["curve"] if PART in line]
        before = points[-1][0] if points else 0.0
    return points


def chart(places: Sequence[Cells]) -> str:
    """Two panels for each machine as SVG: against time, and against steps."""
    panels = []
    for row, cells in enumerate(places):
        time = "seconds" if cells[0]["phases"][0]["minutes"] < 1 else "minutes"
        for column, by in enumerate((time, "step")):
            label = f"{by.removesuffix('s')}s on {cells[0]['machine']}"
            panels.append(
                f'<g transform="translate({column * (_WIDTH + 30)} {row * (_HEIGHT + 60)})">'
                f"{_panel(cells, by, label)}</g>"
            )
    key = "".join(
        f'<text x="{_LEFT + 150 * i}" y="14" fill="{COLOURS[kind]}">{escape(name)}</text>'
        for i, (kind, name) in enumerate(NAMES.items())
    )
    height = len(places) * (_HEIGHT + 60)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH + 50} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#4b5563">'
        '<rect width="100%" height="100%" fill="#fff"/>'
        f"{key}{''.join(panels)}</svg>\n"
    )


def _panel(cells: Cells, by: str, label: str) -> str:
    curves = {cell["cell"]: curve(cell, by) for cell in cells}
    every = [point for points in curves.values() for point in points]
    right = max(x for x, _ in every) or 1.0
    # The first points of an untrained network would flatten all others.
    top = max(y for _, y in every)
    bottom = max(min(y for _, y in every), top - 3.0)
    top, bottom = top + 0.05, bottom - 0.05

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - 10) * x / right
        down = _TOP + (_HEIGHT - _TOP) * (top - max(y, bottom)) / (top - bottom)
        return across, down

    parts = []
    for i in range(5):
        value = bottom + (top - bottom) * i / 4
        x, y = place(0, value)
        parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDTH - 10}" y2="{y:.1f}" '
            f'stroke="#e5e8ec"/><text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">'
            f"{value:.2f}</text>"
        )
        x, y = place(right * i / 4, bottom)
        parts.append(
            f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">'
            f"{_number(right * i / 4)}</text>"
        )
    for name, points in curves.items():
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in points)
        dash = ' stroke-dasharray="5 4"' if name.endswith("muon") else ""
        colour = COLOURS[name.partition("-")[0]]
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}>'
            f"<title>{escape(name)}</title></polyline>"
        )
    parts.append(
        f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT + 38}" text-anchor="middle">'
        f"PSNR Y (dB) against {label}; dashed: Muon</text>"
    )
    return "".join(parts)
