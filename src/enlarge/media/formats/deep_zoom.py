"""DeepZoom: a picture cut into tiles at every size, as viewers of very large pictures load them.

`NAME.dzi` describes the tiles in `NAME_files/LEVEL/COLUMN_ROW.png`; `NAME.szi` is a zip of both,
stored as they are. libvips writes the tiles into a temporary folder beside the target. The
descriptor gets its name last, and holds a digest of all tiles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO

from enlarge.errors import InputError, OutputError
from enlarge.media.formats.format import Content, EncoderMemory, Format, Writer
from enlarge.media.temporary import LOCK, TemporaryFile, sync_folder, take_lock, temporary_name

if TYPE_CHECKING:
    import pyvips

    from enlarge.media.output import Encoding, Output

DESCRIPTOR, ARCHIVE = "dzi", "szi"
TILE, OVERLAP = 254, 1
"""Pixels: with what they share with their neighbours, tiles inside a picture are 256 wide."""
_PROVENANCE = "enlarge.json"
"""In a folder of tiles that enlarge made; says how."""
_VIPS_PROPERTIES = "vips-properties.xml"
_LEVEL = re.compile(r"\d+")
_TILES = "tiles"
"""The name under which libvips writes into the temporary folder."""


def encode_deep_zoom(image: pyvips.Image, encoding: Encoding, output: Output) -> None:
    """Cut a picture into tiles: PNG, or JPEG at a quality below 100."""
    from enlarge.media.output import with_fields

    assert encoding.quality is not None
    suffix = ".png[compression=2]"
    if encoding.quality < 100:
        suffix = f".jpg[Q={encoding.quality},subsample-mode=off]"
    with_fields(image, encoding.metadata).dzsave(
        os.fsencode(output.path / _TILES),  # a name need not be text
        suffix=suffix,
        tile_size=TILE,
        overlap=OVERLAP,
        keep="icc",
    )


def tiles_folder(target: Path) -> Path:
    """The folder for the tiles of a `.dzi`."""
    return target.with_name(target.stem + "_files")


def check_tiles_folder(target: Path) -> None:
    """Raise `OutputError` if the tiles of a `.dzi` cannot be put into their folder."""
    folder = tiles_folder(target)
    if len(os.fsencode(folder.name)) > 255:
        raise OutputError(f"{folder}: the name is longer than 255 bytes; choose a shorter one")
    if not folder.is_symlink() and not folder.exists():
        return
    is_folder = folder.is_dir() and not folder.is_symlink()
    is_ours = is_folder and (folder / _PROVENANCE).is_file()
    known = (_PROVENANCE, _VIPS_PROPERTIES)
    is_deep_zoom = (
        is_folder
        and target.exists()
        and all(_LEVEL.fullmatch(name) or name in known for name in os.listdir(folder))  # noqa: PTH208
    )
    if not (is_ours or is_deep_zoom):
        raise OutputError(
            f"{folder}: is needed for the tiles of {target.name}, but holds something else; move "
            "it, or choose another output"
        )


class TileFolder:
    """The temporary folder of tiles that become `target`, or nothing. `archive`: a zip of them.

    Raises `OutputError` if the target's folder cannot take them.
    """

    def __init__(
        self, target: Path, *, archive: bool, provenance: Mapping[str, str] | None
    ) -> None:
        self.target = target.resolve() if target.is_symlink() else target
        self._is_archive = archive
        if not archive:
            check_tiles_folder(self.target)
        # First the name that the target will get, with all that can be wrong about it.
        self._result = TemporaryFile(self.target)
        self.file = self._result.file
        self._provenance = dict(provenance or {})
        self.path = self.target.with_name(temporary_name(self.target.name + "~tiles"))
        try:
            if self.path.exists():  # of a process with this number, in another time
                shutil.rmtree(self.path)
            self.path.mkdir()
            self._lock = (self.path / LOCK).open("xb")
            take_lock(self._lock)
        except OSError as error:
            self._result.abort()
            raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error

    def finish(
        self, seal: Callable[[BinaryIO], None] | None = None, *, overwrite: bool = True
    ) -> None:
        """See that it is on the disk, and give it its name. Raises `OutputError`.

        `seal` is given the complete file before it gets its name; what it raises leaves nothing,
        and neither does, without `overwrite`, a target that exists by then.
        """
        try:
            tiles, descriptor = self._complete()
            if self._is_archive:
                self._write_archive(tiles, descriptor)
                self._result.finish(seal, overwrite=overwrite)
            else:
                self.file.write(descriptor.read_bytes())
                if hasattr(os, "sync"):
                    os.sync()  # thousands of files
                before = partial(self._place, tiles)
                self._result.finish(seal, before=before, overwrite=overwrite)
        except OSError as error:
            self.abort()
            raise OutputError(f"{self.target}: cannot be written: {error.strerror}") from error
        except BaseException:
            self.abort()
            raise
        self._remove_folder()

    def _complete(self) -> tuple[Path, Path]:
        """The tiles, with what says how they were made, and their descriptor, with their digest."""
        tiles = self.path / f"{_TILES}_files"
        descriptor = self.path / f"{_TILES}.{DESCRIPTOR}"
        (tiles / _VIPS_PROPERTIES).unlink(missing_ok=True)  # holds the time
        if self._provenance or not self._is_archive:
            text = json.dumps(self._provenance, ensure_ascii=False, indent=1) + "\n"
            (tiles / _PROVENANCE).write_text(text, encoding="utf-8")
        digest = hashlib.sha256()
        for path in _files(tiles):
            with path.open("rb") as file:
                own = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(tiles).as_posix()} {own}\n".encode())
        head, end, tail = descriptor.read_text(encoding="utf-8").rpartition("</Image>")
        text = f"{head}  <!-- tiles: sha256 {digest.hexdigest()} -->\n{end}{tail}"
        descriptor.write_text(text, encoding="utf-8")
        return tiles, descriptor

    def _write_archive(self, tiles: Path, descriptor: Path) -> None:
        from enlarge.media.stored_zip import write_stored_zip

        name = self.target.stem
        listed = [
            (f"{name}/{name}_files/{path.relative_to(tiles).as_posix()}", path)
            for path in _files(tiles)
        ]
        write_stored_zip(self.file, [(f"{name}/{name}.{DESCRIPTOR}", descriptor), *listed])

    def _place(self, tiles: Path) -> None:
        """Move the tiles to their place, just before the descriptor gets its name."""
        folder = tiles_folder(self.target)
        check_tiles_folder(self.target)
        if folder.exists():
            self.target.unlink(missing_ok=True)  # never with tiles that are not its own
            folder.rename(self.path / "before")
        tiles.rename(folder)
        sync_folder(self.target.parent)

    def abort(self) -> None:
        """Remove it. Does nothing after `finish`."""
        self._result.abort()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._lock.closed:
            return
        if sys.platform == "win32":
            self._lock.close()
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def describe_deep_zoom(path: Path) -> dict[str, Any]:
    """What `enlarge inspect` prints about a `.dzi` or `.szi`. Raises `InputError`."""
    from zipfile import BadZipFile

    try:
        text, provenance = _descriptor(path)
        found = {
            name: re.search(rf"""\b{name}\s*=\s*["'](\w+)["']""", text)
            for name in ("Width", "Height", "TileSize", "Overlap", "Format")
        }
        values = {name: match[1] for name, match in found.items() if match}
        return {
            "format": f"DeepZoom ({path.suffix[1:].lower()})",
            "width": int(values["Width"]),
            "height": int(values["Height"]),
            "tiles": f"{values['Format']}, {values['TileSize']} with overlap {values['Overlap']}",
            "provenance": json.loads(provenance) or None,
        }
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (BadZipFile, StopIteration, KeyError, ValueError) as error:
        raise InputError(f"{path}: does not describe a DeepZoom picture; copy it again") from error


