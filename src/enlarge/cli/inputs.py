"""Which pictures an invocation reads: files, folders, globs, csv lists, zips, standard input."""

from __future__ import annotations

import csv
import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.cli import STREAM
from enlarge.errors import InputError

if TYPE_CHECKING:
    from enlarge.batch.archive import Member

PICTURES = frozenset(
    f".{suffix}"
    for suffix in (
        *("png", "jpg", "jpeg", "jpe", "jfif", "webp", "tif", "tiff", "avif", "gif", "bmp"),
        *("heic", "heif", "hif", "jxl", "jp2"),
    )
)
_OUR_MARK = re.compile(r"(_crop)?_(x\d+(\.\d+)?|\d+x\d+)")


@dataclass(frozen=True)
class Found:
    """One input: its path (`-` for standard input), and the folders that its output keeps below an
    output folder. Where it cannot be read at all, `problem` is the whole line that says why.
    `scanned`: nobody named it, a scan of a folder found it. `member`: it, where it lies in a zip.
    """

    path: str
    below: Path = Path()
    problem: str = ""
    scanned: bool = False
    member: Member | None = None


def find_inputs(texts: Sequence[str], *, folder: Path | None, suffix: str) -> list[Found]:
    """Every input that the arguments name, in their order, each once.

    `folder`: the output folder, which a scan of folders leaves out; `suffix`: what follows the stem
    of this invocation's outputs beside their inputs, by which a scan knows them.
    Nothing is opened but csv files; what is missing comes back with its `problem`.
    """
    rooted: list[tuple[Found, Path | None]] = []
    for text in texts:
        rooted += _expand(text, lambda path: _is_ours(path, suffix), folder)
    common = _common([root for _, root in rooted if root is not None])
    unique: dict[str, Found] = {}
    for found, root in rooted:
        if root is not None and not found.problem:
            top = root if common is None else common
            parent = Path(os.path.abspath(found.path)).parent  # noqa: PTH100 - links stay
            found = replace(found, below=parent.relative_to(top))
        key = found.path if found.path == STREAM else os.path.abspath(found.path)  # noqa: PTH100
        unique.setdefault(key, found)
    return list(unique.values())


def _common(roots: Sequence[Path]) -> Path | None:
    """The folder that holds all roots; None where there is none (drives of Windows)."""
    try:
        return Path(os.path.commonpath(roots)) if roots else None
    except ValueError:
        return None


def _expand(
    text: str, is_ours: Callable[[Path], bool], folder: Path | None
) -> Iterator[tuple[Found, Path | None]]:
    """The inputs that one argument names, each with the root of its tree (None: it lies flat)."""
    path = Path(text)
    kind = path.suffix.lower()
    if text == STREAM:
        yield Found(text), None
    elif not text:
        yield Found(text, problem="an input is empty text; expected a file, a folder or -"), None
    elif path.is_dir():
        root = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are written
        for found in _from_folder(path, is_ours, folder):
            yield found, root
    elif path.exists() and kind == ".zip":
        root = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are written
        for found in _from_archive(path):
            yield found, root
    elif path.exists() and kind == ".csv":
        for found in _from_csv(path):
            yield found, None
    elif path.exists() and not path.is_file():
        line = f"{text}: is a pipe or a device, not a file; give - and redirect it: enlarge - < …"
        yield Found(text, problem=line), None
    elif path.exists():
        yield Found(text), None
    elif glob.has_magic(text):
        yield from _from_glob(text)
    else:
        from enlarge.cli.commands import COMMANDS

        hint = f"; a command comes first: enlarge {text}" if text in COMMANDS else ""
        yield Found(text, problem=f"{text}: no such file or folder{hint}"), None


def _from_glob(text: str) -> Iterator[tuple[Found, Path | None]]:
    parts = Path(text).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(os.path.abspath(Path(*parts[:plain])))  # noqa: PTH100 - links stay
    matches = sorted(name for name in glob.glob(text, recursive=True) if Path(name).is_file())  # noqa: PTH207
    if not matches:
        yield Found(text, problem=f"{text}: no file matches"), None
    for name in matches:
        yield Found(name), root


def _from_archive(path: Path) -> Iterator[Found]:
    """The pictures in a zip, as if it were a folder."""
    from enlarge.batch.archive import list_members

    count = 0
    try:
        for member in list_members(path):
            if isinstance(member, str):
                yield Found(f"{path}/{member}", problem=member)
            elif Path(member.name).suffix.lower() in PICTURES:
                yield Found(f"{path}/{member.name}", member=member)
            else:
                continue
            count += 1
    except InputError as error:
        yield Found(str(path), problem=str(error))
        return
    if not count:
        yield Found(str(path), problem=f"{path}: no pictures in this archive")


def _from_csv(path: Path) -> Iterator[Found]:
    """The LR column of a list; paths are relative to the csv."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        yield Found(str(path), problem=f"{path}: cannot be read as a csv ({error})")
        return
    columns = ", ".join(str(name) for name in rows[0]) if rows else "no rows"
    if not rows or "LR" not in rows[0]:
        yield Found(
            str(path), problem=f"{path}: expected a column LR and at least one row, found {columns}"
        )
        return
    for number, row in enumerate(rows, start=2):
        name = (row["LR"] or "").strip()
        if not name:
            yield Found(f"{path}:{number}", problem=f"{path}: line {number} has no LR")
        elif not (path.parent / name).is_file():
            problem = f"{path.parent / name}: no such file ({path}, line {number})"
            yield Found(str(path.parent / name), problem=problem)
        else:
            yield Found(str(path.parent / name))


def _from_folder(
    folder: Path, is_ours: Callable[[Path], bool], target: Path | None
) -> Iterator[Found]:
    """The pictures below a folder, sorted; without ledgers, temporaries, outputs of ours, and the
    tiles of DeepZoom.
    """
    forbidden = target.resolve() if target is not None else None
    problems: list[Found] = []

    def note(error: OSError) -> None:
        problems.append(
            Found(
                str(error.filename), problem=f"{error.filename}: cannot be read: {error.strerror}"
            )
        )

    ours = count = 0
    for where, folders, names in os.walk(folder, onerror=note):
        here = Path(where)
        folders[:] = sorted(
            name
            for name in folders
            if name != ".enlarge"
            and not name.endswith((".parts", ".part"))
            and not (name.endswith("_files") and (here / f"{name[:-6]}.dzi").exists())
            and (forbidden is None or (here / name).resolve() != forbidden)
        )
        for name in sorted(names):
            path = here / name
            if path.suffix.lower() not in PICTURES or name.startswith("._") or not path.is_file():
                continue
            if is_ours(path):
                ours += 1
                continue
            count += 1
            yield Found(str(path), scanned=True)
    yield from problems
    if not count and not problems:
        skipped = f" but {ours} that enlarge made" if ours else ""
        yield Found(str(folder), problem=f"{folder}: no pictures in this folder{skipped}")


def _is_ours(path: Path, suffix: str) -> bool:
    """Whether a picture is named as an output of one that lies beside it."""
    stem = path.stem
    cuts = [match.start() for match in _OUR_MARK.finditer(stem) if match.end() == len(stem)]
    if suffix and stem.endswith(suffix):
        cuts.append(len(stem) - len(suffix))
    return any(
        path.with_name(stem[:cut] + other).exists()
        for cut in cuts
        if cut
        for other in PICTURES | {path.suffix, path.suffix.swapcase()} | _UPPER
    )


_UPPER = frozenset(suffix.upper() for suffix in PICTURES)
