"""Batches: a thousand pictures, killed and resumed, give what an uninterrupted run gives."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import torch

from benchmarks.proofs.memory import SAMPLE, picture
from benchmarks.proofs.result import Proof, Result
from enlarge import open_model
from enlarge.digests import file_digest
from enlarge.engines import TileSpec
from enlarge.media.parts import count_parts
from enlarge.networks import build

PICTURES, BROKEN, KILLS, SIDE = 1000, 20, 5, 48


def make_pictures(folder: Path, count: int, broken: int, side: int) -> None:
    """Small PNGs of noise; `broken` of them in four ways: empty, words, cut off, flipped bytes."""
    random_pixels = np.random.default_rng(1)
    folder.mkdir()
    for number in range(count):
        pixels = random_pixels.integers(0, 256, (side, side, 3), dtype=np.uint8)
        data = pyvips.Image.new_from_array(pixels).pngsave_buffer()
        if number % (count // broken) == 7 if broken else False:
            way = number // (count // broken) % 4
            data = (b"", b"words", data[: len(data) // 2], _damaged(data))[way]
        (folder / f"{number:04}.png").write_bytes(data)


def _damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return (
        data[:middle]
        + bytes(byte ^ 0x5A for byte in data[middle : middle + 64])
        + data[middle + 64 :]
    )


def _start(*arguments: str | Path, before: str = "") -> subprocess.Popen[str]:
    """The command in a process of its own; `before`: what that does first."""
    code = f"{before}from enlarge.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def killed_and_resumed(pictures: int = PICTURES, broken: int = BROKEN) -> Result:
    """1,000 pictures, 20 broken, killed five times at random moments."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        make_pictures(root / "in", pictures, broken, SIDE)
        begun = time.perf_counter()
        whole = _start(root / "in", "-o", root / "whole", "--json")
        text, _ = whole.communicate()
        seconds = time.perf_counter() - begun
        document = json.loads(text)
        random.seed(11)
        for _ in range(KILLS):
            process = _start(root / "in", "-o", root / "out", "--quiet")
            time.sleep(random.uniform(0.3, max(0.5, seconds / KILLS)))
            process.kill()
            process.communicate()
        last = _start(root / "in", "-o", root / "out", "--json")
        text, _ = last.communicate()
        again = json.loads(text)
        expected, got = _contents(root / "whole"), _contents(root / "out")
        reasons = {failure["input"] for failure in again["failed"] if failure["error"]}
        left = [path.name for path in (root / "out").iterdir() if path.suffix == ".part"]
        kept = len(again.get("kept", []))
    good = pictures - broken
    holds = (
        (whole.returncode, last.returncode) == (3, 3)
        and len(document["results"]) == good
        and len(reasons) == broken
        and got == expected
        and len(got) == good
        and not left
        and 0 < kept < good  # some kill fell into the work
    )
    return Result(
        f"{pictures:,} pictures, {broken} broken in four ways, killed {KILLS} times and resumed: "
        "the same files, byte for byte, as an uninterrupted run; every broken one named; status 3",
        f"{len(got)} files, {len(reasons)} named reasons; {kept} were kept by the last run",
        holds,
    )


