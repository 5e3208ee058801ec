"""The pictures that sources hold: files, folders, globs, CSV files, zips and URLs."""

from __future__ import annotations

import contextlib
import csv
import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from enlarge.batch.archive import list_members
from enlarge.batch.jobs import PictureSource
from enlarge.batch.locations import (
    CsvFile,
    File,
    Folder,
    Glob,
    Source,
    Stream,
    Unusable,
    Zip,
    file_mode,
    local_path,
)
from enlarge.batch.names import decoded_name
from enlarge.batch.record import LEDGER
from enlarge.batch.remote import WEB, Remote, is_url
from enlarge.errors import InputError
from enlarge.media.formats import format_of_file
from enlarge.media.naming import PICTURES, VIDEOS, is_output_folder
from enlarge.media.not_a_picture import HEAD, TEXT, is_video, kind_of_file


@dataclass(frozen=True)
class Listed:
    """A result in a ledger: the ledger's path, and the result's size if it is known."""

    ledger: Path
    width: int | None
    height: int | None

    def is_of(self, width: int, height: int) -> bool:
        """Whether a picture of that size can be the result, and not another one in its place."""
        return self.width in (None, width) and self.height in (None, height)


@dataclass(frozen=True)
class Input:
    """One picture. `below`: the folders that its result keeps below the folder of results.
    `scanned`: a scan found it; it was not named. `page`: which of the source's pictures it is,
    where all are wanted and there are several. `listed`: the record of a result at its place.
    `video`: it is a video.
    """

    source: PictureSource
    below: Path = Path()
    scanned: bool = False
    page: int | None = None
    listed: Listed | None = None
    video: bool = False


@dataclass(frozen=True)
class Unreadable:
    """An input that cannot be read. `problem`: why, as a whole line."""

    name: str
    problem: str

    def __str__(self) -> str:
        return self.name


Found = Input | Unreadable
Rooted = tuple[Found, Path | None]
"""An input, and the root of its tree of folders (None: it keeps no folders)."""


@dataclass(frozen=True)
class Scan:
    """What a scan of folders leaves out: `results`, the place of this invocation's results, and
    `videos`, those that were found without PyAV.
    """

    results: Path | Remote | None
    videos: list[Path] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """A line for the videos, if there are any."""
        if not self.videos:
            return ()
        from enlarge.video.missing import INSTALL

        more = f" and {len(self.videos) - 1:,} more" if len(self.videos) > 1 else ""
        return (f"{self.videos[0]}{more} left out: videos need PyAV; install it: {INSTALL}",)

    @cached_property
    def _excluded(self) -> Path | None:
        return self.results.resolve() if isinstance(self.results, Path) else None

    def is_excluded(self, folder: Path) -> bool:
        """Whether a folder is that of the results."""
        return self._excluded is not None and folder.resolve() == self._excluded


