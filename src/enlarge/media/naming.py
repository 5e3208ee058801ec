"""What picture files are called, and how a scan of a folder knows those that enlarge made."""

from __future__ import annotations

import re
from pathlib import Path

from enlarge.media.formats import READABLE

PICTURES = frozenset(suffix for entry in READABLE.values() for suffix in entry.suffixes)
"""Suffixes of the files that are read, in lower case."""
OUR_MARK = re.compile(r"(_crop)?_(x\d+(\.\d+)?|\d+x\d+)")
"""What is put behind the name of a result that lies beside its input."""
_UPPER = frozenset(suffix.upper() for suffix in PICTURES)


def holds_no_inputs(folder: Path) -> bool:
    """Whether a scan leaves out a folder: ledgers, what is being written, tiles of DeepZoom."""
    name = folder.name
    return (
        name == ".enlarge"
        or name.endswith((".parts", ".part"))
        or (name.endswith("_files") and folder.with_name(f"{name[:-6]}.dzi").exists())
    )


def is_ours(path: Path, suffix: str = "") -> bool:
    """Whether a picture is named as an output of one that lies beside it. `suffix`: another ending
    that outputs may have.
    """
    stem = path.stem
    cuts = [match.start() for match in OUR_MARK.finditer(stem) if match.end() == len(stem)]
    if suffix and stem.endswith(suffix):
        cuts.append(len(stem) - len(suffix))
    return any(
        path.with_name(stem[:cut] + other).exists()
        for cut in cuts
        if cut
        for other in PICTURES | {path.suffix, path.suffix.swapcase()} | _UPPER
    )
