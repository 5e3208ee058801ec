"""What a fusion gives: the picture, and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.fusing.held_out import HeldOut
from enlarge.fusing.resolution import Resolution
from enlarge.fusing.tracking import Region
from enlarge.version import __version__


@dataclass(frozen=True)
class FrameReport:
    """What one frame contributed.

    `number`: its place among those given, from 0. `used`; if not, `reason` says why. `motion`:
    3×3, from pixel coordinates of the reference to those of the frame (NaN: not sought). `shift`:
    how far the region's middle moved, in pixels. `weight`: against the best frame, 0 to 1.
    `correlation` with the other frames, `gain` and `offset` of brightness against the reference,
    `inside`: the share of the region that lies in the frame. `digest`: SHA-256 of its file, or of
    an array's pixels.
    """

    number: int
    name: str
    used: bool
    reason: str
    digest: str
    motion: NDArray[np.float64] = field(default_factory=lambda: np.full((3, 3), np.nan))
    shift: tuple[float, float] = (0.0, 0.0)
    weight: float = 0.0
    correlation: float = 0.0
    gain: float = 1.0
    offset: float = 0.0
    inside: float = 0.0


@dataclass(frozen=True)
class FusionReport:
    """The evidence for a fused picture.

    `region` of the frame `reference`; `frames`: one report for each that was given.
    `noise_gain`: how many times less noise the weighted mean of the frames has than one.
    `resolution`: what is resolved in one frame and in all, with its `gain`. `samples` (h, w): how
    many pixels of frames lie in each pixel of the region. `flow`: how far points move beside the
    motion of the whole, by dense flow, in the middle one of the frames (RMS, pixels); 0 where the
    scene is rigid. `gains`: whether the frames show more than one of them; if not, the result is
    that of the reference alone. `verdict`: what was gained, in words; `held_out`: how that was
    found. `noise`: of one frame's luma, in levels of 255. `then`: the model that enlarged what was
    fused, or "none"; `provenance`: the same in words. `digest`: SHA-256 of the picture's pixels.
    `settings`: the options, as text.
    """

    reference: int
    region: Region
    scale: float
    frames: tuple[FrameReport, ...]
    noise: float
    noise_gain: float
    resolution: Resolution
    samples: NDArray[np.float32] = field(repr=False)
    flow: float
    gains: bool
    verdict: str
    held_out: HeldOut
    then: str
    provenance: str
    digest: str
    settings: dict[str, str]
    seconds: float

    @property
    def used(self) -> tuple[FrameReport, ...]:
        """The frames that were fused."""
        return tuple(frame for frame in self.frames if frame.used)

    @property
    def rejected(self) -> tuple[FrameReport, ...]:
        """The frames that were not, each with its reason."""
        return tuple(frame for frame in self.frames if not frame.used)

    @property
    def resolution_gain(self) -> float:
        """How many times finer details are than those that one frame resolves."""
        return self.resolution.gain

    def facts(self) -> dict[str, str]:
        """What is recorded in the picture's file."""
        return {
            "version": __version__,
            "fused": self.provenance,
            "model": self.then,
            "scale": f"{self.scale:g}",
            "region": ",".join(map(str, self.region)),
        }

    def document(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        samples = self.samples
        return {
            "reference": self.reference,
            "region": list(self.region),
            "scale": self.scale,
            "used": len(self.used),
            "rejected": len(self.rejected),
            "noise": round(self.noise, 3),
            "noise_gain": round(self.noise_gain, 3),
            "resolution_gain": round(self.resolution_gain, 3),
            "resolved": {
                "single": round(self.resolution.single, 4),
                "fused": round(self.resolution.fused, 4),
                "unit": "cycles per pixel of a frame",
            },
            "blur": round(self.resolution.blur, 3),
            "colour_blur": round(self.resolution.colour_blur, 3),
            "sharpening": round(self.resolution.sharpening, 3),
            "flow": round(self.flow, 3),
            "gains": self.gains,
            "verdict": self.verdict,
            "held_out": {
                "frames": list(self.held_out.frames),
                "squares_fused": round(self.held_out.fused, 3),
                "squares_single": round(self.held_out.single, 3),
                "steps": self.held_out.effort.steps,
            },
            "samples": {
                "least": round(float(samples.min()), 2),
                "mean": round(float(samples.mean()), 2),
                "most": round(float(samples.max()), 2),
            },
            "then": self.then,
            "provenance": self.provenance,
            "digest": self.digest,
            "settings": self.settings,
            "seconds": round(self.seconds, 3),
            "frames": [
                {
                    "number": frame.number,
                    "name": frame.name,
                    "used": frame.used,
                    "reason": frame.reason,
                    "motion": _plain(frame.motion),
                    "shift": [round(value, 3) for value in frame.shift],
                    "weight": round(frame.weight, 4),
                    "correlation": round(frame.correlation, 4),
                    "gain": round(frame.gain, 4),
                    "offset": round(frame.offset, 2),
                    "inside": round(frame.inside, 4),
                    "digest": frame.digest,
                }
                for frame in self.frames
            ],
        }


@dataclass(frozen=True)
class FusedPicture:
    """`picture`: the result, (H, W, 3) RGB, sRGB-coded, uint8 or uint16 as the frames were.
    `fused`: the same without a network. `single`: the region in the reference frame.
    """

    picture: NDArray[Any] = field(repr=False)
    fused: NDArray[Any] = field(repr=False)
    single: NDArray[Any] = field(repr=False)
    report: FusionReport


def _plain(motion: NDArray[np.float64]) -> list[list[float]] | None:
    """A motion as nested lists; None if it is not known."""
    if not np.isfinite(motion).all():
        return None
    return [[round(float(value), 8) for value in row] for row in motion]
