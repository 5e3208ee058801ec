"""What each output is called, and every refusal that can be known before any work."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

from enlarge.batch.addresses import Remote, is_url
from enlarge.batch.jobs import Job
from enlarge.cli.console import STREAM
from enlarge.cli.inputs import Found
from enlarge.errors import OptionError, OutputError
from enlarge.media.zooming import DESCRIPTOR, check_tiles_folder

_LONGEST_NAME = 255


def is_folder(output: str) -> bool:
    """Whether `-o` names a folder: it is one, ends in a slash, or has no extension."""
    if output == STREAM:
        return False
    if is_url(output):
        return (
            output.endswith("/") or not Remote(output).suffix or Remote(output).root.url == output
        )
    path = Path(output)
    named = output.endswith(("/", os.sep)) or not path.suffix
    return named or os.path.isdir(path)  # noqa: PTH112 - also where it cannot be asked


def is_archive(output: str) -> bool:
    """Whether `-o` names a zip that is to be made."""
    return not is_folder(output) and Path(output).suffix.lower() == ".zip"


def output_folder(output: str | None) -> Path | None:
    """The folder that `-o` names, or in which its zip is put together; None for anything else."""
    if output is None or output == STREAM or is_url(output):
        return None
    if is_archive(output):
        from enlarge.batch.archive import staging_folder

        return staging_folder(Path(output))
    return Path(output) if is_folder(output) else None


def remote_folder(output: str | None) -> Remote | None:
    """The prefix that `-o` names by a URL; None for anything else."""
    if output is None or not is_url(output) or not is_folder(output):
        return None
    return Remote(output.rstrip("/"))


def name_output(found: Found, output: str | None, *, suffix: str, extension: str) -> Job:
    """The job of one input.

    `suffix` follows the stem, and `extension` (with its dot) ends the name, of outputs in folders
    and beside inputs. Raises `OptionError` for a picture in a zip that has no place to go.
    """
    if output is None:
        if found.path == STREAM:
            return Job(STREAM, STREAM)
        if is_url(found.path):
            raise OptionError(
                f"{found.path}: a picture behind a URL needs a place; name it with -o"
            )
        if found.member is not None:
            raise OptionError(
                f"{found.member.archive}: the pictures in an archive need a place; "
                "name a folder or a zip with -o"
            )
        path = Path(found.path)
        return Job(found.path, str(path.with_name(path.stem + suffix + extension)))
    folder, remote = output_folder(output), remote_folder(output)
    if folder is None and remote is None:  # a file
        return Job(found.path, output, found.member)
    called = Remote(found.path).name if is_url(found.path) else found.path
    stem = "stdin" if found.path == STREAM else Path(called).stem
    name = found.below / (stem + suffix + extension)
    if remote is not None:
        return Job(found.path, str(remote / name.as_posix()), found.member, name.as_posix())
    assert folder is not None
    return Job(found.path, str(folder / name), found.member, name.as_posix())


def check_outputs(
    jobs: Sequence[Job],
    inputs: Sequence[str],
    *,
    overwrite: bool,
    there: Collection[Path | str] | None = None,
) -> None:
    """Refuse outputs that cannot be, with `OutputError`.

    That is one that is an input (`inputs`: all of them, also those without a job), two with one
    name, one that exists already without `overwrite` (unless the job may replace it), and one whose
    folder cannot take it. `there`: the targets that count as existing (None: those that do).
    """
    sources = {_inode(Path(name)): name for name in inputs if name != STREAM}
    taken: dict[Path | str, Job] = {}
    for job in jobs:
        path = job.path
        if path is None:
            if isinstance(job.place, Remote):
                _check_remote(job, inputs, taken, there, overwrite=overwrite)
            continue
        _check_name(path)
        if path.suffix.lower() == f".{DESCRIPTOR}":
            check_tiles_folder(path)
        inode = _inode(path)
        if inode is not None and inode in sources:
            raise OutputError(
                f"the output {path} is the input {sources[inode]}; "
                "name another place with -o, or another name with --suffix"
            )
        check_alone(job, taken)
        if inode is not None and (there is None or path in there):
            check_existing(path, overwrite=overwrite or job.replace)
    for folder in {path.parent for job in jobs if (path := job.path) is not None}:
        _check_folder(folder)


def _check_remote(
    job: Job,
    inputs: Sequence[str],
    taken: dict[Path | str, Job],
    there: Collection[Path | str] | None,
    *,
    overwrite: bool,
) -> None:
    """The same for an output behind a URL."""
    if job.target in inputs:
        raise OutputError(f"the output {job.target} is an input; name another place with -o")
    check_alone(job, taken)
    exists = Remote(job.target).exists() if there is None else job.target in there
    if exists and not (overwrite or job.replace):
        raise OutputError(f"{job.target} exists; --overwrite replaces it, -o names another place")


def check_alone(job: Job, taken: dict[Path | str, Job]) -> None:
    """Refuse one output for two inputs, with `OutputError`. `taken`: the jobs before this one, by
    their places; it is added.
    """
    other = taken.setdefault(job.target if job.path is None else _place(job.path), job)
    if other is not job:
        raise OutputError(
            f"{other.source} and {job.source} would both become {job.target}; enlarge them into "
            "different folders, or give the folder that holds both"
        )


def missing_folders(folder: Path) -> list[Path]:
    """The folders that would have to be made for `folder` to exist, the outermost first."""
    missing: list[Path] = []
    while not os.path.exists(folder) and folder != folder.parent:  # noqa: PTH110 - also no access
        missing.insert(0, folder)
        folder = folder.parent
    return missing


def _check_name(path: Path) -> None:
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(
            f"{path}: the name is longer than {_LONGEST_NAME} bytes; name the output with -o"
        )


def check_existing(path: Path, *, overwrite: bool) -> None:
    """Refuse an output that is there already, with `OutputError`."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if not path.is_file():
        raise OutputError(f"{path}: is not a regular file; use -o - for standard output")
    if not overwrite:
        raise OutputError(f"{path} exists; --overwrite replaces it, -o names another place")


