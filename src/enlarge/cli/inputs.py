"""Which pictures an invocation reads: files, folders, globs, csv lists, zips, standard input."""

from __future__ import annotations

import csv
import glob
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.batch.addresses import WEB, Remote, as_path, is_url
from enlarge.cli.console import STREAM
from enlarge.errors import InputError
from enlarge.media.naming import OUR_MARK, PICTURES, holds_no_inputs, is_ours

if TYPE_CHECKING:
    from enlarge.batch.archive import Member


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


def find_inputs(
    texts: Sequence[str], *, folder: Path | None, suffix: str, remote: Remote | None = None
) -> list[Found]:
    """Every input that the arguments name, in their order, each once.

    `folder`, `remote`: the output folder, which a scan of folders leaves out; `suffix`: what
    follows the stem of this invocation's outputs beside their inputs, by which a scan knows them.
    Nothing is opened but csv files; what is missing comes back with its `problem`.
    """
    rooted: list[tuple[Found, Path | None]] = []
    for text in map(as_path, texts):
        if is_url(text):
            rooted += [(found, None) for found in _from_url(Remote(text), suffix, remote)]
            continue
        rooted += _expand(text, lambda path: is_ours(path, suffix), folder)
    common = _common([root for _, root in rooted if root is not None])
    unique: dict[str, Found] = {}
    for found, root in rooted:
        if root is not None and not found.problem:
            top = root if common is None else common
            parent = Path(os.path.abspath(found.path)).parent  # noqa: PTH100 - links stay
            found = replace(found, below=parent.relative_to(top))
        is_name = found.path == STREAM or is_url(found.path)
        key = found.path if is_name else os.path.abspath(found.path)  # noqa: PTH100
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
    kind, mode = path.suffix.lower(), _mode(path)
    if text == STREAM:
        yield Found(text), None
    elif not text:
        yield Found(text, problem="an input is empty text; expected a file, a folder or -"), None
    elif stat.S_ISDIR(mode):
        root = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are written
        for found in _from_folder(path, is_ours, folder):
            yield found, root
    elif mode and kind == ".zip":
        root = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are written
        for found in _from_archive(path):
            yield found, root
    elif mode and kind == ".csv":
        for found in _from_csv(path):
            yield found, None
    elif mode and not stat.S_ISREG(mode):
        line = f"{text}: is a pipe or a device, not a file; give - and redirect it: enlarge - < …"
        yield Found(text, problem=line), None
    elif mode:
        yield Found(text), None
    elif glob.has_magic(text):
        yield from _from_glob(text)
    else:
        from enlarge.cli.commands import COMMANDS

        hint = f"; a command comes first: enlarge {text}" if text in COMMANDS else ""
        yield Found(text, problem=f"{text}: {_why_not(path)}{hint}"), None


def _mode(path: Path) -> int:
    """The mode of a file, links followed; 0 where there is none, or none that can be reached."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def _why_not(path: Path) -> str:
    try:
        path.stat()
    except FileNotFoundError:
        return "no such file or folder"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return "no such file or folder"


def _from_glob(text: str) -> Iterator[tuple[Found, Path | None]]:
    parts = Path(text).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(os.path.abspath(Path(*parts[:plain])))  # noqa: PTH100 - links stay
    names = glob.glob(text, recursive=True)  # noqa: PTH207
    matches = sorted(name for name in names if stat.S_ISREG(_mode(Path(name))))
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
        name = as_path((row["LR"] or "").strip())
        if is_url(name):
            yield Found(name)
        elif not name:
            yield Found(f"{path}:{number}", problem=f"{path}: line {number} has no LR")
        elif not stat.S_ISREG(_mode(path.parent / name)):
            problem = f"{path.parent / name}: no such file ({path}, line {number})"
            yield Found(str(path.parent / name), problem=problem)
        else:
            yield Found(str(path.parent / name))


def _from_url(remote: Remote, suffix: str, target: Remote | None) -> Iterator[Found]:
    """The pictures behind a URL: one, those below a prefix with their tree, or those of a glob."""
    try:
        if remote.suffix in (".zip", ".csv"):
            problem = f"{remote}: a {remote.suffix[1:]} is read from this machine; download it"
            yield Found(remote.url, problem=problem)
        elif glob.has_magic(remote.url) and remote.protocol not in WEB:
            yield from _listed(remote, remote.matches(), "", None)
        elif remote.suffix in PICTURES or remote.protocol in WEB:
            remote.info()
            yield Found(remote.url)
        else:
            yield from _listed(remote, remote.below(), suffix, target)
    except FileNotFoundError:
        yield Found(remote.url, problem=f"{remote}: there is no such file")
    except InputError as error:
        yield Found(remote.url, problem=str(error))


def _listed(
    remote: Remote, urls: Sequence[str], suffix: str, target: Remote | None
) -> Iterator[Found]:
    """The pictures among what a store lists, without what lies in the output's place and, in a
    scan (`suffix` is not empty), what is named as an output of one beside it.
    """
    plain = re.split(r"[*?\[]", remote.url)[0]
    root = f"{plain.rpartition('/')[0] if plain != remote.url else plain.rstrip('/')}/"
    names = {url.rpartition(".")[0] for url in urls}
    count = ours = 0
    for url in urls:
        found = Remote(url)
        if found.suffix not in PICTURES or found.name.startswith("._"):
            continue
        if target is not None and url.startswith(f"{target.url}/") and target.url + "/" != root:
            continue
        inside = url.removeprefix(root)
        if url.startswith(root) and (inside.startswith("/") or {"..", "."} & {*inside.split("/")}):
            yield Found(url, problem=f"{found}: its name leads out of the folder, and is not taken")
            continue
        stem = url.rpartition(".")[0]
        cuts = [m.start() for m in OUR_MARK.finditer(stem) if m.end() == len(stem)]
        if suffix and stem.endswith(suffix):
            cuts.append(len(stem) - len(suffix))
        if suffix and any(stem[:cut] in names for cut in cuts):
            ours += 1
            continue
        count += 1
        below = Path(inside).parent if url.startswith(root) else Path()
        yield Found(url, below=below, scanned=bool(suffix))
    if not count:
        skipped = f" but {ours} that enlarge made" if ours else ""
        yield Found(remote.url, problem=f"{remote}: no pictures there{skipped}")


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
            if not holds_no_inputs(here / name)
            and (forbidden is None or (here / name).resolve() != forbidden)
        )
        for name in sorted(names):
            path = here / name
            if (
                path.suffix.lower() not in PICTURES
                or name.startswith("._")
                or not stat.S_ISREG(_mode(path))
            ):
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
