"""Frames of a video, around a time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from enlarge.errors import InputError
from enlarge.fusing.frames import NamedFrame
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader


def frames_around(
    path: Path, at: Fraction, count: int, *, fields: bool = False
) -> tuple[list[NamedFrame], int]:
    """`count` frames of a video, half of them before a time in seconds, and the place among them of
    the one that is shown then. `fields`: interlaced frames are left as they are.

    Raises `InputError`.
    """
    facts = probe(path)
    before = count // 2
    start = max(Fraction(0), at - (before + 1) / facts.rate)
    part = Excerpt(start=start, deinterlace="off" if fields else "auto")
    found: list[NamedFrame] = []
    reference = 0
    with FrameReader(path, facts, part) as reader:
        for frame in reader.frames():
            seconds = (frame.time - reader.origin) * facts.time_base
            if seconds <= at:
                reference = len(found)
            found.append(NamedFrame(f"{path.name} at {float(seconds):.3f} s", frame.pixels))
            if len(found) - max(0, reference - before) >= count and seconds > at:
                break
    if not found:
        raise InputError(f"{path}: has no frames at {float(at):g} s; it lasts {facts.seconds:g} s")
    first = max(0, reference - before)
    return found[first : first + count], reference - first
