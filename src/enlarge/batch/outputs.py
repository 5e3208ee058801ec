"""What each output is called, and every refusal that is possible before any work."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from enlarge.batch.archive import Member
from enlarge.batch.inputs import Input
from enlarge.batch.jobs import PictureJob, PictureSource, PictureTarget
from enlarge.batch.locations import File, Folder, RemoteFolder, Stream, Target, Zip
from enlarge.batch.names import fitting_name
from enlarge.batch.remote import Remote
from enlarge.errors import OptionError, OutputError
from enlarge.media.formats.deep_zoom import DESCRIPTOR, check_tiles_folder
from enlarge.media.temporary import existing_output

_LONGEST_NAME = 255


def check_result_names(
    target: Target | None, *, suffix: str | None, count: int, all_pages: bool = False
) -> None:
    """Raise `OptionError` for a target that contradicts `suffix`, the `count` of inputs, or that
    each may give several results (`all_pages`).
    """
    if suffix is not None and (suffix.startswith("--") or set(suffix) & {"/", os.sep, "\0"}):
        raise OptionError(
            f"--suffix is part of a file name and cannot contain {os.sep}; got {suffix!r}"
        )
    if target is None:
        return
    if isinstance(target, Stream) and count > 1:
        raise OptionError(
            f"-o - takes one picture, but there are {count} inputs; name a folder with -o"
        )
    if isinstance(target, Remote | RemoteFolder):
        (target if isinstance(target, Remote) else target.remote).check_target()
    if isinstance(target, Folder | Zip | RemoteFolder):
        return
    if all_pages:
        name = "pages" if isinstance(target, Stream) else Path(str(target)).stem
        raise OptionError(
            f"--page all and -o {target} contradict each other: -o names one output for several "
            f"pictures; name a folder, for example -o {name}/, or give the number of a page"
        )
    if suffix is not None:
        where = "has no name" if isinstance(target, Stream) else "names the whole file"
        raise OptionError(f"--suffix and -o {target} contradict each other: -o {where}")
    if count > 1:
        raise OptionError(
            f"-o {target} names one file, but there are {count} inputs; "
            f"name a folder, for example -o {Path(str(target)).stem}/"
        )


def name_output(
    item: Input, target: Target | None, ending: str, *, whole: bool = False
) -> PictureJob:
    """The job of one input. `ending` follows the input's stem, and includes the extension; `whole`:
    it follows the whole name.

    Raises `OptionError` for a picture in a zip or behind a URL without a target.
    """
    source = item.source
    stem = input_name(source) if whole else Path(input_name(source)).stem
    place, name = _place(item, target, fitting_name(stem, ending))
    return PictureJob(source, place, name, page=item.page, scanned=item.scanned, video=item.video)


def _place(item: Input, target: Target | None, file: str) -> tuple[PictureTarget, str]:
    """Where the result of one input goes, and its name below the folder of results. `file`: its
    name.
    """
    name = (item.below / file).as_posix()
    match target:
        case None:
            return _beside(item.source, file), ""
        case File() | Remote() | Stream():
            return target, ""
        case Folder():
            return File(target.path / name), name
        case Zip():
            return File(target.staging / name), name
        case RemoteFolder():
            return target.remote / name, name


def input_name(source: PictureSource) -> str:
    """The name of an input's file."""
    match source:
        case Stream():
            return "stdin"
        case File():
            return source.path.name
        case _:
            return Path(source.name).name


def _beside(source: PictureSource, name: str) -> File | Stream:
    """The place of a result without a target: beside its input."""
    match source:
        case Stream():
            return source
        case File():
            return File(source.path.with_name(name))
        case Member():
            raise OptionError(
                f"{source.archive}: for the pictures in an archive, name an output folder or a zip "
                "with -o"
            )
        case Remote():
            raise OptionError(f"{source}: for a picture behind a URL, name an output with -o")