def is_video_file(path: Path) -> bool:
    """Whether a file is a video."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    return format_of_file(head) is None and is_video(head, path.suffix)


def find_inputs(sources: Sequence[Source], scan: Scan) -> list[Found]:
    """Every picture that the sources name, in their order, each once.

    Only CSV files and the directories of archives are read.
    """
    rooted = [pair for source in sources for pair in _expand(source, scan)]
    common = _common([root for _, root in rooted if root is not None])
    unique: dict[str, Found] = {}
    for found, root in rooted:
        if root is not None and isinstance(found, Input):
            top = root if common is None else common
            found = replace(found, below=_absolute(Path(_name(found))).parent.relative_to(top))
        unique.setdefault(_identity(found), found)
    return list(unique.values())


def _name(found: Found) -> str:
    return str(found.source) if isinstance(found, Input) else found.name


def _identity(found: Found) -> str:
    """The same for two ways to name one input."""
    name = _name(found)
    is_stream = isinstance(found, Input) and isinstance(found.source, Stream)
    return name if is_stream or is_url(name) else str(_absolute(Path(name)))


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are written


def _common(roots: Sequence[Path]) -> Path | None:
    """The folder that holds all roots; None if there is none (drives of Windows)."""
    try:
        return Path(os.path.commonpath(roots)) if roots else None
    except ValueError:
        return None


def _expand(source: Source, scan: Scan) -> Iterator[Rooted]:
    """The pictures that one source names."""
    match source:
        case Stream():
            yield Input(source), None
        case Unusable():
            yield Unreadable(source.text, source.problem), None
        case Remote():
            yield from ((found, None) for found in _from_url(source, scan))
        case Folder():
            root = _absolute(source.path)
            yield from ((found, root) for found in _from_folder(source.path, scan))
        case Zip():
            root = _absolute(source.path)
            yield from ((found, root) for found in _from_archive(source.path))
        case CsvFile():
            yield from ((found, None) for found in _from_csv(source.path))
        case Glob():
            yield from _from_glob(source.text)
        case File():
            problem = _why_not(source.path)
            found = Unreadable(str(source), f"{source}: {problem}") if problem else Input(source)
            yield found, None


def _why_not(path: Path) -> str:
    """Why a file cannot be found; empty if it can."""
    try:
        path.stat()
    except FileNotFoundError:
        return "is a link to nothing" if path.is_symlink() else "no such file or folder"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""


def _from_glob(text: str) -> Iterator[Rooted]:
    parts = Path(text).parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = _absolute(Path(*parts[:plain]))
    names = glob.glob(text, recursive=True)  # noqa: PTH207
    matches = sorted(name for name in names if stat.S_ISREG(file_mode(Path(name))))
    if not matches:
        yield Unreadable(text, f"{text}: no file matches"), None
    for name in matches:
        yield Input(File(Path(name), name)), root


def _from_archive(path: Path) -> Iterator[Found]:
    """The pictures in a zip, as if it were a folder."""
    count = 0
    try:
        for member in list_members(path):
            if isinstance(member, str):
                yield Unreadable(f"{path}/{member}", member)
            elif Path(member.name).suffix.lower() in PICTURES:
                yield Input(member)
            else:
                continue
            count += 1
    except InputError as error:
        yield Unreadable(str(path), str(error))
        return
    if not count:
        yield Unreadable(str(path), f"{path}: no pictures in this archive")


def _from_csv(path: Path) -> Iterator[Found]:
    """The LR column of a list; paths are relative to the CSV file."""
    try:
        # Names may be of any bytes, as the file system has them.
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        yield Unreadable(str(path), f"{path}: cannot be read as a CSV file ({error})")
        return
    columns = ", ".join(str(name) for name in rows[0]) if rows else "no rows"
    if not rows or "LR" not in rows[0]:
        problem = f"{path}: expected a column LR and at least one row, found {columns}"
        yield Unreadable(str(path), problem)
        return
    for number, row in enumerate(rows, start=2):
        name = local_path((row["LR"] or "").strip())
        place = path.parent / name
        if is_url(name):
            yield Input(Remote(name))
        elif not name:
            yield Unreadable(f"{path}:{number}", f"{path}: line {number} has no LR")
        elif not stat.S_ISREG(file_mode(place)):
            yield Unreadable(str(place), f"{place}: no such file ({path}, line {number})")
        else:
            yield Input(File(place))


def _from_url(remote: Remote, scan: Scan) -> Iterator[Found]:
    """The pictures behind a URL: one, all below a prefix with their folders, or those of a glob."""
    try:
        if remote.suffix in (".zip", ".csv"):
            problem = (
                f"{remote}: a {remote.suffix[1:]} file must be on this machine; download it first"
            )
            yield Unreadable(remote.url, problem)
        elif glob.has_magic(remote.url) and remote.protocol not in WEB:
            yield from _listed(remote, remote.matches(), None)
        elif remote.suffix in PICTURES or remote.protocol in WEB:
            remote.info()
            yield Input(remote)
        else:
            yield from _listed(remote, remote.below(), scan)
    except FileNotFoundError:
        yield Unreadable(remote.url, f"{remote}: there is no such file")
    except InputError as error:
        yield Unreadable(remote.url, str(error))


def _listed(remote: Remote, urls: Sequence[str], scan: Scan | None) -> Iterator[Found]:
    """The pictures among what a store lists; in a `scan`, without those in the place of the
    results.
    """
    root = _listed_root(remote)
    count = 0
    for url in urls:
        found = Remote(url)
        if found.suffix not in PICTURES or found.name.startswith("._"):
            continue
        if scan is not None and _is_below(url, scan.results, root):
            continue
        inside = url.removeprefix(root)
        if url.startswith(root) and (inside.startswith("/") or {"..", "."} & {*inside.split("/")}):
            yield Unreadable(url, f"{found}: skipped, because its name points outside the folder")
            continue
        count += 1
        below = Path(inside).parent if url.startswith(root) else Path()
        yield Input(found, below=below, scanned=scan is not None)
    if not count:
        yield Unreadable(remote.url, f"{remote}: no pictures there")


def _listed_root(remote: Remote) -> str:
    """The URL that the results' folders are relative to, with a slash at its end."""
    plain = re.split(r"[*?\[]", remote.url)[0]
    return f"{plain.rpartition('/')[0] if plain != remote.url else plain.rstrip('/')}/"