def submission(side: int = 512) -> Result:
    """18 pictures of 512² from a csv to a zip, killed in the middle and resumed."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        (root / "test").mkdir()
        make_pictures(root / "test/lr", 18, 0, side)
        rows = "".join(f"./test/lr/{number:04}.png\n" for number in range(18))
        (root / "test.csv").write_text("LR\n" + rows)
        _start(root / "test.csv", "-o", root / "whole.zip", "--quiet").communicate()
        parts = root / "submission.zip.parts"
        process = _start(root / "test.csv", "-o", root / "submission.zip", "--quiet")
        while process.poll() is None and len(list(parts.glob("*.png"))) < 7:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        was_there = (root / "submission.zip").exists()
        last = _start(root / "test.csv", "-o", root / "submission.zip", "--json")
        text, _ = last.communicate()
        kept = len(json.loads(text).get("kept", []))
        same = (root / "submission.zip").read_bytes() == (root / "whole.zip").read_bytes()
        with zipfile.ZipFile(root / "submission.zip") as archive:
            names = archive.namelist()
            sizes = set()
            for inside in names:
                image = pyvips.Image.new_from_buffer(archive.read(inside), "")
                sizes.add((image.width, image.height))
    return Result(
        f"submission.zip from a test.csv of 18 pictures of {side}²: 18 PNGs of {4 * side}² at its "
        "root; "
        "killed in the middle and resumed: the same zip",
        f"{len(names)} files of {', '.join(f'{w}×{h}' for w, h in sizes)}, {kept} kept",
        last.returncode == 0
        and same
        and not was_there
        and names == [f"{number:04}.png" for number in range(18)]
        and sizes == {(4 * side, 4 * side)},
    )


def large_killed_and_resumed(side: int = 8192) -> Result:
    """A gigapixel, killed twice at random moments and resumed, against an uninterrupted run."""
    most = f"min(o.RESUMABLE, {side * side})"
    before = f"import enlarge.picture.outlook as o; o.RESUMABLE = {most}; "
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        source, target = picture(root, side, side), root / "out.png"
        tile = () if side > 1024 else ("--tile", "128")  # a small one, to try it: some bands still
        begun = time.perf_counter()
        whole = _start(source, "-o", root / "whole.png", "--no-resume", "--quiet", *tile)
        _, said = whole.communicate()
        seconds = time.perf_counter() - begun
        chance, kept = random.Random(23), []
        for _ in range(2):
            process = _start(source, "-o", target, "--quiet", *tile, before=before)
            more = count_parts(target) + 1  # else a kill may come before anything was done
            while process.poll() is None and count_parts(target) < more:
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, seconds / 3))
            process.kill()
            process.communicate()
            kept.append(count_parts(target))
        was_there = target.exists()
        last = _start(source, "-o", target, "--json", *tile, before=before)
        text, said_last = last.communicate()
        if whole.returncode or last.returncode:
            raise RuntimeError(said + said_last)
        (result,) = json.loads(text)["results"]
        same = file_digest(target) == file_digest(root / "whole.png")
        left = sorted(path.name for path in root.iterdir())
    return Result(
        f"a picture of {side:,}² at ×4, killed twice at random moments and resumed: the same "
        "bytes as an uninterrupted run, and no parts are left",
        f"{result['width']:,} × {result['height']:,}; {kept[0]} and {kept[1]} bands after the "
        f"kills; {'; '.join(result['notes'])}; {'equal' if same else 'DIFFERENT'}",
        same
        and not was_there
        and 0 < kept[0] < kept[1]
        and result["notes"][0].startswith(f"{kept[1]} of ")
        and left == sorted([source.name, "out.png", "whole.png"]),
    )


def _photographs(folder: Path, count: int, side: int) -> None:
    """`count` JPEGs of `side`², cut from the sample photograph and turned."""
    folder.mkdir()
    tile = pyvips.Image.new_from_file(str(SAMPLE)).replicate(2, 2).crop(64, 64, side, side)
    for number in range(count):
        tile.rot(("d0", "d90", "d180", "d270")[number % 4]).write_to_file(
            str(folder / f"{number:03}.jpg"), Q=90
        )


def overlapped(count: int = 200, side: int = 512) -> Result:
    """200 pictures of 512² with the default model: the cores are busy, the peak is flat."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        _photographs(root / "in", count, side)
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = _start(root / "in", "-o", root / "out", "--json")
        text, said = process.communicate()
        wall = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if process.returncode:
            raise RuntimeError(said)
    results = json.loads(text)["results"]
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ideal = work / len(os.sched_getaffinity(0))
    peaks = _peaks(results)
    return Result(
        f"{count} pictures of {side}² take at most 1.1 × their core-seconds / cores (start-up "
        "included); the peak memory is flat (± 10 % from a tenth of the run to its end)",
        f"{wall:.1f} s for {work:.1f} core-seconds ({wall / ideal:.2f} ×); peak "
        f"{peaks[0]:.0f}, {peaks[1]:.0f}, {peaks[2]:.0f} MB at 10, 50, 100 %",
        len(results) == count and wall <= 1.1 * ideal and peaks[2] <= 1.1 * peaks[0],
    )


def _peaks(results: list[dict[str, Any]]) -> list[float]:
    """The peak memory in MB after 10, 50 and 100 % of a run."""
    count = len(results)
    return [
        results[max(count * share // 100, 1) - 1]["peak_memory"] / 1e6 for share in (10, 50, 100)
    ]


def engine_is_busy(count: int = 200, side: int = 512, preset: str = "edsr-baseline") -> Result:
    """The same with a network of EDSR's size, against the engine alone on tiles of that shape."""
    from enlarge.weights.export import export_model

    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        torch.manual_seed(0)
        torch.save({"params": build(preset).state_dict()}, root / "edsr.pth")
        model = root / "edsr.onnx"
        export_model(str(root / "edsr.pth"), model, quiet=True)
        _photographs(root / "in", count, side)
        begun = time.perf_counter()
        process = _start(root / "in", "-o", root / "out", "--json", "--model", model)
        text, said = process.communicate()
        wall = time.perf_counter() - begun
        if process.returncode:
            raise RuntimeError(said)
        results = json.loads(text)["results"]
        width, height = results[0]["tile"]
        tiles = sum(result["tiles"] for result in results)
        kind = np.dtype(np.uint8)
        session = open_model(model).engine(kind).session(TileSpec(width, height, 3, kind, kind))
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        session(pixels)
        runs = max(3, min(tiles, 30))
        begun = time.perf_counter()
        for _ in range(runs):
            session(pixels)
        alone = (time.perf_counter() - begun) / runs
    share, peaks = tiles * alone / wall, _peaks(results)
    return Result(
        f"{count} pictures of {side}² with {preset}: at least 0.9 of the engine's own throughput "
        "on the same tiles (start-up included); the peak memory is flat",
        f"{tiles} tiles of {width}×{height} in {wall:.1f} s, {alone:.3f} s each by the engine "
        f"alone ({share:.2f}); peak {peaks[0]:.0f}, {peaks[1]:.0f}, {peaks[2]:.0f} MB at 10, 50, "
        f"100 %; {results[0]['precision']}",
        len(results) == count and share >= 0.9 and peaks[2] <= 1.1 * peaks[0],
    )


PROOFS: dict[str, Proof] = {
    "batch, overlapped": overlapped,
    "batch, EDSR": engine_is_busy,
    "killed and resumed": killed_and_resumed,
    "submission": submission,
    "gigapixel, killed": large_killed_and_resumed,
}
SMALL: dict[str, Proof] = {
    "batch, overlapped": partial(overlapped, 12, 128),
    "batch, EDSR": partial(engine_is_busy, 8, 96),
    "killed and resumed": partial(killed_and_resumed, 60, 6),
    "submission": partial(submission, 64),
    "gigapixel, killed": partial(large_killed_and_resumed, 600),
}
"""The same, small enough to be tried."""
