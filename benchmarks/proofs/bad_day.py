"""A bad day: a batch of pictures that are broken, locked, renamed or deleted while it runs, on a
disk that fills up, killed again and again. Nothing may be lost, half-written, or done twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from benchmarks.proofs.result import Proof, Result
from enlarge.batch.ledger import read_rows
from enlarge.batch.names import decoded_name
from enlarge.media.naming import PICTURES

_ODD = (
    b"latin\xe9.png", b"new\nline.png", b"-dash.png", b"quo'te\".png", "emoji😀.png".encode(),
    b"trailing .png", b"dots...png", b"back\\xe9slash.png", b"esc\x1b[31m.png",
    b"l" * 251 + b".png", "e\u0301.png".encode(), "é.png".encode(),
    b"IMG_1.png", b"IMG_1.tif", b"IMG_1.TIF", b"hero.png", b"hero_x4.png", b"hero_64x48.png",
)  # fmt: skip
"""Names that people have, of files that are fine: no text, several lines, twins, like results."""
_DISK, _FREE, _LARGEST = "64m", 96 << 10, 8 << 10
"""The disk for the results, what is free of it when it is full, and, where no disk can be mounted,
the largest file, in bytes."""


@dataclass
class Day:
    """A folder of inputs, where results go, and what was seen so far.

    `says`: how often each result was reported as made. `faults`: what went wrong.
    """

    root: Path
    chance: random.Random
    out: Path
    says: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    disturbed: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> Path:
        """The folder of the inputs."""
        return self.root / "in"

    def pictures(self) -> set[str]:
        """The inputs that are there now, as the command names them."""
        found = [path for path in self.inputs.rglob("*") if path.suffix.lower() in PICTURES]
        return {path.relative_to(self.root).as_posix() for path in found}

    def results(self) -> dict[str, Path]:
        """The files that lie where results belong, without the ledger."""
        files = (path for path in self.out.rglob("*") if path.is_file())
        return {
            path.relative_to(self.out).as_posix(): path
            for path in files
            if ".enlarge" not in path.parts
        }


def make_inputs(day: Day, count: int) -> None:
    """`count` pictures in a tree: odd names, broken ones, duplicates, links to nothing, a large one
    and a locked one; the rest is plain.
    """
    rng = np.random.default_rng(day.chance.randrange(1 << 30))

    def picture(side: int) -> bytes:
        pixels = rng.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8)
        return bytes(pyvips.Image.new_from_array(pixels).pngsave_buffer())

    folder = os.fsencode(day.inputs)
    (day.inputs / "sub/deep").mkdir(parents=True)
    contents: dict[bytes, bytes] = {}
    with contextlib.suppress(OSError):
        for name in _ODD[: count // 3]:
            contents[name] = picture(16)
    broken = picture(16)
    claims = struct.pack(">II", 60_000, 60_000)  # of 10.8 GB, in a file of 800 bytes
    huge = broken[:16] + claims + broken[24:29]
    huge += struct.pack(">I", zlib.crc32(huge[12:])) + broken[33:]
    wrong = (b"", b"only words", broken[: len(broken) // 2], bytes(300), huge)
    for number, data in enumerate(wrong * (count // 20)):
        contents[b"sub/broken%d.png" % number] = data
    copy = picture(16)
    for number in range(max(2, count // 15)):
        contents[b"sub/copy%d.png" % number] = copy
    contents[b"large.png"] = picture(640)
    while len(contents) < count - 1:
        place = (b"", b"sub/", b"sub/deep/")[len(contents) % 3]
        contents[place + b"plain%03d.png" % len(contents)] = picture(16)
    for name, data in contents.items():
        with contextlib.suppress(OSError), open(folder + b"/" + name, "xb") as file:  # noqa: PTH123
            file.write(data)
    os.symlink(b"nothing.png", folder + b"/sub/link.png")  # noqa: PTH211
    locked = day.inputs / "sub/copy0.png"
    locked.chmod(0)  # root reads it all the same


def disturb(day: Day) -> None:
    """Delete, rename and replace an input each, as other programs do at any time."""
    plain = sorted(day.inputs.rglob("plain*.png"))
    gone, moved, edited = day.chance.sample(plain, 3)
    gone.unlink()
    moved.rename(moved.with_name("moved-" + moved.name.removeprefix("plain")))
    other = edited.with_name("edited.tmp")
    pixels = np.full((9, 11, 3), day.chance.randrange(256), np.uint8)
    other.write_bytes(pyvips.Image.new_from_array(pixels).pngsave_buffer())
    other.replace(edited)
    day.disturbed.append(edited.name)


def start(day: Day, *arguments: str, full: bool = False) -> subprocess.Popen[str]:
    """The command on the inputs. `full`: with a disk that takes no more than a little."""
    code = "from enlarge.cli import main; main()"
    if full:  # what was free when the run was planned is used up by others
        enough = "shutil.disk_usage = lambda path: shutil._ntuple_diskusage(9**15, 0, 9**15)"
        code = f"import shutil; {enough}; {code}"
    if full and not day.out.parent.is_mount():
        limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({_LARGEST}, resource.RLIM_INFINITY))"
        code = f"import resource; {limit}; {code}"
    return subprocess.Popen(
        [sys.executable, "-c", code, "in", *arguments],
        cwd=day.root, text=True, errors="surrogateescape",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def note(day: Day, text: str) -> None:
    """Note the results that a run reported as made; the last line may be cut off."""
    for line in text.split("\n")[:-1]:
        if "×" in line and line.endswith("peak memory"):
            day.says[line.split("  ")[0]] += 1


def killed_run(day: Day, more: int) -> None:
    """Run, disturb the inputs, and kill the run when it has made `more` results, or so."""
    begun = len(day.results())
    process = start(day, "-o", str(day.out))
    disturb(day)
    end = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < end:
        if len(day.results()) >= begun + more:
            time.sleep(day.chance.uniform(0, 0.05))
            break
        time.sleep(0.001)
    process.kill()
    text, _ = process.communicate()
    note(day, text)


def full_run(day: Day) -> int:
    """Run until the end on a full disk; how many inputs failed."""
    filler = day.out.parent / "filler"
    if day.out.parent.is_mount():
        free = shutil.disk_usage(day.out.parent).free
        filler.write_bytes(bytes(max(0, free - _FREE)))
    try:
        process = start(day, "-o", str(day.out), full=True)
        text, said = process.communicate()
    finally:
        filler.unlink(missing_ok=True)
    note(day, text)
    if "bug in enlarge" in said:
        day.faults.append(f"a full disk is a bug: {said}")
    return said.count("No space left") + said.count("File too large") + said.count("disk is full")


def document_of(day: Day, target: str, *more: str) -> dict[str, Any]:
    """Run until the end; the document that it prints."""
    process = start(day, "-o", target, "--json", *more)
    text, said = process.communicate()
    if process.returncode not in (0, 3):
        day.faults.append(f"status {process.returncode}: {said}")
    found: dict[str, Any] = json.loads(text)
    for entry in found["results"]:
        if target == str(day.out):
            day.says[entry["output"]] += 1
    return found


def accounted(day: Day, document: dict[str, Any]) -> dict[str, Path]:
    """The result of each input. Every input has to be in the document, once."""
    made = document["results"] + document.get("kept", [])
    names = [entry["input"] for entry in made + document["failed"] + document.get("skipped", [])]
    if sorted(names) != sorted(day.pictures()):
        there = Counter(day.pictures())
        more, less = Counter(names) - there, there - Counter(names)
        day.faults.append(f"{sorted(less)} are not accounted for, {sorted(more)} are not there")
    return {entry["input"]: day.root / entry["output"] for entry in made}


def judge(day: Day, expected: dict[str, Path], got: dict[str, Path]) -> None:
    """Compare with an uninterrupted run on the inputs that are left, and with what was reported."""
    for name in expected.keys() | got.keys():
        if name not in expected or name not in got:
            day.faults.append(f"{name!r} only in {'one' if name in got else 'the other'} run")
        elif expected[name].read_bytes() != got[name].read_bytes():
            day.faults.append(f"{name!r}: other bytes than of an uninterrupted run")
    own = set(got.values())
    listed = {decoded_name(row.output): row for row in read_rows(day.out)}
    for name, path in day.results().items():
        row = listed.get(name)
        if row is None or row.state != "done":
            day.faults.append(f"{name!r} is not in the ledger: {row}")
        elif path not in own and (day.root / decoded_name(row.source)).exists():
            day.faults.append(f"{name!r} is a second result of {row.source}")
        image = pyvips.Image.new_from_buffer(path.read_bytes(), "", fail_on="truncated")
        image.avg()
    for name, count in day.says.items():
        is_edited = any(edited.removesuffix(".png") in name for edited in day.disturbed)
        if count > 1 and not is_edited:
            day.faults.append(f"{name!r} was made {count} times")
    left = [path.name for path in day.root.rglob("*") if path.name.endswith((".part", ".parts"))]
    if left:
        day.faults.append(f"left over: {left}")


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A disk of its own at a folder, where one can be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(folder)]
    mounted = shutil.which("mount") and not subprocess.run(command, capture_output=True).returncode
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def bad_day(count: int = 60, kills: int = 5, seed: int | None = None) -> Result:
    """The whole day."""
    seed = random.randrange(1 << 30) if seed is None else seed
    print(f"  seed {seed}", flush=True)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="proof-") as name, disk(Path(name) / "disk"):
        day = Day(Path(name), chance, Path(name) / "disk/out")
        make_inputs(day, count)
        with (day.inputs / "large.png").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)  # of another program, which does not matter
            for number in range(kills):
                if number == kills // 2:
                    full = full_run(day)
                killed_run(day, chance.randrange(max(2, count // (kills + 2))))
            last = document_of(day, str(day.out))
        got = accounted(day, last)
        again = document_of(day, str(day.out))
        if again["results"]:
            day.faults.append(f"made again: {[entry['output'] for entry in again['results']]}")
        expected = accounted(day, document_of(day, "whole"))
        judge(day, expected, got)
        failed, kept = len(last["failed"]), len(last.get("kept", []))
    where = "a full disk" if full else "no full disk"
    return Result(
        f"{count} pictures with odd names, twins, broken, locked and linked to nothing, while "
        f"others are deleted, renamed and replaced; {kills} kills at random moments and one run on "
        "a full disk: every input is accounted for, each result is whole, made once, and equal to "
        "that of an uninterrupted run",
        f"{len(got)} results, {kept} kept by the last run, {failed} named failures; {full} failed "
        f"on {where}; seed {seed}; {len(day.faults)} faults {'; '.join(day.faults[:3])}".rstrip(),
        not day.faults and full > 0,
    )


PROOFS: dict[str, Proof] = {"a bad day": bad_day}
SMALL: dict[str, Proof] = {"a bad day": partial(bad_day, 24, 2)}
"""The same, small enough to be tried."""
