"""Other people's networks, for comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from benchmarks.others import spandrel_architecture

Architecture = Callable[[str], Any]


@pytest.fixture(scope="session")
def spandrel() -> Architecture:
    """The module of one of spandrel's architectures, by name; skips where it is not installed."""

    def architecture(name: str) -> Any:
        try:
            return spandrel_architecture(name)
        except ImportError as error:
            pytest.skip(
                f"spandrel is needed to compare with ({error}): "
                "pip install --no-deps spandrel einops"
            )

    return architecture
