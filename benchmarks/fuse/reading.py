"""Number plates read: how many characters are right, how many confidently wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.fuse.camera import SCALE, Camera, Pixels, burst
from benchmarks.fuse.judging import cut, enlarger, fused
from benchmarks.fuse.reader import Reader, score
from benchmarks.fuse.scenes import STYLES, Plate, plate
from enlarge.errors import InputError

HEIGHTS = tuple(range(6, 15))
PLATES = 200
FRAMES = 16
CAMERA = Camera(noise=16.0, jpeg=40, blur=1.0)
CONTRAST = (0.15, 0.5)
"""Of what a plate has in daylight: it is read at night, and each plate has its own light."""
WAYS = ("bicubic", "photo", "fused, no network", "fused", "original")
Row = dict[str, Any]


def dimmed(given: Plate, random: np.random.Generator) -> Plate:
    """The plate at night."""
    contrast = np.float32(random.uniform(*CONTRAST))
    scene = replace(given.scene, pixels=50 + contrast * (given.scene.pixels - 20))
    return replace(given, scene=scene)


def read_plate(number: int) -> Row:
    """One plate by every way: {way: [right, wrong, unread]}, its height and its characters."""
    cv2.setNumThreads(1)
    random = np.random.default_rng([25, number])
    country = list(STYLES)[number % len(STYLES)]
    shown = dimmed(plate(country, HEIGHTS[number % len(HEIGHTS)], random), random)
    given = burst(shown.scene, CAMERA, FRAMES, random)
    frame, region = given.frames[given.reference], shown.scene.region
    pictures = {
        "bicubic": cut(enlarger("bicubic")(frame), region),
        "photo": cut(enlarger("photo")(frame), region),
        "original": shown.scene.wanted,
    }
    try:
        pictures["fused, no network"] = fused(given, shown.scene, then="none").picture
        pictures["fused"] = fused(given, shown.scene).picture
    except InputError:
        pictures["fused, no network"] = pictures["fused"] = pictures["photo"]
    row: Row = {"height": shown.height, "characters": len(shown.text)}
    reader = Reader()
    for way in WAYS:
        found = score(reader(_line(pictures[way], shown)), shown.text)
        row[way] = [found.right, found.wrong, found.unread]
    return row


def _line(picture: Pixels, shown: Plate) -> Pixels:
    """The line of text, with a quarter of its height around it."""
    left, top, right, bottom = shown.line
    around = SCALE * shown.height // 4
    return picture[max(0, top - around) : bottom + around, max(0, left - around) : right + around]


def readable(rows: Sequence[Row]) -> list[int]:
    """The heights at which `photo` reads 10 to 60 % of the characters."""
    found = []
    for height in HEIGHTS:
        mine = [row for row in rows if row["height"] == height]
        share = _sum(mine, "photo")[0] / max(1, sum(row["characters"] for row in mine))
        if 0.1 <= share <= 0.6:
            found.append(height)
    return found


def _sum(rows: Sequence[Row], way: str) -> NDArray[np.float64]:
    return np.sum([row[way] for row in rows], axis=0, dtype=np.float64) if rows else np.zeros(3)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Shares by height and way, and fused against `photo`, with a paired bootstrap over plates."""
    table = {}
    for height in HEIGHTS:
        mine = [row for row in rows if row["height"] == height]
        total = max(1, sum(row["characters"] for row in mine))
        table[str(height)] = {"plates": len(mine), "characters": total} | {
            way: (_sum(mine, way) / total).tolist() for way in WAYS
        }
    heights = readable(rows)
    pool = [row for row in rows if row["height"] in heights]
    return {"rows": table, "pooled": heights, "against": _against(pool), "plates": len(rows)}


def _against(pool: Sequence[Row]) -> dict[str, Any]:
    """For both ways of fusing: right characters as a multiple of those of `photo`, confidently
    wrong ones less those of `photo` (a share of all), both with 95 % intervals.
    """
    if not pool:
        return {}
    random = np.random.default_rng(0)
    draws = random.integers(0, len(pool), (2000, len(pool)))
    count = np.array([row["characters"] for row in pool], np.float64)
    values = {way: np.array([row[way] for row in pool], np.float64) for way in WAYS}
    found = {}
    for way in ("fused, no network", "fused"):
        right, wrong = values[way][:, 0], values[way][:, 1]
        base_right, base_wrong = values["photo"][:, 0], values["photo"][:, 1]
        ratios = right[draws].sum(1) / np.maximum(base_right[draws].sum(1), 1)
        fewer = (wrong - base_wrong)[draws].sum(1) / count[draws].sum(1)
        found[way] = {
            "ratio": float(right.sum() / max(base_right.sum(), 1)),
            "ratio_interval": np.percentile(ratios, [2.5, 97.5]).tolist(),
            "wrong": float(wrong.sum() / count.sum()),
            "wrong_photo": float(base_wrong.sum() / count.sum()),
            "fewer": float((wrong - base_wrong).sum() / count.sum()),
            "fewer_interval": np.percentile(fewer, [2.5, 97.5]).tolist(),
        }
    return found
