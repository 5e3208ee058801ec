"""Engines, which run a network on tiles: one protocol, four implementations, one choice."""

import sys

from enlarge.engines.ensemble import EnsembleSession
from enlarge.engines.options import EngineOptions
from enlarge.engines.pick import Placement, check_engine, find_placement, pick_engine
from enlarge.engines.protocol import Engine, EngineName, Precision, Session, TileSpec

__all__ = [
    "Engine", "EngineName", "EngineOptions", "EnsembleSession", "Placement", "Precision",
    "Session", "TileSpec", "check_engine", "find_placement", "pick_engine",
]  # fmt: skip

# Importing openvino writes an identifier into ~/intel and reports the import to Google Analytics,
# which delays the end of the process where the network is slow. Without this package it does not.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
