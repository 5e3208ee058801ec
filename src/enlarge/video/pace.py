"""How long a video will take: its first frame, enlarged and encoded."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

from enlarge.errors import InputError
from enlarge.picture.run import NO_HOOKS
from enlarge.picture.timings import Timings
from enlarge.video.encoding import SegmentEncoder
from enlarge.video.enlarging import FrameEnlarger, cropped
from enlarge.video.outlook import VideoOutlook
from enlarge.video.reading import FrameReader


def seconds_of_frame(path: Path, outlook: VideoOutlook) -> float:
    """Seconds of this machine for a frame, all of whose tiles change. Raises `InputError`."""
    enlarger = FrameEnlarger(outlook.frame, timings=Timings())
    with (
        FrameReader(path, outlook.facts, outlook.part) as reader,
        closing(reader.frames()) as frames,
    ):
        frame = next(frames, None)
    if frame is None:
        raise InputError(f"{path}: there are no frames in the part that was asked for")
    image = cropped(frame.pixels, outlook.settings)
    begun = time.perf_counter()
    large = enlarger(image, NO_HOOKS, 1)  # the network is compiled by now
    encoder = SegmentEncoder(outlook.encoding)
    encoder.add(large)
    encoder.finish()
    return time.perf_counter() - begun
