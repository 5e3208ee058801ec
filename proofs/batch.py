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
from pathlib import Path

import numpy as np
import pyvips

from proofs.memory import SAMPLE
from proofs.result import Proof, Result

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


def _start(*arguments: str | Path) -> subprocess.Popen[str]:
    code = "from enlarge.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def killed_and_resumed() -> Result:
    """1,000 pictures, 20 broken, killed five times at random moments."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        make_pictures(root / "in", PICTURES, BROKEN, SIDE)
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
    good = PICTURES - BROKEN
    holds = (
        (whole.returncode, last.returncode) == (3, 3)
        and len(document["results"]) == good
        and len(reasons) == BROKEN
        and got == expected
        and len(got) == good
        and not left
    )
    return Result(
        f"{PICTURES:,} pictures, {BROKEN} broken in four ways, killed {KILLS} times and resumed: "
        "the same files, byte for byte, as an uninterrupted run; every broken one named; status 3",
        f"{len(got)} files, {len(reasons)} named reasons; "
        f"{len(again.get('kept', []))} were kept by the last run",
        holds,
    )


def submission() -> Result:
    """18 pictures of 512² from a csv to a zip, killed in the middle and resumed."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        (root / "test").mkdir()
        make_pictures(root / "test/lr", 18, 0, 512)
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
        "submission.zip from a test.csv of 18 pictures of 512²: 18 PNGs of 2048² at its root; "
        "killed in the middle and resumed: the same zip",
        f"{len(names)} files of {', '.join(f'{w}×{h}' for w, h in sizes)}, {kept} kept",
        last.returncode == 0
        and same
        and not was_there
        and names == [f"{number:04}.png" for number in range(18)]
        and sizes == {(2048, 2048)},
    )


def overlapped() -> Result:
    """200 pictures of 512² with the default model: the cores are busy, the peak is flat."""
    with tempfile.TemporaryDirectory(prefix="proof-") as name:
        root = Path(name)
        (root / "in").mkdir()
        tile = pyvips.Image.new_from_file(str(SAMPLE)).crop(64, 64, 512, 512)
        for number in range(200):
            tile.rot(("d0", "d90", "d180", "d270")[number % 4]).write_to_file(
                str(root / f"in/{number:03}.jpg"), Q=90
            )
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = _start(root / "in", "-o", root / "out", "--json")
        text, _ = process.communicate()
        wall = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = json.loads(text)["results"]
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ideal = work / len(os.sched_getaffinity(0))
    peaks = [results[at]["peak_memory"] / 1e6 for at in (19, 99, 199)]
    return Result(
        "200 pictures of 512² take at most 1.1 × their core-seconds / cores (start-up included); "
        "the peak memory is flat (± 10 % from a tenth of the run to its end)",
        f"{wall:.1f} s for {work:.1f} core-seconds ({wall / ideal:.2f} ×); peak "
        f"{peaks[0]:.0f}, {peaks[1]:.0f}, {peaks[2]:.0f} MB at 10, 50, 100 %",
        len(results) == 200 and wall <= 1.1 * ideal and peaks[2] <= 1.1 * peaks[0],
    )


PROOFS: dict[str, Proof] = {
    "batch, overlapped": overlapped,
    "killed and resumed": killed_and_resumed,
    "submission": submission,
}
