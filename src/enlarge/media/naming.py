"""Names of picture files, and of the folders that scans leave out."""

from __future__ import annotations

import re
from pathlib import Path

from enlarge.media.formats import READABLE

PICTURES = frozenset(
    suffix for entry in READABLE.values() for suffix in (*entry.suffixes, *entry.read_suffixes)
)
"""Suffixes of the files that are read, in lower case."""
VIDEOS = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".vob", ".ts"),
        *(".mts", ".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".3gp", ".3g2", ".dv", ".mxf", ".ogv"),
        *(".rm", ".rmvb", ".divx", ".y4m", ".nut"),
    }
)
"""Suffixes of the files that are taken for videos, in lower case."""
_RESULT_MARK = re.compile(r"(_crop)?_(x\d+(\.\d+)?|\d+x\d+)")
"""What follows the stem of a result that is written beside its input."""
_UPPER = frozenset(suffix.upper() for suffix in PICTURES)


def page_mark(page: int, count: int) -> str:
    """What follows the stem in the name of the result of one of several pictures in a file: with so
    many digits that the names sort. `count`: of the pictures, 0 if it is not known.
    """
    return "" if count == 1 else f"_page{page:0{len(str(count))}}"


def is_output_folder(folder: Path) -> bool:
    """Whether scans skip a folder: it holds a ledger, unfinished output or DeepZoom tiles."""
    name = folder.name
    return (
        name == ".enlarge"
        or name.endswith((".parts", ".part"))
        or (name.endswith("_files") and folder.with_name(f"{name[:-6]}.dzi").exists())
    )


def is_named_as_result(path: Path) -> bool:
    """Whether a picture is named like a resized copy or a result of another one in its folder."""
    stem = path.stem
    cuts = [match.start() for match in _RESULT_MARK.finditer(stem) if match.end() == len(stem)]
    return any(
        path.with_name(stem[:cut] + other).exists()
        for cut in cuts
        if cut
        for other in PICTURES | {path.suffix, path.suffix.swapcase()} | _UPPER
    )
