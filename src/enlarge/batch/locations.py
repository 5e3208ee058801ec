"""Where pictures come from and where results go: values, made once from what was typed.

A source is one of `File`, `Folder`, `Zip`, `CsvFile`, `Glob`, `Remote` and `Stream`; a target is
one of `File`, `Folder`, `Zip`, `Remote`, `RemoteFolder` and `Stream`. Names may hold bytes that are
not text, as Python's surrogate escapes.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from enlarge.batch.archive import staging_folder
from enlarge.batch.remote import Remote, is_url
from enlarge.cache import cache_folder
from enlarge.errors import OptionError

STREAM = "-"
"""Standard input, or standard output, on the command line."""


@dataclass(frozen=True)
class Stream:
    """Standard input, or standard output."""

    def __str__(self) -> str:
        return STREAM


@dataclass(frozen=True)
class _Local:
    """Something in the file system. `text`: its path as it was typed."""

    path: Path
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text or str(self.path)


class File(_Local):
    """A file; it need not exist."""


class Folder(_Local):
    """A folder; a target need not exist."""


class Zip(_Local):
    """A zip archive; a target need not exist."""

    @property
    def staging(self) -> Path:
        """The folder that holds the results until the archive is written."""
        return staging_folder(self.path)


class CsvFile(_Local):
    """A CSV file that lists pictures."""


@dataclass(frozen=True)
class Glob:
    """A pattern for file names."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class RemoteFolder:
    """Everything below a URL. `text`: the URL as it was typed."""

    remote: Remote
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text or self.remote.url


@dataclass(frozen=True)
class Unusable:
    """Text that names nothing that can be read. `problem`: why, as a whole line."""

    text: str
    problem: str

    def __str__(self) -> str:
        return self.text


Source = File | Folder | Zip | CsvFile | Glob | Remote | Stream | Unusable
Target = File | Folder | Zip | Remote | RemoteFolder | Stream


def parse_source(text: str) -> Source:
    """The source that an argument names. Raises `OptionError` for the file:// URL of another host.

    What exists decides: only text that names no file is taken for a pattern.
    """
    text = local_path(text)
    if text == STREAM:
        return Stream()
    if not text:
        return Unusable(text, "an input is empty text; expected a file, a folder or -")
    if is_url(text):
        return Remote(text)
    path = Path(text)
    mode = file_mode(path)
    if not mode:
        return Glob(text) if glob.has_magic(text) else File(path, text)
    if stat.S_ISDIR(mode):
        return Folder(path, text)
    kinds: dict[str, type[Zip] | type[CsvFile]] = {".zip": Zip, ".csv": CsvFile}
    if (kind := kinds.get(path.suffix.lower())) is not None:
        return kind(path, text)
    if not stat.S_ISREG(mode):
        problem = "is a pipe or a device, not a file; redirect it to standard input: enlarge - < …"
        return Unusable(text, f"{text}: {problem}")
    return File(path, text)


def parse_target(text: str) -> Target:
    """The target that `-o` names. Raises `OptionError`.

    A folder is one that exists, ends in a slash, or has no extension; a name that ends in `.zip` is
    an archive; anything else is one file.
    """
    text = local_path(text)
    if text == STREAM:
        return Stream()
    if not text:
        raise OptionError("-o is empty; expected a folder, a file, or - for standard output")
    if is_url(text):
        return _parse_remote_target(text)
    path = Path(text)
    is_folder = text.endswith(("/", os.sep)) or not path.suffix
    if is_folder or os.path.isdir(path):  # noqa: PTH112 - False, also where it cannot be asked
        return Folder(path, text)
    return Zip(path, text) if path.suffix.lower() == ".zip" else File(path, text)


def _parse_remote_target(text: str) -> Remote | RemoteFolder:
    remote = Remote(text)
    if text.endswith("/") or not remote.suffix or remote.root.url == text:
        return RemoteFolder(Remote(text.rstrip("/")), text)
    if remote.suffix == ".zip":
        raise OptionError(f"-o {text}: a zip is written on this machine; give a local path")
    return remote


def local_path(text: str) -> str:
    """The path in a file:// URL; other text unchanged. Raises `OptionError` for another host."""
    if not text.lower().startswith("file://"):
        return text
    from urllib.request import url2pathname  # it loads a good deal

    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise OptionError(f"{text} names the host {parts.netloc}; expected file:///PATH")
    return url2pathname(parts.path)


def file_mode(path: Path) -> int:
    """The mode of a file, links followed; 0 if there is none, or it cannot be reached."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0


def results_folder(target: Target | None) -> Path | Remote | None:
    """The folder, or the prefix, that receives the results; None if `target` takes one result, or
    results are written beside their inputs.
    """
    match target:
        case Folder():
            return target.path
        case Zip():
            return target.staging
        case RemoteFolder():
            return target.remote
        case _:
            return None


def ledger_folder(target: Target | None, given: Path | None = None) -> Path | None:
    """The folder whose `.enlarge/` holds the ledger of `target`; None if it has no ledger.

    It is the folder of the results, unless that is remote or another one is `given`.
    """
    results = results_folder(target)
    if results is None or (given is None and isinstance(results, Path)):
        return results if isinstance(results, Path) else None
    return ledger_home(results, given)


def ledger_home(results: Path | Remote, given: Path | None = None) -> Path:
    """The folder for the ledger of results that are elsewhere: one for each place, in `given` or in
    the user's cache.
    """
    place = results.url.rstrip("/") if isinstance(results, Remote) else str(results.absolute())
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9]+", "-", place)[-40:].strip("-")
    return (given or cache_folder() / "ledgers") / f"{name}-{digest}"
