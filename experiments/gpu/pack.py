"""Pack photographs for a machine that nothing but 64 MiB a call reaches.

    python -m experiments.gpu.pack --gathered FOLDER --out runs/gpu

FOLDER is what `experiments/photographs/gather.py` made. Writes OUT/one/ and OUT/two/, each with
half of the `free` photographs and of the gathered ones; OUT/one/ also holds the validation parts
and City100's training pairs. Tiles are JPEG XL of quality 96 (48 dB of luma to the lossless tile,
3.8 bits a pixel), the validation parts 98, low-resolution photographs lossless.
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
from PIL import Image

from enlarge.data.photos import list_photos, read_rgb

LOSSLESS = 100


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


def city100(list_of_pairs: Path) -> Iterator[tuple[str, Path, int]]:
    """The pairs of a csv, both sides of each."""
    with list_of_pairs.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            yield f"city-low/{number}", list_of_pairs.parent / row["LR"], LOSSLESS
            yield f"city-high/{number}", list_of_pairs.parent / row["HR"], 97


def main() -> None:
    """Write both halves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gathered", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    told = parser.parse_args()
    photos = told.data / "photos"
    tiles = [*list_photos(photos, ["free"]), *list_photos(told.gathered, None)]
    order = np.random.default_rng(0).permutation(len(tiles))
    halves = [[(f"train/{i}", tiles[i], 96) for i in order[start::2]] for start in (0, 1)]
    judges = [
        (f"{part}/{path.stem}", path, 98)
        for part in ("valid", "detail")
        for path in list_photos(photos, [part])
    ]
    pairs = city100(told.data / "real" / "city100" / "train.csv")
    cut = len(halves[0]) * 78 // 100  # the first half also carries judges, pairs and wheels
    write(told.out / "one", [*judges, *pairs, *halves[0][:cut]])
    write(told.out / "two", [*halves[0][cut:], *halves[1]])


if __name__ == "__main__":
    main()
