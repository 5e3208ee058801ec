"""Engines, which run a network on tiles: one protocol, three implementations, one choice."""

from enlarge.engines.ensemble import EnsembleSession
from enlarge.engines.pick import Placement, find_placement, pick_engine
from enlarge.engines.protocol import Engine, EngineName, Precision, Session, TileSpec

__all__ = [
    "Engine", "EngineName", "EnsembleSession", "Placement", "Precision", "Session", "TileSpec",
    "find_placement", "pick_engine",
]  # fmt: skip
