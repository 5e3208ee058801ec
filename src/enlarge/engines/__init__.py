"""What runs a network on tiles: one protocol, three engines, and one function that picks."""

from enlarge.engines.ensemble import EnsembleSession
from enlarge.engines.pick import Place, find_place, pick_engine
from enlarge.engines.protocol import Engine, EngineName, Precision, Session, TileSpec

__all__ = [
    "Engine", "EngineName", "EnsembleSession", "Place", "Precision", "Session", "TileSpec",
    "find_place", "pick_engine",
]  # fmt: skip