def _check_folder(folder: Path) -> None:
    missing = missing_folders(folder)
    place = missing[0].parent if missing else folder
    if not place.is_dir():
        raise OutputError(f"{place}: is not a folder, so {folder} cannot be one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{place}: cannot be written to; name another folder with -o")


def _inode(path: Path) -> tuple[int, int] | None:
    """What is the same for every name of one file: links of both kinds, and case where it does not
    count. None where there is no such file.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _place(path: Path) -> Path:
    """Where a file that need not exist will lie: links followed, and names as they are told apart
    there.
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


def check_wishes(
    output: str | None,
    *,
    suffix: str | None,
    count: int,
    json: bool,
) -> None:
    """Refuse what contradicts itself, with `OptionError`. `count`: of inputs."""
    if suffix is not None and (suffix.startswith("--") or set(suffix) & {"/", os.sep, "\0"}):
        raise OptionError(f"--suffix is a part of a file's name, without {os.sep}; got {suffix!r}")
    if output is None:
        return
    if not output:
        raise OptionError("-o is empty; expected a folder, a file, or - for standard output")
    if output == STREAM:
        if count > 1:
            raise OptionError(
                f"-o - takes one picture, but there are {count} inputs; name a folder with -o"
            )
        if json:
            raise OptionError("--json and -o - both go to standard output; use -o FILE")
    if is_url(output):
        if is_archive(output):
            raise OptionError(f"-o {output}: a zip is put together on this machine; name a path")
        Remote(output).check_target()
    if is_folder(output) or is_archive(output):
        return
    if suffix is not None:
        where = "names the whole file" if output != STREAM else "has no name"
        raise OptionError(f"--suffix and -o {output} contradict each other: -o {where}")
    if count > 1:
        raise OptionError(
            f"-o {output} names one file, but there are {count} inputs; "
            f"name a folder, for example -o {Path(output).stem}/"
        )
