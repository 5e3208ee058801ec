"""What the model `auto` chooses, against the best single choice: `python -m benchmarks.auto`.

Writes benchmarks/auto.json and docs/auto.md. `--try`: two pictures, nothing is written.

Set14 and tiles of the validation photographs (none of which set a limit of `auto`) are enlarged ×4
by both models that it chooses among: clean, as JPEGs, with noise, and through the chains of
degradations; so are City100's validation pairs, and screenshots and drawings made here. `auto` sees
a file, as it does for a user. Loss: by how much PSNR is below that of the better of the two.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.drawn import drawn
from benchmarks.photo import SCALE, Enlarge, method
from benchmarks.record import signature, stamp, write
from benchmarks.sets import photographed
from enlarge.data.degradations import CHAINS
from enlarge.data.effects import gaussian_noise, to_float, to_pixels
from enlarge.data.photos import crop_to_multiple, find_pictures, list_photos, read_rgb
from enlarge.media.resample import imresize
from enlarge.metrics.pairs import read_pair
from enlarge.metrics.protocol import Protocol
from enlarge.picture.choosing import finding_in_file
from enlarge.settings import Settings
from enlarge.training.config import data_root
from enlarge.weights.catalog import auto_weights

Pixels = NDArray[np.uint8]
QUALITIES = (98, 95, 90, 85, 80, 70, 60, 50, 40)
DEVIATIONS = (2, 4, 6, 8, 12, 20)
CHAIN_NAMES = ("compressed", "old", "cctv", "real")
TILES, SIDE = 3, 576
"""Tiles of each validation part, and the side of the part of them that is used."""
DRAWN = 20
"""Screenshots, and as many drawings."""
APART = "City100"
"""The group that files do not tell from clean pictures."""


class Case(NamedTuple):
    """A picture's file, what is in it, and its original."""

    group: str
    name: str
    file: bytes
    low: Pixels
    high: Pixels


def in_file(low: Pixels, form: str = "PNG", **options: Any) -> tuple[bytes, Pixels]:
    """A picture as a file, and what decoding gives."""
    file = io.BytesIO()
    Image.fromarray(low).save(file, form, **options)
    return file.getvalue(), np.asarray(Image.open(file).convert("RGB"))


