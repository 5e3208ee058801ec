"""Pack photographs for a machine that nothing but 64 MiB a call reaches.

    python -m experiments.gpu.pack --gathered FOLDER… --out runs/gpu [--begin weights.pt]

FOLDER is what `experiments/photographs/gather.py` made. Writes OUT/one/, OUT/two/ and OUT/three/,
each with its share of the `free` photographs and of the gathered ones; OUT/one/ also holds the
validation parts and City100's pairs, OUT/two/ also the weights of `--begin` that are trained on.
Tiles are JPEG XL of quality 96 (48 dB of luma to the lossless tile, 3.8 bits a pixel), the
validation parts and City100's HR 98, low-resolution photographs lossless.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_jxl  # noqa: F401  (registers the JPEG XL encoder)
import torch
from PIL import Image

from enlarge.data.photos import list_photos, read_rgb
from enlarge.training.config import data_root

LOSSLESS = 100
FIRST = 0.06
"""The share of the photographs in the first pack."""
BEGIN = ("quality", "fast")


def coded(task: tuple[str, Path, int]) -> tuple[str, bytes]:
    """A picture's name and its JPEG XL file."""
    name, path, quality = task
    file = io.BytesIO()
    options = {"lossless": True} if quality == LOSSLESS else {"quality": quality}
    Image.fromarray(read_rgb(path)).save(file, "JXL", effort=3, **options)
    return name, file.getvalue()


def write(folder: Path, tasks: Iterable[tuple[str, Path, int]]) -> None:
    """Write the pictures as one file of bytes, and where each lies in it."""
    folder.mkdir(parents=True, exist_ok=True)
    index: list[tuple[str, int]] = []
    with (folder / "pictures.bin").open("wb") as file, ThreadPoolExecutor(2) as pool:
        for name, data in pool.map(coded, tasks):
            index.append((name, len(data)))
            file.write(data)
        total = file.tell()
    (folder / "pictures.json").write_text(json.dumps(index))
    print(f"{folder}: {len(index)} pictures, {total / 2**20:.1f} MiB")


def city100(list_of_pairs: Path, sides: str) -> Iterator[tuple[str, Path, int]]:
    """The pairs of a csv, both sides of each."""
    with list_of_pairs.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            yield f"{sides}-low/{number}", list_of_pairs.parent / row["LR"], LOSSLESS
            yield f"{sides}-high/{number}", list_of_pairs.parent / row["HR"], 98


def main() -> None:
    """Write the three packs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gathered", type=Path, nargs="+", required=True)
    parser.add_argument("--data", type=Path, help="default: ENLARGE_DATA, ../shared/data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin", type=Path)
    arguments = parser.parse_args()
    data = arguments.data or data_root()
    photos = data / "photos"
    tiles = list_photos(photos, ["free"])
    for folder in arguments.gathered:
        tiles += list_photos(folder, None)
    order = np.random.default_rng(0).permutation(len(tiles))
    train = [(f"train/{i}", tiles[i], 96) for i in order]
    judges = [
        (f"{part}/{path.stem}", path, 98)
        for part in ("valid", "detail")
        for path in list_photos(photos, [part])
    ]
    city = data / "real" / "city100"
    pairs = [*city100(city / "train.csv", "city"), *city100(city / "valid.csv", "city-valid")]
    # The first also carries judges, pairs and wheels.
    ends = [round(len(train) * share) for share in (FIRST, (1 + FIRST) / 2)]
    write(arguments.out / "one", [*judges, *pairs, *train[: ends[0]]])
    write(arguments.out / "two", train[ends[0] : ends[1]])
    write(arguments.out / "three", train[ends[1] :])
    if arguments.begin:
        states = torch.load(arguments.begin, weights_only=True)
        torch.save({name: states[name] for name in BEGIN}, arguments.out / "two" / "begin.pt")


if __name__ == "__main__":
    main()
