"""Frames of FFmpeg to arrays and back, by the stream's own matrix, range and chroma siting.

8 bits go through libswscale with exact rounding, whose results are within half a level. For more
bits its RGB is up to four levels of 1,023 off, and chroma that it writes in the full range is half
a level too low; there it only resamples chroma, and the matrix is applied here, in float32.

An array is (height, width, 3), RGB, uint8 or uint16, the full range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.video.facts import RED_AND_BLUE, RGB, ColourCode

if TYPE_CHECKING:
    from av import VideoFrame

EXACT = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
"""libswscale's flags: no shortcuts, and chroma interpolated."""
_SCALER = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
_SCALER |= {10: "bt2020"}
"""libswscale's names of the matrices."""
_BLOCK = 1 << 16
"""Pixels that are converted at a time, so that they stay in a processor's cache."""


def check_matrix(matrix: int) -> None:
    """Raise `InputError` for a matrix that is not supported (YCgCo, ICtCp and rarer ones)."""
    if matrix != RGB and matrix not in RED_AND_BLUE:
        raise InputError(
            f"its colours are coded by matrix {matrix} of H.273, which is not supported; convert "
            "it to BT.709 first"
        )


def to_working(colour: ColourCode, pixels: str, depth: int) -> tuple[tuple[str, str], ...]:
    """The filters, each with its arguments, that bring a frame into one of the formats that
    `frame_array` reads. `pixels`: FFmpeg's name of the frame's format; `depth`: its bits.
    """
    is_rgb = colour.matrix == RGB
    if depth <= 8:
        target = "rgb24"
    elif is_rgb:
        target = f"gbrp{_stored_depth(depth)}le"
    elif pixels.startswith("gray"):
        target = f"gray{_stored_depth(depth)}le"
    else:
        target = f"yuv444p{_stored_depth(depth)}le"
    given = "pc" if colour.full_range else "tv"
    arguments = f"flags={EXACT}:in_range={given}"
    if not is_rgb:
        name = _SCALER[colour.matrix]
        arguments += f":in_color_matrix={name}:in_chroma_loc={colour.siting}"
        if depth > 8:
            arguments += f":out_color_matrix={name}"
    arguments += f":out_range={given if depth > 8 and not is_rgb else 'pc'}"
    return ("scale", arguments), ("format", target)


def _stored_depth(depth: int) -> int:
    return next(bits for bits in (10, 12, 14, 16) if bits >= depth)


def frame_array(frame: VideoFrame, colour: ColourCode) -> NDArray[Any]:
    """A frame in one of the working formats as an array."""
    name = frame.format.name
    if name == "rgb24":
        return frame.to_ndarray()
    bits = frame.format.components[0].bits
    planes = [_plane(frame, number) for number in range(len(frame.planes))]
    if name.startswith("gbrp"):
        green, blue, red = planes
        image = np.stack([red, green, blue], axis=2)
        return image if bits == 16 else _deepened(image, bits)
    if name.startswith("gray"):
        planes = planes + [np.full_like(planes[0], 1 << (bits - 1))] * 2
    return _from_luma(planes, bits, colour)


def _plane(frame: VideoFrame, number: int) -> NDArray[Any]:
    """The samples of a plane, (height, width), uint8 or uint16: a view."""
    dtype = np.dtype(np.uint8 if frame.format.components[0].bits <= 8 else "<u2")
    return raw_plane(frame, number)[:, : frame.planes[number].width * dtype.itemsize].view(dtype)


def raw_plane(frame: VideoFrame, number: int) -> NDArray[np.uint8]:
    """The bytes of a plane, (height, bytes of a line), to read and to change."""
    plane: Any = frame.planes[number]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)


