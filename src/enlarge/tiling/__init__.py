"""Which part of a picture each tile reads and writes: pure functions and frozen values."""

from enlarge.tiling.plan import Plan, Span, Tile, make_plan, spans

__all__ = ["Plan", "Span", "Tile", "make_plan", "spans"]
