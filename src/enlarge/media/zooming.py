"""DeepZoom: a picture cut into tiles at every size, as viewers of very large pictures load them.

`NAME.dzi` describes the tiles in `NAME_files/LEVEL/COLUMN_ROW.png`; `NAME.szi` is a zip of both,
stored as they are. libvips writes the tiles into a temporary folder beside the target. What
describes them gets its name last, and holds a digest of them all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyvips

from enlarge.errors import InputError, OutputError
from enlarge.media.temporary import LOCK, TemporaryFile, sync_folder, take_lock, temporary_name

DESCRIPTOR, ARCHIVE = "dzi", "szi"
TILE, OVERLAP = 254, 1
"""Pixels: with what they share with their neighbours, tiles inside a picture are 256 wide."""
_MARK = "enlarge.json"
"""What tells that a folder of tiles is ours; it says how they were made."""
_LEVEL = re.compile(r"\d+")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_COPIED = 1 << 20


def tiles_folder(target: Path) -> Path:
    """Where the tiles of a `.dzi` lie."""
    return target.with_name(target.stem + "_files")


def check_tiles_folder(target: Path) -> None:
    """Raise `OutputError` where the tiles of a `.dzi` cannot lie where they have to."""
    folder = tiles_folder(target)
    if len(os.fsencode(folder.name)) > 255:
        raise OutputError(f"{folder}: the name is longer than 255 bytes; take a shorter one")
    if not folder.is_symlink() and not folder.exists():
        return
    is_ours = folder.is_dir() and not folder.is_symlink() and (folder / _MARK).is_file()
    known = (_MARK, "vips-properties.xml")
    is_zoom = (
        target.exists()
        and folder.is_dir()
        and not folder.is_symlink()
        and all(_LEVEL.fullmatch(name) or name in known for name in os.listdir(folder))  # noqa: PTH208
    )
    if not (is_ours or is_zoom):
        raise OutputError(
            f"{folder}: is where the tiles of {target.name} have to lie, but is something else; "
            "move it, or name another output"
        )


def stored_zip(file: BinaryIO, entries: Sequence[tuple[str, Path]]) -> None:
    """Put files, (name inside, path), into a zip, stored as they are, all of one time: the same
    files give the same bytes. Raises `OSError`.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, path in entries:
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.create_system = 3  # Unix: the same on every system
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as entry:
                shutil.copyfileobj(source, entry, _COPIED)


