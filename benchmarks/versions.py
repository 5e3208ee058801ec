"""The command's seconds against another commit's, on an otherwise idle machine.

    python -m benchmarks.versions COMMIT             # 30 pairs on the sample photograph
    python -m benchmarks.versions COMMIT --square    # on 512 × 512 pixels of it, as PNG

Both trees enlarge the same picture from the shell to the file, in turns, the second of a pair
first in every other pair; two warm-up runs each fill their caches, of compiled networks and of
compiled Python (as an installed package has it). Prints the geometric mean of the pairs' ratios
(this tree / COMMIT, below 1 is faster) and its 95 % interval. Words behind `--` are given to both
commands: `python -m benchmarks.versions HEAD~3 -- --model quality`.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyvips

from benchmarks.record import machine

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "samples" / "photo.jpg"
NORMAL_975 = statistics.NormalDist().inv_cdf(0.975)


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A commit's tree, in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def seconds(tree: Path, source: Path, room: Path, options: Sequence[str]) -> float:
    """One run of a tree's command, from the shell to the file, with a cache of its own."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree / "src"), os.environ.get("PYTHONPATH", "")]),
        "ENLARGE_CACHE": str(room / "cache"),
        "PYTHONPYCACHEPREFIX": str(room / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    line = [sys.executable, "-m", "enlarge", str(source), "-o", str(room / "out.png")]
    begun = time.perf_counter()
    subprocess.run(
        [*line, "--overwrite", *options], env=environment, check=True, capture_output=True
    )
    return time.perf_counter() - begun


def square(folder: Path) -> Path:
    """The part of the sample that docs/speed.md times from the shell to the file, as a PNG."""
    path = folder / "square.png"
    image = pyvips.Image.new_from_file(str(SAMPLE))
    image.crop(0, 100, 512, 512).pngsave(str(path), keep=0)
    return path


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The geometric mean of ratios, and its 95 % interval (normal, of the logarithms)."""
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.fmean(logs)
    margin = NORMAL_975 * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - margin), math.exp(middle + margin)


def compare(
    commit: str, picture: Path | None, pairs: int, options: Sequence[str] = ()
) -> dict[str, str | float]:
    """Medians of both trees in seconds on a picture (None: `square`), `new` and `old`; the
    geometric mean of the ratios and its interval, `ratio`, `low`, `high`.
    """
    with checked_out(commit) as old, tempfile.TemporaryDirectory() as name:
        source = square(Path(name)) if picture is None else picture
        rooms = {tree: Path(name) / kind for tree, kind in ((ROOT, "new"), (old, "old"))}
        for tree, room in rooms.items():
            room.mkdir()
            for _ in range(2):
                seconds(tree, source, room, options)
        found: dict[Path, list[float]] = {tree: [] for tree in rooms}
        for pair in range(pairs):
            for tree in (ROOT, old) if pair % 2 else (old, ROOT):
                found[tree].append(seconds(tree, source, rooms[tree], options))
    mean, low, high = interval(
        [new / was for new, was in zip(found[ROOT], found[old], strict=True)]
    )
    return {
        "against": commit,
        "pairs": pairs,
        "new": statistics.median(found[ROOT]),
        "old": statistics.median(found[old]),
        "ratio": mean,
        "low": low,
        "high": high,
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("options", nargs="*", help="given to both commands, behind --")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--picture", type=Path, default=SAMPLE)
    which.add_argument("--square", action="store_true", help="512 × 512 pixels of the sample")
    parser.add_argument("--pairs", type=int, default=30)
    args = parser.parse_intermixed_args()
    picture = None if args.square else args.picture.resolve()
    found = compare(args.commit, picture, args.pairs, args.options)
    print(
        f"{machine()}: {found['new']:.3f} s, {args.commit} {found['old']:.3f} s "
        f"(medians of {args.pairs}); ratio {found['ratio']:.3f}, "
        f"95 % interval {found['low']:.3f} to {found['high']:.3f}"
    )


if __name__ == "__main__":
    main()
