"""What the tests share: where the data lies, and the environment they run in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder of this workplace; the test is skipped where it is absent."""
    folder = Path(os.environ.get("ENLARGE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; ENLARGE_DATA names another")
    return folder