def _is_below(url: str, results: Path | Remote | None, root: str) -> bool:
    """Whether a URL is in the place of the results, which is another than that of the inputs."""
    if not isinstance(results, Remote):
        return False
    return url.startswith(f"{results.url}/") and results.url + "/" != root


def _from_folder(folder: Path, scan: Scan) -> Iterator[Found]:
    """The pictures below a folder, sorted; without ledgers, temporary files and the tiles of
    DeepZoom.
    """
    from enlarge.video.missing import has_av

    problems: list[Found] = []

    def note(error: OSError) -> None:
        problem = f"{error.filename}: cannot be read: {error.strerror}"
        problems.append(Unreadable(str(error.filename), problem))

    count = 0
    takes_videos = has_av()
    listed = _listed_above(folder)
    for where, folders, names in os.walk(folder, onerror=note):
        here = Path(where)
        if LEDGER.parts[0] in folders:
            listed |= _listed_in(here)
        folders[:] = sorted(
            name
            for name in folders
            if not is_output_folder(here / name) and not scan.is_excluded(here / name)
        )
        for path in _pictures(here, names):
            if not takes_videos and path.suffix.lower() in VIDEOS:
                scan.videos.append(path)
                continue
            count += 1
            if problem := _why_not(path):  # a link to nothing, for one
                problems.append(Unreadable(str(path), f"{path}: {problem}"))
                continue
            yield Input(File(path), scanned=True, listed=listed.get(path))
    yield from problems
    if not count and not problems:
        videos = "".join(f"; {note}" for note in scan.notes())
        yield Unreadable(str(folder), f"{folder}: no pictures in this folder{videos}")


def _listed_above(folder: Path) -> dict[Path, Listed]:
    """The results that ledgers of the folders above list."""
    listed: dict[Path, Listed] = {}
    root = _absolute(folder)
    for above in root.parents:
        for path, found in _listed_in(above).items():
            with contextlib.suppress(ValueError):
                listed[folder / path.relative_to(root)] = found
    return listed


def _listed_in(folder: Path) -> dict[Path, Listed]:
    """The results that the ledger of a folder lists, if there is one."""
    if not (folder / LEDGER).is_file():
        return {}
    from enlarge.batch.ledger import read_rows

    return {
        folder / decoded_name(row.output): Listed(folder / LEDGER, row.width, row.height)
        for row in read_rows(folder)
        if row.is_made
    }


def _pictures(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Those of a folder's files that are named as pictures or videos, sorted; without pipes and
    devices.
    """
    wanted = PICTURES | VIDEOS
    for name in sorted(names):
        path = folder / name
        if path.suffix.lower() in wanted and not name.startswith("._"):
            mode = file_mode(path)
            if (stat.S_ISREG(mode) and not _is_typescript(path)) or not mode:
                yield path


def _is_typescript(path: Path) -> bool:
    """Whether a file is a text that has the suffix of a video."""
    if path.suffix.lower() not in (".ts", ".mts"):
        return False
    with contextlib.suppress(OSError), path.open("rb") as file:
        return kind_of_file(file.read(HEAD)) == TEXT
    return False
