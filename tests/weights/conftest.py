"""A cache of the test's own, and models whose measuring is one small tile."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of prepared models."""
    monkeypatch.setenv("ENLARGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("enlarge.weights.measuring.FEW", (64,))
    return tmp_path / "cache" / "models"
