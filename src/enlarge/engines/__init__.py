"""What runs a network on tiles: one protocol, and one function that picks."""

from enlarge.engines.protocol import Engine, Session, pick_engine

__all__ = ["Engine", "Session", "pick_engine"]
