"""A blind look: which of two enlargements would somebody keep?

    python -m benchmarks.blind make FOLDER --against x4plus earlier=OLD.onnx
    python -m benchmarks.blind count FOLDER/key.json ANSWERS…

`make` enlarges forty pictures by `--ours` and by each rival, and writes FOLDER/shown/NNN.png with
the input (bicubic) and the two enlargements, called A and B, in random order; every comparison
comes twice, with the sides swapped. FOLDER/key.json tells which is which. A model is given as its
name or as NAME=MODEL: one of ours, a model file, or a peer of `benchmarks.looks`; `earlier` names
the weights that ours replaced. Half of the pictures are tiles of validation photographs degraded by
the chains `compressed` and `real`; the others come from `real/lr_only`.

A reader, who has not seen the key, answers one line for each file: its number, and A, B or
neither. `count` writes benchmarks/blind.json, from which `benchmarks.looks` writes its table.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.stats import binomtest

from benchmarks.looks import PEERS, TILE, Pixels, ncnn_method, tiles
from benchmarks.photo import SCALE, Enlarge, bicubic, method
from benchmarks.record import RESULTS, stamp
from benchmarks.sheets import middle
from enlarge.data.photos import find_pictures, read_rgb
from enlarge.training.config import data_root

HALF = 20
"""How many pictures come from each of the two sources."""
SHOWN = 384
"""Side of what is shown, in screen pixels."""
GAP = 8
CHOICES = ("A", "B", "neither")


def pictures() -> list[Pixels]:
    """LR pictures of 64²: degraded validation tiles, then the middles of real ones."""
    degraded = tiles(60).lows[1::3][:HALF]
    real = find_pictures(data_root() / "real/lr_only")[:HALF]
    return [*degraded, *(middle(read_rgb(path), TILE // SCALE) for path in real)]


def run_of(model: str) -> Enlarge:
    """One of our models, a model file, or a peer in ncnn, as a function."""
    return ncnn_method(*PEERS[model]) if model in PEERS else method(model)


def shown(low: Pixels, first: Pixels, second: Pixels) -> Image.Image:
    """The input, A and B, each SHOWN pixels wide under its name."""
    image = Image.new("RGB", (3 * SHOWN + 2 * GAP, SHOWN + 20), "white")
    draw = ImageDraw.Draw(image)
    columns = (("input", bicubic(low)), ("A", first), ("B", second))
    for place, (name, picture) in enumerate(columns):
        left = place * (SHOWN + GAP)
        large = Image.fromarray(picture).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
        image.paste(large, (left, 20))
        draw.text((left + SHOWN // 2, 10), name, "black", anchor="mm")
    return image


def named(text: str) -> tuple[str, str]:
    """The name under which a model is counted, and the model itself: NAME=MODEL, or both in one."""
    name, _, model = text.partition("=")
    return name, model or name


def make(folder: Path, ours: tuple[str, str], rivals: dict[str, str]) -> None:
    """Write the comparisons and the key."""
    lows = pictures()
    results = {"ours": [run_of(ours[1])(low) for low in lows]}
    for name, model in rivals.items():
        run = run_of(model)
        results[name] = [run(low) for low in lows]
    asked = [
        (number, rival, swapped)
        for rival in rivals
        for number in range(len(lows))
        for swapped in (False, True)
    ]
    random = np.random.default_rng(0)
    random.shuffle(asked)
    target = folder / "shown"
    target.mkdir(parents=True, exist_ok=True)
    key = []
    for place, (number, rival, swapped) in enumerate(asked):
        sides = ("ours", rival)[:: -1 if swapped else 1]
        first, second = (results[side][number] for side in sides)
        shown(lows[number], first, second).save(target / f"{place:03d}.png")
        key.append({"picture": number, "rival": rival, "A": sides[0], "B": sides[1]})
    found = {"ours": ours[0], "asked": key}
    (folder / "key.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(asked)} comparisons in {target}")


def answers_in(path: Path, count: int) -> list[str]:
    """The reader's choice for every comparison, in order. Raises `ValueError` for a gap or a word
    that is no choice.
    """
    found: dict[int, str] = {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            number, choice = line.split()[:2]
            if choice not in CHOICES:
                raise ValueError(f"{path}: {line!r}: the choice must be one of {CHOICES}")
            found[int(number)] = choice
    missing = sorted(set(range(count)) - set(found))
    if missing:
        raise ValueError(f"{path}: no answer for {missing}")
    return [found[number] for number in range(count)]


def counted(key: Sequence[dict[str, Any]], readers: Sequence[Sequence[str]]) -> dict[str, Any]:
    """By rival: what all readers kept, and how often a picture's two views agreed.

    `share` is that of ours among the pictures with a preference. A picture counts once: its votes
    by all readers and both views are added, and a tie is none. The interval is the exact
    binomial one (Clopper and Pearson) at 95 %.
    """
    table: dict[str, Any] = {}
    for rival in dict.fromkeys(item["rival"] for item in key):
        votes: Counter[str] = Counter()
        balance: Counter[int] = Counter()
        views: dict[tuple[int, int], list[str]] = {}
        for reader, choices in enumerate(readers):
            for item, choice in zip(key, choices, strict=True):
                if item["rival"] != rival:
                    continue
                kept = item.get(choice, "neither")
                votes[kept] += 1
                balance[item["picture"]] += {"ours": 1, "neither": 0}.get(kept, -1)
                views.setdefault((reader, item["picture"]), []).append(kept)
        won = sum(value > 0 for value in balance.values())
        lost = sum(value < 0 for value in balance.values())
        interval = binomtest(won, won + lost).proportion_ci() if won + lost else None
        table[rival] = {
            "ours": votes["ours"],
            "theirs": votes[rival],
            "neither": votes["neither"],
            "won": won,
            "lost": lost,
            "tied": sum(value == 0 for value in balance.values()),
            "interval": [interval.low, interval.high] if interval else None,
            "agreed": sum(len(set(kept)) == 1 for kept in views.values()),
            "seen_twice": len(views),
        }
    return table


def count(key_file: Path, answers: Sequence[Path]) -> None:
    """Count the answers, and write benchmarks/blind.json."""
    found = json.loads(key_file.read_text(encoding="utf-8"))
    key = found["asked"]
    table = counted(key, [answers_in(path, len(key)) for path in answers])
    result = {**stamp(), "ours": found["ours"], "readers": len(answers), "rivals": table}
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / "blind.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def main() -> None:
    """Make the comparisons, or count the answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, dest="command")
    making = commands.add_parser("make")
    making.add_argument("folder", type=Path)
    making.add_argument("--ours", type=named, default="photo-sharp", metavar="[NAME=]MODEL")
    making.add_argument("--against", type=named, nargs="+", required=True, metavar="[NAME=]MODEL")
    counting = commands.add_parser("count")
    counting.add_argument("key", type=Path)
    counting.add_argument("answers", nargs="+", type=Path)
    options = parser.parse_args()
    if options.command == "count":
        count(options.key, options.answers)
        return
    make(options.folder, options.ours, dict(options.against))


if __name__ == "__main__":
    main()
