"""Several frames of one scene fused into one picture.

    frames → registration (where each shows the region) → reconstruction (on a finer grid)
           → network, if wanted → picture and report

A motion maps pixel coordinates of the reference frame to those of another frame (see `motion`).
"""

from __future__ import annotations

from enlarge.fusing.fusion import fuse, fuse_with, register
from enlarge.fusing.registration import Registration
from enlarge.fusing.result import FrameReport, FusedPicture, FusionReport
from enlarge.fusing.settings import FuseSettings
from enlarge.fusing.tracking import Region

__all__ = [
    "FrameReport", "FuseSettings", "FusedPicture", "FusionReport", "Region", "Registration", "fuse",
    "fuse_with", "register",
]  # fmt: skip
