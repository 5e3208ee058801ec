"""Where one frame shows the region of the reference."""

from __future__ import annotations

from dataclasses import dataclass

from enlarge.fusing.alignment import Model
from enlarge.fusing.motion import Matrix


@dataclass(frozen=True)
class Registration:
    """Where one frame shows the region.

    `motion`: 3×3, from pixel coordinates of the reference to those of the frame. `reason`: why the
    frame cannot be used; empty where it can. `correlation` with the mean of the other frames, of
    smoothed luma. `scale`: of the differences from it, in levels. `gain`, `offset`: the frame times
    `gain` plus `offset` has the brightness of the reference. `inside`: the share of the region that
    lies in the frame. `model`: the kind of motion.
    """

    frame: int
    motion: Matrix
    correlation: float
    scale: float
    gain: float
    offset: float
    inside: float
    model: Model
    reason: str = ""

    @property
    def is_used(self) -> bool:
        """Whether the frame shows the region."""
        return not self.reason