class Zoom:
    """The tiles of a picture while they are made: they become `target` or nothing. `form`: dzi or
    szi. `provenance`: how they are made.

    Raises `OutputError` where the folder cannot take them.
    """

    def __init__(self, target: Path, form: str, provenance: Mapping[str, str] | None) -> None:
        self.target = target.resolve() if target.is_symlink() else target
        self._is_archive = form == ARCHIVE
        if not self._is_archive:
            check_tiles_folder(self.target)
        # First the name that the target will get, with all that can be wrong about it.
        self._file = TemporaryFile(self.target)
        self._provenance = dict(provenance or {})
        self._folder = self.target.with_name(temporary_name(self.target.name + "~tiles"))
        try:
            if self._folder.exists():  # of this very process number, in another time
                shutil.rmtree(self._folder)
            self._folder.mkdir()
            self._lock = (self._folder / LOCK).open("xb")
            take_lock(self._lock)
        except OSError as error:
            self._file.abort()
            raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error

    def save(self, image: pyvips.Image, quality: int) -> None:
        """Cut the picture into tiles: PNG, or below a `quality` of 100 JPEG."""
        suffix = ".png[compression=2]"
        if quality < 100:
            suffix = f".jpg[Q={quality},subsample-mode=off]"
        image.dzsave(
            str(self._folder / "tiles"),
            suffix=suffix,
            tile_size=TILE,
            overlap=OVERLAP,
            keep="icc",
        )

    def finish(self, seal: Callable[[BinaryIO], None] | None = None) -> None:
        """See that it is on the disk, and give it its name. Raises `OutputError`.

        `seal` is given the whole file before it gets its name; what it raises leaves nothing.
        """
        try:
            tiles, described = self._complete()
            if self._is_archive:
                name = self.target.stem
                listed = [
                    (f"{name}/{name}_files/{path.relative_to(tiles).as_posix()}", path)
                    for path in _files(tiles)
                ]
                stored_zip(self._file.file, [(f"{name}/{name}.dzi", described), *listed])
                self._file.finish(seal)
            else:
                self._file.file.write(described.read_bytes())
                if hasattr(os, "sync"):
                    os.sync()  # thousands of files
                self._file.finish(seal, before=lambda: self._place(tiles))
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error
        except BaseException:
            self.abort()
            raise
        self._let_go()

    def _complete(self) -> tuple[Path, Path]:
        """The tiles, with what says how they were made, and the file that describes them."""
        tiles, described = self._folder / "tiles_files", self._folder / "tiles.dzi"
        (tiles / "vips-properties.xml").unlink(missing_ok=True)  # holds the time
        if self._provenance or not self._is_archive:
            text = json.dumps(self._provenance, ensure_ascii=False, indent=1) + "\n"
            (tiles / _MARK).write_text(text, encoding="utf-8")
        digest = hashlib.sha256()
        for path in _files(tiles):
            with path.open("rb") as file:
                own = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(tiles).as_posix()} {own}\n".encode())
        head, end, tail = described.read_text(encoding="utf-8").rpartition("</Image>")
        text = f"{head}  <!-- tiles: sha256 {digest.hexdigest()} -->\n{end}{tail}"
        described.write_text(text, encoding="utf-8")
        return tiles, described

    def _place(self, tiles: Path) -> None:
        """Give the tiles their place, just before what describes them gets its own."""
        folder = tiles_folder(self.target)
        check_tiles_folder(self.target)
        if folder.exists():
            self.target.unlink(missing_ok=True)  # never with tiles that are not its own
            folder.rename(self._folder / "before")
        tiles.rename(folder)
        sync_folder(self.target.parent)

    def abort(self) -> None:
        """Remove it. Does nothing after `finish`."""
        self._file.abort()
        self._let_go()

    def _let_go(self) -> None:
        if self._lock.closed:
            return
        if sys.platform == "win32":
            self._lock.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()


def describe_zoom(path: Path) -> dict[str, Any]:
    """What `enlarge inspect` says about a `.dzi` or `.szi`. Raises `InputError`."""
    try:
        if path.suffix.lower() == f".{ARCHIVE}":
            with zipfile.ZipFile(path) as archive:
                names = {PurePosixPath(name).name: name for name in archive.namelist()}
                described = next(name for name in names if name.endswith(f".{DESCRIPTOR}"))
                text = archive.read(names[described]).decode()
                mark = archive.read(names[_MARK]).decode() if _MARK in names else "{}"
        else:
            text = path.read_text(encoding="utf-8")
            beside = tiles_folder(path) / _MARK
            mark = beside.read_text(encoding="utf-8") if beside.is_file() else "{}"
        found = {
            name: re.search(rf"""\b{name}\s*=\s*["'](\w+)["']""", text)
            for name in ("Width", "Height", "TileSize", "Overlap", "Format")
        }
        values = {name: match[1] for name, match in found.items() if match}
        return {
            "format": f"DeepZoom ({path.suffix[1:].lower()})",
            "width": int(values["Width"]),
            "height": int(values["Height"]),
            "tiles": f"{values['Format']}, {values['TileSize']} and {values['Overlap']} around",
            "provenance": json.loads(mark) or None,
        }
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, StopIteration, KeyError, ValueError) as error:
        raise InputError(f"{path}: does not describe a DeepZoom picture; copy it again") from error


def _files(tiles: Path) -> list[Path]:
    """Every file of the tiles: small levels first, then by rows."""

    def place(path: Path) -> tuple[int, ...]:
        numbers = [int(part) for part in re.findall(r"\d+", path.stem)]
        level = int(path.parent.name) if _LEVEL.fullmatch(path.parent.name) else -1
        return level, *reversed(numbers)

    with contextlib.suppress(FileNotFoundError):
        return sorted((path for path in tiles.rglob("*") if path.is_file()), key=place)
    return []
