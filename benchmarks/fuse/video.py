"""Frames through a video codec, by PyAV (`pip install av`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
RATE = 25


@dataclass(frozen=True)
class Codec:
    """An encoder and its rate, in bits per pixel and frame."""

    encoder: str
    bits: float
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)


def _rate(kilobits: int, width: int, height: int) -> float:
    """Bits per pixel of a picture of this size at a rate in kbit/s."""
    return 1000 * kilobits / (RATE * width * height)


CODECS = {
    "h264-300": Codec("libx264", _rate(300, 352, 288)),
    "h264-1000": Codec("libx264", _rate(1000, 352, 288)),
    "interlaced-mpeg2": Codec(
        "mpeg2video", _rate(6000, 720, 576), "yuv422p", {"flags": "+ilme+ildct"}
    ),
}
"""Rates are those of pictures of 352 × 288 (H.264) and 720 × 576 (MPEG-2); smaller frames have as
many bits for each pixel. MPEG-2 keeps the colour of every row, lest the fields' colours mix.
"""


def recoded(frames: list[Pixels], name: str) -> list[Pixels]:
    """The frames (uint8, H×W×3, sides even), encoded as one video and decoded."""
    codec = CODECS[name]
    file = BytesIO()
    height, width = frames[0].shape[:2]
    with av.open(file, "w", format="matroska") as out:
        rate = round(codec.bits * width * height * RATE)
        limits = {"maxrate": str(rate), "bufsize": str(rate * 2 // 5)}  # ten frames
        stream = out.add_stream(codec.encoder, rate=RATE, options={**codec.options, **limits})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, codec.pixels
        stream.bit_rate = rate
        stream.time_base = Fraction(1, RATE)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame.reformat(format=codec.pixels)))
        out.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as back:
        assert isinstance(back, InputContainer)
        decoded = [frame.to_ndarray(format="rgb24") for frame in back.decode(video=0)]
    assert len(decoded) == len(frames)
    return [pixels.astype(np.uint8) for pixels in decoded]
