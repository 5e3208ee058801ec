"""Which frames show the region: what does not fit the others is named, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from enlarge.fusing.registration import Registration

_LEAST_CORRELATION = 0.5
_AGAINST_OTHERS = 0.75
"""Of the middle frame's correlation: what a frame must reach."""
_SCALE = 3.0
"""Times the middle frame's differences: what a frame may have."""
_INSIDE = 0.3


def judged(found: Sequence[Registration], reference: int) -> list[Registration]:
    """The registrations, with a reason where the frame cannot be used."""
    others = [entry for entry in found if entry.frame != reference and entry.is_used]
    if not others:
        return list(found)
    usual = float(np.median([entry.correlation for entry in others]))
    scale = float(np.median([entry.scale for entry in others]))
    return [
        entry
        if entry.frame == reference or not entry.is_used
        else replace(entry, reason=_reason(entry, usual, scale))
        for entry in found
    ]


def _reason(entry: Registration, usual: float, scale: float) -> str:
    if entry.inside < _INSIDE:
        return f"shows {entry.inside:.0%} of the region"
    least = max(_LEAST_CORRELATION, _AGAINST_OTHERS * usual)
    if entry.correlation < least:
        return f"shows something else: it correlates {entry.correlation:.2f}, others {usual:.2f}"
    if not 0.25 < entry.gain < 4.0:
        return f"its brightness does not fit: {entry.gain:.2f} times the reference's"
    if scale and entry.scale > _SCALE * scale:
        return (
            f"differs from the others by {entry.scale:.1f} levels, they by {scale:.1f}: blurred, "
            "covered, or bent"
        )
    return ""
