"""What the command line's tests share: tiny pictures, and a stand-in for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.batch import lanes, worker
from enlarge.batch.record import LEDGER
from enlarge.cli import enlarge as command
from enlarge.media.reading import open_picture
from enlarge.picture.outlook import plan_picture
from enlarge.picture.run import Done

Make = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _compiled_models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Compiled models are kept for these tests, and away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENLARGE_CACHE", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def picture(here: Path) -> Make:
    """Makes a small picture at a path; returns the path."""

    def make(name: str | Path, width: int = 16, height: int = 12) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Replaces the enlargement by a small file; the list holds (source, target) of each."""
    calls: list[tuple[str, str]] = []
    lock = threading.Lock()

    class Quick:
        def __init__(self, weights: Any, options: Any) -> None:
            self.card = weights.card

        digest = "0" * 64
        is_provisional, options_of_checkpoint = False, None

        def current(self) -> Any:
            return self

        def engine(self, dtype: Any) -> Any:
            return SimpleNamespace(name="none", device="cpu", precision="f32")

        def digest_for(self, dtype: Any) -> str:
            return self.digest

        def card_for(self, engine: Any) -> Any:
            return self.card

    def enlarge_file(transfer: Any, settings: Any, model: Any, *, hooks: Any, **more: Any) -> Done:
        source, target = transfer.source, transfer.target
        with lock:
            calls.append((str(source), str(target)))
        with open_picture(source) as opened:
            size = plan_picture(opened.facts, settings, model)
        target.write_bytes(b"done")
        if hooks.seal is not None:
            with target.open("rb") as file:
                hooks.seal(file)
        tile = (size.width, size.height)
        return Done(str(target), *tile, "fast", "none", "f32", tile, 1, 0.0)

    monkeypatch.setattr(worker, "enlarge_file", enlarge_file)
    monkeypatch.setattr(command, "OpenModel", Quick)
    monkeypatch.setattr(command, "load_ahead", lambda outlook: None)
    monkeypatch.setattr(lanes, "LANES", 1)  # so that the order is known
    return calls


def tree(folder: Path) -> list[str]:
    """Everything below a folder but ledgers, as sorted relative names."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    ledger = f"{LEDGER.parent}/{LEDGER.name}"
    beside = {
        part
        for name in names
        if name.endswith(ledger)
        for part in (name, name[: -len(LEDGER.name) - 1])
    }
    return [name for name in names if name not in beside]