def degraded(name: str, high: Pixels, number: int) -> Iterator[Case]:
    """A photograph in all the ways it is judged in."""
    random = np.random.default_rng([11, number])
    low = imresize(high, high.shape[0] // SCALE, high.shape[1] // SCALE)
    yield Case("clean", name, *in_file(low), high)
    for quality in QUALITIES:
        options = {"quality": quality, "subsampling": 2 if quality < 90 else 0}
        yield Case(f"JPEG {quality}", name, *in_file(low, "JPEG", **options), high)
    for deviation in DEVIATIONS:
        noisy = to_pixels(gaussian_noise(to_float(low), float(deviation), random))
        yield Case(f"noise {deviation}", name, *in_file(noisy), high)
    for chain in CHAIN_NAMES:
        worse, original = CHAINS[chain](high, SCALE, random)
        yield Case(chain, name, *in_file(worse), original)


def photographs(most: int | None) -> Iterator[tuple[str, Pixels]]:
    """Set14, and parts of validation tiles."""
    found = find_pictures(data_root() / "benchmarks/Set14/x4/HR")
    for part in ("valid", "detail"):
        tiles = list_photos(data_root() / "photos", [part])
        found += tiles[:: max(1, len(tiles) // TILES)][:TILES]
    for path in found[:most]:
        yield path.stem, middle_of(path)


def middle_of(path: Path) -> Pixels:
    """The part of a picture that is used."""
    pixels = read_rgb(path)
    top, left = (max(0, (side - SIDE) // 2) // SCALE * SCALE for side in pixels.shape[:2])
    middle = pixels[top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(crop_to_multiple(middle, SCALE))


def cases(*, trial: bool) -> Iterator[Case]:
    """All of them."""
    for number, (title, high) in enumerate(photographs(2 if trial else None)):
        yield from degraded(title, high, number)
    for pair in photographed().pairs[: 1 if trial else None]:
        read = read_pair(pair, SCALE)
        yield Case(APART, pair.name, *in_file(read.low), read.high)
    for scene in drawn(2 if trial else DRAWN):
        yield Case(scene.name.split()[0], scene.name, *in_file(scene.low), scene.high)


def candidates() -> dict[str, Enlarge]:
    """The models for clean and for degraded pictures, in this order, as functions."""
    choices = auto_weights().choices
    names = dict.fromkeys(choices[kind].path.stem for kind in ("clean", "degraded"))
    return {name: method(name) for name in names}


def judged(case: Case, models: dict[str, Enlarge]) -> dict[str, Any]:
    """PSNR by each model, and which one `auto` takes."""
    protocol = Protocol("rgb") if case.group == APART else Protocol()
    scores = {
        name: protocol.measure(run(case.low), case.high, factor=SCALE).psnr
        for name, run in models.items()
    }
    found = finding_in_file(io.BytesIO(case.file), Settings())
    taken = auto_weights().choices[found.kind].path.stem
    return {
        "group": case.group,
        "name": case.name,
        "psnr": {name: round(score, 4) for name, score in scores.items()},
        "kind": found.kind,
        "reason": found.reason,
        "taken": taken,
        "loss": round(max(scores.values()) - scores[taken], 4),
    }


def rows_of(results: Sequence[dict[str, Any]], models: Sequence[str]) -> Iterator[str]:
    """A line of the table for each group."""
    for group in dict.fromkeys(result["group"] for result in results):
        own = [result for result in results if result["group"] == group]
        psnr = [np.mean([result["psnr"][name] for result in own]) for name in models]
        taken = sum(result["taken"] == models[1] for result in own)
        loss = [result["loss"] for result in own]
        cells = [group, str(len(own)), *(f"{value:.2f}" for value in psnr), f"{taken}"]
        cells += [f"{np.mean(loss):.3f}", f"{max(loss):.2f}"]
        yield f"| {' | '.join(cells)} |"


def page(result: dict[str, Any]) -> str:
    """The text of docs/auto.md."""
    results, models = result["pictures"], result["models"]
    photos = [one for one in results if one["group"] not in (APART, "screenshot", "drawing")]
    made = [one for one in results if one["group"] in ("screenshot", "drawing")]
    loss = [one["loss"] for one in photos]
    right = np.mean([one["loss"] <= 0.0 for one in made])
    lines = [
        "# What does `auto` choose?",
        "",
        signature(result, "auto"),
        "",
        f"`--model auto` looks at each picture and takes `{models[0]}` or `{models[1]}`. Loss: by",
        "how many dB the PSNR of its choice is below that of the better of the two. None of these",
        "pictures set its limits; the model for drawings was chosen on the drawings below.",
        "",
        f"**Photographs: {np.mean(loss):.3f} dB on average, {max(loss):.2f} at worst, of",
        f"{len(photos)} pictures. Screenshots and drawings: the better model in {right:.0%}.**",
        "",
        f"| | pictures | {models[0]} | {models[1]} | taken {models[1]} | mean loss | worst |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *rows_of(results, models),
        "",
        "Losses above 0.5 dB: "
        + ("; ".join(
            f"{one['group']} {one['name']} ({one['taken']}: {one['reason']}; {one['loss']:.2f})"
            for one in photos if one["loss"] > 0.5
        ) or "none") + ".",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--try", dest="trial", action="store_true")
    trial = parser.parse_args().trial
    models = candidates()
    found = []
    for case in cases(trial=trial):
        found.append(judged(case, models))
        if len(found) % 20 == 0:
            print(f"{len(found)}: {case.name}", flush=True)
    result = {**stamp(), "models": list(models), "pictures": found}
    write("auto", result, page(result), trial=trial)


if __name__ == "__main__":
    main()
