"""Zip archives: reading pictures from one, and writing results to one, reproducibly."""

from __future__ import annotations

import contextlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from enlarge.errors import InputError, OutputError
from enlarge.media.stored_zip import write_stored_zip
from enlarge.media.temporary import TemporaryFile

_ENCRYPTED, _UTF_8 = 0x1, 0x800
_UNIX = 3
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError),
    *((lzma.LZMAError,) if (lzma := getattr(zipfile, "lzma", None)) else ()),
)


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name there, its size in bytes, and its digest."""

    archive: Path
    name: str
    size: int
    digest: str
    _zip: zipfile.ZipFile = field(repr=False, compare=False)
    _info: zipfile.ZipInfo = field(repr=False, compare=False)

    def __reduce__(self) -> tuple[Callable[..., Member], tuple[Path, str]]:
        """Unpickled in another process, it opens the archive there."""
        return find_member, (self.archive, self.name)

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def open(self) -> MemberStream:
        """Its content as a stream. Raises `InputError`."""
        return MemberStream(self)


class MemberStream:
    """The content of a member, read in order. `name` is used in errors."""

    def __init__(self, member: Member) -> None:
        self.name = str(member)
        try:
            self._file = member._zip.open(member._info)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
            raise InputError(f"{self.name}: cannot be unpacked: {error}") from error

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises `InputError` if the archive is damaged."""
        try:
            return self._file.read(size)
        except _DAMAGE as error:
            raise InputError(f"{self.name}: is damaged in the archive: {error}") from error

    def close(self) -> None:
        """Close the stream."""
        self._file.close()


def list_members(path: Path) -> Iterator[Member | str]:
    """The files in an archive, sorted by name; a line of text for each that cannot be read.

    Folders, links and the extra files of macOS are skipped. Raises `InputError`.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be read as a zip archive ({why})") from error
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        inside = PurePosixPath(_name_in(info))
        on_windows = PureWindowsPath(info.filename)
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            continue
        if "__MACOSX" in inside.parts or any(p.startswith("._") for p in inside.parts):
            continue
        if inside.is_absolute() or on_windows.anchor or ".." in on_windows.parts:
            yield f"{path}: {info.filename!r} skipped, because its name points outside the archive"
        elif info.flag_bits & _ENCRYPTED:
            yield f"{path}/{inside}: is encrypted; unpack the archive and pass the folder"
        else:
            digest = f"crc32 {info.CRC:08x} {info.file_size}"
            yield Member(path, str(inside), info.file_size, digest, archive, info)


def _name_in(info: zipfile.ZipInfo) -> str:
    """The name of a member. Python takes one that is not marked as UTF-8 for the code page of DOS;
    on Unix it is the bytes of the file's name.
    """
    if info.flag_bits & _UTF_8 or info.create_system != _UNIX:
        return info.filename
    return info.filename.encode("cp437").decode("utf-8", "surrogateescape")


def find_member(path: Path, name: str) -> Member:
    """The file with that name in an archive, which stays open. Raises `InputError`."""
    try:
        status = path.stat()
        return _members(path, status.st_mtime_ns, status.st_size)[name]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except KeyError:
        raise InputError(f"{path}/{name}: is no longer in the archive") from None


@lru_cache(maxsize=4)
def _members(path: Path, changed: int, size: int) -> dict[str, Member]:
    """The files of an archive last changed at `changed`, by name."""
    return {found.name: found for found in list_members(path) if isinstance(found, Member)}


def write_archive(
    target: Path,
    files: Sequence[tuple[str, Path]],
    *,
    seal: Callable[[BinaryIO], None] | None = None,
    overwrite: bool = True,
) -> None:
    """Write files, (name inside, path), to a new archive, uncompressed.

    The same files give the same bytes: entries in the given order, all with one date. `target`
    appears when it is complete; `seal` receives it before that. Without `overwrite`, a target that
    exists by then stays as it is. Raises `OutputError`.
    """
    temporary = TemporaryFile(target)
    try:
        write_stored_zip(temporary.file, files)
        temporary.finish(seal, overwrite=overwrite)
    except OSError as error:
        temporary.abort()
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        temporary.abort()
        raise


def staging_folder(target: Path) -> Path:
    """The folder that holds the results for an archive until it is written."""
    return target.with_name(target.name + ".parts")


def remove_staging(folder: Path, files: Sequence[Path]) -> None:
    """Remove the files and the ledger from the staging folder of a finished archive, and every
    folder that is then empty. Files of others stay.
    """
    for path in files:
        path.unlink(missing_ok=True)
    ledger = folder / ".enlarge"
    for path in ledger.glob("*"):
        path.unlink(missing_ok=True)
    for where, folders, _ in os.walk(folder, topdown=False):
        for name in folders:
            with contextlib.suppress(OSError):
                (Path(where) / name).rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
