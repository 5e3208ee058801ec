"""One frame of a video as a picture."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

from enlarge.errors import InputError
from enlarge.media.colour.colour import Cicp, Colour, MasteringDisplay
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from enlarge.settings import Settings
from enlarge.video.facts import VideoFacts
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader, TimedFrame

_BACK = Fraction(10)
"""Seconds before the time that is asked for, from which on frames are read first."""
_WIDE = (9, 11, 12)
"""Primaries of BT.2020, DCI-P3 and Display P3, by their numbers in H.273."""
_LIGHT = 10_000
"""Steps of a luminance in PNG's chunks in 1 cd/m²."""


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
    """The frame at `settings.at` as a PNG, tagged where it is no sRGB. Raises `InputError`."""
    assert settings.at is not None
    facts = probe(path)
    pixels = frame_at(path, facts, settings.at, settings.deinterlace).pixels
    height, width = pixels.shape[:2]
    file = io.BytesIO()
    with create_picture(
        file,
        PictureSpec(width, height, 3, pixels.dtype),
        WriteOptions("png"),
        metadata=Metadata(colour=_colour(facts)),
    ) as sink:
        sink.write(pixels)
        sink.finish()
    return file.getvalue()


def _colour(facts: VideoFacts) -> Colour | None:
    """What the numbers of a frame mean, where programs would show them wrongly as sRGB: with HDR,
    and with wider primaries than those of BT.709 and BT.601.
    """
    code, light = facts.colour, facts.light
    if not code.is_hdr and code.primaries not in _WIDE:
        return None
    mastering, content = None, None
    if light.mastering is not None:
        gx, gy, bx, by, rx, ry, wx, wy, most, least = light.mastering
        mastering = MasteringDisplay((rx, ry), (gx, gy), (bx, by), (wx, wy), most, least)
    if light.content is not None:
        content = light.content[0] * _LIGHT, light.content[1] * _LIGHT
    return Colour(cicp=Cicp(code.primaries, code.transfer), mastering=mastering, light=content)