def _deepened(image: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Levels of fewer than 16 bits as 16 bits, rounded."""
    return np.rint(image * np.float32(65535 / ((1 << bits) - 1))).astype(np.uint16)


def _levels(bits: int, *, full_range: bool) -> tuple[float, float, float]:
    """The level of black, those from black to white, and those of the whole span of chroma."""
    if full_range:
        return 0.0, float((1 << bits) - 1), float((1 << bits) - 1)
    unit = 1 << (bits - 8)
    return 16.0 * unit, 219.0 * unit, 224.0 * unit


def _from_luma(planes: list[NDArray[Any]], bits: int, colour: ColourCode) -> NDArray[np.uint16]:
    """RGB in 16 bits from Y, Cb and Cr of one size (H.273, 8.3)."""
    red, blue = RED_AND_BLUE[colour.matrix]
    green = 1 - red - blue
    black, span, chroma = _levels(bits, full_range=colour.full_range)
    height, width = planes[0].shape
    image = np.empty((height, width, 3), np.uint16)
    step = max(1, _BLOCK // width)
    most = np.float32(65535)
    for first in range(0, height, step):
        rows = slice(first, first + step)
        luma, cb, cr = (plane[rows].astype(np.float32) for plane in planes)
        luma = (luma - np.float32(black)) * (most / np.float32(span))
        cb, cr = ((part - (1 << (bits - 1))) * (most / np.float32(chroma)) for part in (cb, cr))
        channels = (
            luma + np.float32(2 * (1 - red)) * cr,
            luma
            - np.float32(2 * (1 - blue) * blue / green) * cb
            - np.float32(2 * (1 - red) * red / green) * cr,
            luma + np.float32(2 * (1 - blue)) * cb,
        )
        for number, channel in enumerate(channels):
            image[rows, :, number] = np.rint(np.clip(channel, 0, most, out=channel), out=channel)
    return image


def array_frame(image: NDArray[Any], pixels: str, colour: ColourCode) -> VideoFrame:
    """An array as a frame that the encoder's filters take: RGB, or Y, Cb and Cr in 4:4:4 of the
    depth of `pixels`, the stored format.
    """
    from av import VideoFrame

    if pixels.startswith("gbrp"):
        return _rgb_frame(image, pixels)
    bits = 10 if "10" in pixels else 8
    if bits > 8 or (colour.full_range and colour.matrix != RGB):
        return _luma_frame(image, bits, colour)
    return VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")


def _rgb_frame(image: NDArray[Any], pixels: str) -> VideoFrame:
    from av import VideoFrame

    bits = 16 if "16" in pixels else 10
    frame = VideoFrame(image.shape[1], image.shape[0], pixels)
    for number, channel in enumerate((1, 2, 0)):
        samples = image[..., channel]
        if bits < 16:
            scaled = samples * np.float32(((1 << bits) - 1) / 65535)
            samples = np.rint(scaled, out=scaled).astype(np.uint16)
        _fill(frame, number, samples)
    return frame


def _luma_frame(image: NDArray[Any], bits: int, colour: ColourCode) -> VideoFrame:
    """Y, Cb and Cr in 4:4:4 from RGB in 8 or 16 bits."""
    from av import VideoFrame

    red, blue = RED_AND_BLUE[colour.matrix]
    black, span, chroma = _levels(bits, full_range=colour.full_range)
    height, width = image.shape[:2]
    frame = VideoFrame(width, height, "yuv444p" if bits == 8 else f"yuv444p{bits}le")
    parts = [np.empty((height, width), np.uint8 if bits == 8 else np.uint16) for _ in range(3)]
    most = np.float32(np.iinfo(image.dtype).max)
    step = max(1, _BLOCK // width)
    half, top = np.float32(1 << (bits - 1)), np.float32((1 << bits) - 1)
    for first in range(0, height, step):
        rows = slice(first, first + step)
        r, g, b = (image[rows, :, n].astype(np.float32) / most for n in range(3))
        luma = np.float32(red) * r + np.float32(1 - red - blue) * g + np.float32(blue) * b
        found = (
            luma * np.float32(span) + np.float32(black),
            (b - luma) * np.float32(chroma / (2 * (1 - blue))) + half,
            (r - luma) * np.float32(chroma / (2 * (1 - red))) + half,
        )
        for part, levels in zip(parts, found, strict=True):
            part[rows] = np.rint(np.clip(levels, 0, top, out=levels), out=levels)
    for number, part in enumerate(parts):
        _fill(frame, number, part)
    return frame


def _fill(frame: VideoFrame, number: int, samples: NDArray[Any]) -> None:
    """Copy samples (height, width) into a plane."""
    rows = np.ascontiguousarray(samples).view(np.uint8).reshape(len(samples), -1)
    raw_plane(frame, number)[:, : rows.shape[1]] = rows


def to_stored(colour: ColourCode, pixels: str, given: str) -> tuple[tuple[str, str], ...]:
    """The filters that bring what `array_frame` makes into the stored format. `given`: its format.

    Chroma lies at the left, as players assume without a tag.
    """
    if pixels == given:
        return ()
    if pixels == "bgr0":
        return (("format", pixels),)
    name, span = _SCALER[colour.matrix], "pc" if colour.full_range else "tv"
    arguments = f"flags={EXACT}:out_color_matrix={name}:out_range={span}:out_chroma_loc=left"
    if given != "rgb24":
        arguments += f":in_color_matrix={name}:in_range={span}"
    return ("scale", arguments), ("format", pixels)
