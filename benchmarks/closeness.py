"""Compare bf16 with f32 on trained weights: `python -m benchmarks.closeness [FILE…]`.

Writes benchmarks/closeness.json and docs/closeness.md for the bundled models and the model files
given, or networks trained for 90 seconds each (see `brief`), on photographs of the `valid` part
reduced by the model's factor; floats in and out, clamped. A processor without bf16 writes nothing.
`--models`: the bundled models alone; the other rows stay as they were, with their commit.
`--try`: two steps, one picture, nothing is written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import enlarge
from benchmarks.brief import NETWORKS, trained
from benchmarks.record import RESULTS, signature, stamp, write
from enlarge.data.photos import bicubic_pair, list_photos
from enlarge.engines.openvino import has_bf16
from enlarge.training.config import data_root
from enlarge.upscaler import Upscaler
from enlarge.weights.catalog import find_weights
from enlarge.weights.measuring import to_decibels

PICTURES, MINUTES = 8, 1.5
DECIBELS, SHARE, LEVELS = 48.0, 0.999, 3


def models(files: list[Path], *, alone: bool, trial: bool) -> Iterator[tuple[str, str | Path]]:
    """What is compared: names for the table, and what `open_model` takes. `alone`: the bundled
    models only.
    """
    for card in enlarge.models():
        yield card.name, card.name
    if alone:
        return
    for file in files:
        yield f"{file.stem} ({find_weights(file).card.data})", file
    if files:
        return
    for name in NETWORKS:
        minutes = 0.0 if trial else MINUTES
        yield f"{name}, trained for {minutes * 60:.0f} s", trained(name, minutes)


def compare(model: str | Path, photos: list[Path]) -> dict[str, float]:
    """bf16 against f32 in OpenVINO; see `difference`."""
    fine, coarse = (
        enlarge.open_model(model, engine="openvino", precision=precision)
        for precision in ("f32", "bf16")
    )
    return difference(fine, coarse, photos)


def difference(fine: Upscaler, coarse: Upscaler, photos: Sequence[Path]) -> dict[str, float]:
    """PSNR in dB over all values, the share within `LEVELS`, and the largest difference in levels,
    of photographs reduced by the model's factor; floats in and out.
    """
    total = within = count = worst = 0.0
    for photo in photos:
        low = bicubic_pair(photo, fine.card.scale).low.astype(np.float32) / 255
        error = np.abs(fine.upscale(low).astype(np.float64) - coarse.upscale(low))
        total += float(np.square(error).sum())
        within += float((error <= LEVELS / 255).sum())
        worst = max(worst, float(error.max()))
        count += error.size
    return {
        "psnr": to_decibels(total / count),
        "share": within / count,
        "worst": worst * 255,
    }


def is_close(found: Mapping[str, float]) -> bool:
    """Whether a precision is close enough to f32 to be used."""
    return found["psnr"] >= DECIBELS and found["share"] >= SHARE


def page(result: dict[str, Any]) -> str:
    """The results as a Markdown page."""
    lines = [
        "# How close is bf16 to f32?",
        "",
        "enlarge computes a model in bf16 only if its result has a PSNR of at least "
        f"{DECIBELS:.0f} dB to",
        f"that in f32 and {SHARE:.1%} of the values are within {LEVELS} levels of 255.",
        "",
        signature(result, "closeness"),
        f"{result['pictures']} photographs of the `valid` part, downscaled by the model's factor;",
        "OpenVINO on the CPU.",
        "",
        "| model | PSNR, dB | within 3 levels | largest difference, levels | close enough |",
        "|---|--:|--:|--:|---|",
    ]
    for name, found in result["models"].items():
        name += f" (commit {found['commit']})" if "commit" in found else ""
        lines.append(
            f"| {name} | {found['psnr']:.1f} | {found['share']:.4%} | {found['worst']:.1f} "
            f"| {'yes' if is_close(found) else '**no**'} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    parser.add_argument("--models", action="store_true", help="the other rows stay as they were")
    parser.add_argument("files", nargs="*", type=Path, help="models, instead of training some")
    arguments = parser.parse_args()
    trial = arguments.trial
    if not has_bf16():
        print("this processor does not compute in bf16: nothing is compared, and the page stays")
        return
    photos = list_photos(data_root() / "photos", ["valid"])[: 1 if trial else PICTURES]
    found: dict[str, dict[str, Any]] = {}
    for name, model in models(arguments.files, alone=arguments.models, trial=trial):
        print(f"{name} …", flush=True)
        found[name] = dict(compare(model, photos))
    if arguments.models:
        known = json.loads((RESULTS / "closeness.json").read_text(encoding="utf-8"))
        for name, row in known["models"].items():
            found.setdefault(name, {"commit": known["commit"], **row})
    result = {**stamp(), "pictures": len(photos), "models": found}
    write("closeness", result, page(result), trial=trial)


if __name__ == "__main__":
    main()
