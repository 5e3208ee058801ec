"""Which precisions this processor offers, as the engines say."""

from __future__ import annotations

import pytest

from enlarge.engines import EngineOptions, find_placement
from enlarge.weights.catalog import find_weights


def require(precision: str, engine: str = "openvino") -> None:
    """Skip the test where the engine does not compute in that precision on this processor."""
    fast = find_weights("fast")
    offered = find_placement(fast, EngineOptions(engine, "cpu")).precisions
    if precision not in offered:
        pytest.skip(f"{engine} computes in {', '.join(offered)} on this processor")
