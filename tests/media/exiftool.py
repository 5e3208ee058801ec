"""ExifTool, which the tests of metadata compare with."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def exiftool(*arguments: str | Path) -> bytes:
    """What ExifTool prints. Skips the test where there is none."""
    found = shutil.which("exiftool")
    if found is None:
        pytest.skip("needs ExifTool (Debian's libimage-exiftool-perl)")
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def tags_of(path: Path, *arguments: str) -> Mapping[str, Any]:
    """All tags of a file, as `GROUP:NAME`, also those that are unknown or doubled."""
    (tags,) = json.loads(exiftool("-a", "-G1", "-j", "-n", *arguments, path))
    return {name: value for name, value in tags.items() if not name.startswith("System:")}


def embedded_pictures(path: Path) -> set[str]:
    """The names of the tags that hold, or tell of, a picture inside a picture."""
    words = ("Thumbnail", "Preview", "JpgFromRaw", "MPImage", "OtherImage", "Trailer")
    return {
        name for name in tags_of(path, "-ee") if any(word in name for word in words)
    }  # fmt: skip


def positions(path: Path) -> set[str]:
    """The names of the tags that give a position, or the name of a place, of those that ExifTool
    counts as such.
    """
    return set(tags_of(path, "-Location:all", "-ee")) - {"SourceFile"}


def case(name: str) -> Path:
    """A file of the shared cases. Skips the test where they are absent."""
    path = CASES / name
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path
