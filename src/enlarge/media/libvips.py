"""libvips, set up once, and its errors in one line."""

from __future__ import annotations

import re

import pyvips


def prepare() -> None:
    """Turn libvips' cache of results off, in which whole decoded pictures would stay in memory."""
    pyvips.cache_set_max(0)


def explain(error: pyvips.Error) -> str:
    """The first thing that libvips has to say about an error, without its own names."""
    detail = getattr(error, "detail", "") or ""
    lines = [line.strip() for line in str(detail).splitlines() if line.strip()]
    line = lines[0] if lines else str(error.message).strip()
    return re.sub(r"^\w+: ", "", line) or "libvips gave no reason"