def check_outputs(
    jobs: Sequence[PictureJob],
    inputs: Collection[Path | Remote],
    *,
    overwrite: bool,
    existing: Collection[Path | Remote] | None = None,
) -> None:
    """Raise `OutputError` for outputs that are not possible.

    An output may not be one of the inputs (`inputs`: all of them, including those without a job),
    nor the output of another job; may not exist without `overwrite`, unless its job may replace it;
    and its folder must accept it. `existing`: the outputs that count as existing (None: those that
    do exist).
    """
    names = {_inode(path): path for path in inputs if isinstance(path, Path)}
    taken: dict[Path | str, PictureJob] = {}
    for job in jobs:
        target = job.target
        if isinstance(target, Remote):
            if target in inputs:
                raise OutputError(f"the output {target} is an input; choose another output with -o")
            check_unique(job, taken)
            exists = target.exists() if existing is None else target in existing
            if exists and not (overwrite or job.replace):
                raise existing_output(target)
        if not isinstance(target, File):
            continue
        path = target.path
        _check_name(path)
        inode = _inode(path)
        if inode is not None and inode in names:
            raise OutputError(
                f"the output {target} is the input {names[inode]}; "
                "choose another output with -o, or another name with --suffix"
            )
        check_unique(job, taken)
        if inode is not None and (existing is None or path in existing):
            _check_existing(target, overwrite=overwrite or job.replace)
    for folder in {job.path.parent for job in jobs if job.path is not None}:
        _check_folder(folder)


def check_unique(job: PictureJob, taken: dict[Path | str, PictureJob]) -> None:
    """Raise `OutputError` for one output of two inputs. `taken`: the jobs before this one, by their
    places; this one is added.
    """
    other = taken.setdefault(place_of(job), job)
    if other is not job:
        raise OutputError(
            f"{other.source} and {job.source} would both become {job.target}; enlarge them into "
            "different folders, or pass the folder that contains both"
        )


def place_of(job: PictureJob) -> Path | str:
    """The same for two names of one output."""
    return str(job.target) if job.path is None else _canonical(job.path)


def missing_folders(folder: Path) -> list[Path]:
    """The folders that would have to be created for `folder` to exist, the outermost first."""
    missing: list[Path] = []
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - also no access
        missing.insert(0, folder)
        folder = folder.parent
    return missing


def _check_name(path: Path) -> None:
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(
            f"{path}: the name is longer than {_LONGEST_NAME} bytes; choose another with -o"
        )
    if path.suffix.lower() == f".{DESCRIPTOR}":
        check_tiles_folder(path)


def _check_existing(target: File, *, overwrite: bool) -> None:
    if target.path.is_dir():
        raise OutputError(f"{target}: is a folder; give the name of a file")
    if not target.path.is_file():
        raise OutputError(f"{target}: is not a regular file; for standard output, use -o -")
    if not overwrite:
        raise existing_output(target)


def _check_folder(folder: Path) -> None:
    missing = missing_folders(folder)
    place = missing[0].parent if missing else folder
    if not place.is_dir():
        raise OutputError(f"{place}: is not a folder, so {folder} cannot be created")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{place}: cannot be written to; choose another folder with -o")


def _inode(path: Path) -> tuple[int, int] | None:
    """The same for every name of one file: links of both kinds, and upper and lower case where the
    file system ignores it. None if there is no such file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _canonical(path: Path) -> Path:
    """The place of a file that need not exist: links followed, and the name folded as its file
    system compares names.
    """
    real = Path(os.path.realpath(path))
    missing = missing_folders(real.parent)
    folder = missing[0].parent if missing else real.parent
    if not _ignores_case(folder):
        return real
    rest = str(real.relative_to(folder))
    return folder / unicodedata.normalize("NFC", rest).casefold()


@cache
def _ignores_case(folder: Path) -> bool:
    """Whether a folder's file system takes `A` and `a` for one name (macOS, Windows)."""
    for place in (folder, *folder.parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if other.name != place.name:
            return _inode(place) == _inode(other)
    return False