def _descriptor(path: Path) -> tuple[str, str]:
    """The descriptor of a `.dzi` or `.szi`, and how it was made, as JSON."""
    from zipfile import ZipFile

    if path.suffix.lower() != f".{ARCHIVE}":
        beside = tiles_folder(path) / _PROVENANCE
        made = beside.read_text(encoding="utf-8") if beside.is_file() else "{}"
        return path.read_text(encoding="utf-8"), made
    with ZipFile(path) as archive:
        names = {PurePosixPath(name).name: name for name in archive.namelist()}
        described = next(name for name in names if name.endswith(f".{DESCRIPTOR}"))
        text = archive.read(names[described]).decode()
        made = archive.read(names[_PROVENANCE]).decode() if _PROVENANCE in names else "{}"
    return text, made


def _files(tiles: Path) -> list[Path]:
    """Every file of the tiles: small levels first, then by rows."""

    def position(path: Path) -> tuple[int, ...]:
        numbers = [int(part) for part in re.findall(r"\d+", path.stem)]
        level = int(path.parent.name) if _LEVEL.fullmatch(path.parent.name) else -1
        return level, *reversed(numbers)

    with contextlib.suppress(FileNotFoundError):
        return sorted((path for path in tiles.rglob("*") if path.is_file()), key=position)
    return []


def _format(name: str, bytes_per_value: float) -> Format:
    return Format(
        name=name,
        label="DeepZoom",
        media_type="application/xml" if name == DESCRIPTOR else "application/zip",
        suffixes=(f".{name}",),
        writer=Writer(
            encode=encode_deep_zoom,
            content=Content(depths=("uint8", "uint16"), alpha=True, metadata=frozenset({"icc"})),
            lossy_content=Content(depths=("uint8",), alpha=False, metadata=frozenset({"icc"})),
            max_side=2**31 - 1,
            bytes_per_value=bytes_per_value,
            quality=100,
            # Rows of tiles of every size: 8,192 and 32,768 wide, 850 to 940 rows more than for PNG
            # were measured.
            memory=EncoderMemory(rows=1100, fixed=16 << 20),
            provenance=frozenset(),
            to_stream=False,
            single_file=name == ARCHIVE,
            destination=lambda target, encoding: TileFolder(
                target, archive=name == ARCHIVE, provenance=encoding.provenance
            ),
        ),
    )


# All sizes together are a third more than the picture, and are on the disk twice while they are put
# into an archive.
DZI = _format(DESCRIPTOR, 1.4)
SZI = _format(ARCHIVE, 2.8)
