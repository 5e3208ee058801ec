"""What the batch's tests share: a folder of tiny pictures, and the command in a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Begin

BROKEN = {
    "empty.png": b"",
    "text.jpg": b"no picture at all, only words\n",
    "zeros.png": bytes(500),
    "cut.png": None,
    "header.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
}
"""Pictures that cannot be read, each in another way; None: a good one cut off."""


@pytest.fixture(scope="session", autouse=True)
def _compiled_models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Compiled models are kept for these tests, and away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENLARGE_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield


def fill(folder: Path, count: int, *, broken: int = 0, seed: int = 0) -> None:
    """Make `count` pictures of 16×12 in a tree, `broken` of them in the ways of `BROKEN`."""
    random = np.random.default_rng(seed)
    ways = list(BROKEN.items())
    for number in range(count):
        place = folder / ("deep/er" if number % 3 == 0 else "")
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        path = place / f"p{number:04}.png"
        if number >= broken:
            Image.fromarray(pixels).save(path)
            continue
        name, data = ways[number % len(ways)]
        path = place / f"p{number:04}-{name}"
        if data is None:
            Image.fromarray(pixels).save(path)
            data = path.read_bytes()[:200]
        path.write_bytes(data)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(begin: Begin) -> Start:
    """Starts the command in a process of its own: `start(argument, …, cwd=…)`."""

    def command(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
        code = "from enlarge.cli import main; main()"
        return begin([sys.executable, "-c", code, *arguments], cwd=cwd)

    return command


Contents = Callable[[Path], dict[str, bytes]]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but its ledger's, by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".part" and ".enlarge" not in path.parts
    }
