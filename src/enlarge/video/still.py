"""One frame of a video as a picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pyvips

from enlarge.errors import InputError
from enlarge.settings import Settings
from enlarge.video.facts import VideoFacts
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader, TimedFrame

_BACK = Fraction(10)
"""Seconds before the time that is asked for, from which on frames are read first."""


def frame_at(path: Path, facts: VideoFacts, at: Fraction, deinterlace: str = "auto") -> TimedFrame:
    """The frame that is shown `at` a time, in seconds from the first frame. Raises `InputError`."""
    found: TimedFrame | None = None
    first = None
    for start in (max(at - _BACK, Fraction(0)), Fraction(0)):
        with FrameReader(path, facts, Excerpt(start=start, deinterlace=deinterlace)) as reader:
            for frame in reader.frames():
                first = reader.origin if first is None else first
                is_later = (frame.time - first) * facts.time_base > at
                if is_later and found is not None:
                    return found
                if is_later and start:
                    break  # the one that is shown begins before `start`
                found = frame
        if found is not None and first is not None:
            end = (found.time + found.duration - first) * facts.time_base
            if at < max(end, Fraction(facts.seconds)) or at == 0:
                return found
            raise InputError(
                f"{path}: there is no frame at {float(at):g} s; it ends at {float(end):g} s"
            )
    raise InputError(f"{path}: has no frames")


def still_picture(path: Path, settings: Settings) -> bytes:
    """The frame at `settings.at` as a PNG. Raises `InputError`."""
    assert settings.at is not None
    pixels = frame_at(path, probe(path), settings.at, settings.deinterlace).pixels
    kind = "srgb" if pixels.dtype.itemsize == 1 else "rgb16"
    image = pyvips.Image.new_from_array(pixels, interpretation=kind)
    return bytes(image.pngsave_buffer(compression=1))
