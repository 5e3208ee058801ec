"""Check that another commit writes the same files, byte for byte.

    python -m tests.compare_versions c5576e3          # against the working tree; about 4 minutes

Each command below runs in both trees, in folders of their own, with the same material. The exit
status, the names of the files that were written, and their bytes (ledgers apart) are compared;
then the options that `--help` names, and whether this tree accepts the ledger and the finished
bands that the other one left. The exit status is 1 where anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
COMMANDS = """
photo.jpg
photo.jpg -o out/a.jpg --quality 90
photo.jpg -o out/a.webp --metadata none
photo.jpg -o out/a.tif --pyramid
photo.jpg -o out/a.avif --crop 100,80,120,90
photo.jpg --scale 2
photo.jpg -o out/a.png --scale 2.7 --tile 64
small.png -o out/a.png --scale 6
small.png --width 700 --height 500
small.png -o out/a.png --ensemble --no-provenance
photo.jpg --crop 10,20,50,40 --suffix _part
alpha.png -o out/a.png --exact
deep.png -o out/a.tif --tile 96
gray.png -o out/a.png --memory 1500MB
tree -o out/
tree -o out.zip --format jpg
pack.zip -o out/
list.csv -o out/
photo.jpg --format dzi
photo.jpg -o out/a.szi --crop 0,0,200,150
small.png -o out/a.png --model quality --tile 64
small.png -o out/a.png --model photo --scale 1
small.png -o out/a.png --model photo-sharp --strength 0.4
missing.png small.png -o out/
small.png -o small.png --overwrite
- -o - < small.png
"""
HELP = ["", "app", "benchmark", "compare", "degrade", "evaluate", "export", "inspect", "models",
        "prepare", "train"]  # fmt: skip
_ENTRY = re.compile(r"^ {2}(-.*?)(?: {2}|$)", re.MULTILINE)
"""What precedes the help of an option; wrapped lines of help are indented deeper."""
_OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")
_UNREAD = {".sqlite", ".sqlite-wal", ".sqlite-shm"}


def make_material(folder: Path) -> None:
    """Pictures of several kinds, a tree, a zip and a list."""
    random = np.random.default_rng(0)
    with Image.open(ROOT / "samples/photo.jpg") as photo:
        photo.load()
        small = photo.resize((97, 61), Image.Resampling.LANCZOS)
    shutil.copy(ROOT / "samples/photo.jpg", folder / "photo.jpg")
    small.save(folder / "small.png")
    alpha = np.dstack([np.asarray(small), random.integers(0, 256, (61, 97), np.uint8)])
    alpha[:20, :, 3] = 255
    Image.fromarray(alpha).save(folder / "alpha.png")
    deep = np.asarray(small.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    small.convert("L").save(folder / "gray.png")
    for number in range(3):
        path = folder / f"tree/{number % 2}/p{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small.crop((number, 0, number + 40, 30)).save(path)
    (folder / "list.csv").write_text("LR,HR\nsmall.png,\ntree/1/p1.png,\n")
    with zipfile.ZipFile(folder / "pack.zip", "w") as pack:
        for path in sorted(folder.glob("tree/*/*.png")):
            pack.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes())


def run(tree: Path, line: str, folder: Path) -> tuple[int, bytes]:
    """The exit status and standard output of `enlarge LINE` of a tree, run in a folder."""
    words, _, source = line.partition(" < ")
    given = (folder / source).read_bytes() if source else b""
    done = subprocess.run(
        [sys.executable, "-m", "enlarge", *words.split()],
        cwd=folder, env=environment(tree), input=given, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout if source else b""


def environment(tree: Path) -> dict[str, str]:
    """That of this process, with the sources of another tree."""
    return {**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "200", "NO_COLOR": "1"}


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder; of the members of a zip, whose times differ."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if not path.is_file() or path.suffix in _UNREAD:
            continue
        if path.suffix in (".zip", ".szi"):
            with zipfile.ZipFile(path) as pack:
                for member in pack.infolist():
                    data = pack.read(member)
                    found[f"{name}/{member.filename}"] = hashlib.sha256(data).hexdigest()
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def compare_commands(trees: tuple[Path, Path], room: Path) -> Iterator[str]:
    """A line for each command that differs."""
    for number, line in enumerate(COMMANDS.strip().splitlines()):
        seen = []
        for which, tree in enumerate(trees):
            folder = room / f"{number}-{which}" / "here"
            folder.mkdir(parents=True)
            make_material(folder)
            begun = time.perf_counter()
            seen.append((run(tree, line, folder), digests(folder)))
            seconds = time.perf_counter() - begun
        same = seen[0] == seen[1]
        print(f"{'same' if same else 'DIFFERS'}  {seconds:5.1f} s  enlarge {line}", flush=True)
        if not same:
            (first, files), (second, others) = seen
            names = sorted(n for n in {*files, *others} if files.get(n) != others.get(n))
            what = ", ".join(names) or "standard output"
            yield f"enlarge {line}: status {first[0]} and {second[0]}, {what}"


def compare_options(trees: tuple[Path, Path]) -> Iterator[str]:
    """A line for each command whose help names other options."""
    for command in HELP:
        options = []
        for tree in trees:
            done = subprocess.run(
                [sys.executable, "-m", "enlarge", *command.split(), "--help"],
                env=environment(tree), capture_output=True, text=True, check=True,
            )  # fmt: skip
            options.append(
                {word for line in _ENTRY.findall(done.stdout) for word in _OPTION.findall(line)}
            )
        same = options[0] == options[1]
        print(f"{'same' if same else 'DIFFERS'}           enlarge {command} --help", flush=True)
        if not same:
            yield f"enlarge {command} --help: {sorted(options[0] ^ options[1])}"


def continue_folder(trees: tuple[Path, Path], room: Path) -> Iterator[str]:
    """This tree keeps what the other one wrote down in an output folder."""
    folder = room / "ledger"
    folder.mkdir()
    make_material(folder)
    run(trees[0], "tree -o out/", folder)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("out/**/*.png")}
    status, _ = run(trees[1], "tree -o out/", folder)
    after = {path: path.stat().st_mtime_ns for path in folder.glob("out/**/*.png")}
    same = status == 0 and before == after and len(before) == 3
    print(f"{'same' if same else 'DIFFERS'}           a folder of the other commit, rerun")
    if not same:
        yield "a folder that the other commit made is made again"


def continue_bands(trees: tuple[Path, Path], room: Path) -> Iterator[str]:
    """This tree goes on with the bands that the other one left when it was killed."""
    results = []
    for interrupted in (True, False):
        folder = room / f"bands-{interrupted}"
        folder.mkdir()
        make_material(folder)
        with Image.open(folder / "photo.jpg") as photo:
            photo.resize((2600, 2500), Image.Resampling.BICUBIC).save(folder / "large.png")
        parts = folder / "large_x4.png.parts"
        if interrupted:
            command = [sys.executable, "-m", "enlarge", "large.png"]
            child = subprocess.Popen(
                command, cwd=folder, env=environment(trees[0]), stderr=subprocess.DEVNULL
            )
            while child.poll() is None and len(list(parts.glob("*"))) < 4:
                time.sleep(0.1)
            child.send_signal(signal.SIGKILL)
            child.wait()
            kept = {path.name: path.stat().st_mtime_ns for path in parts.glob("*")}
        status, _ = run(trees[1], "large.png", folder)
        results.append((status, digests(folder).get("large_x4.png")))
    same = results[0] == results[1] and results[0][0] == 0 and len(kept) >= 4
    print(f"{'same' if same else 'DIFFERS'}           a killed run of the other commit, resumed")
    if not same:
        yield f"a killed run of the other commit, resumed: {results}, {len(kept)} bands"


def main() -> int:
    """Compare the working tree with a commit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commit")
    commit = parser.parse_args().commit
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        other = room / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(other), commit], check=True)
        try:
            trees = (other, ROOT)
            problems = [
                *compare_commands(trees, room),
                *compare_options(trees),
                *continue_folder(trees, room),
                *continue_bands(trees, room),
            ]
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
