"""The metadata of a picture file, and how it is adapted to the result."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from enlarge.errors import OptionError
from enlarge.media.exif import adapt_exif
from enlarge.media.profile import profile_fits

Keep = Literal["keep", "no-gps", "none"]


@dataclass(frozen=True)
class Metadata:
    """ICC profile, EXIF (a bare TIFF block), XMP (a packet), IPTC (Photoshop's image resources),
    texts (key, value) and density (pixels per millimetre, horizontal and vertical). None: the file
    has none.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    density: tuple[float, float] | None = None

    def names(self) -> frozenset[str]:
        """The fields that are filled."""
        fields = ("icc", "exif", "xmp", "iptc", "text", "density")
        return frozenset(name for name in fields if getattr(self, name))


# exif:GPSLatitude, and drone-dji:GpsLatitude, or in other drones' files the bare word.
_GPS_NAME = rb"[\w-]+:(?:(?i:gps)\w+|(?:Latitude|Longitude|LongitudeRef|LatitudeRef)\b)"
_GPS_XMP = re.compile(
    rb"""\s+""" + _GPS_NAME + rb"""\s*=\s*("[^"]*"|'[^']*')"""
    rb"|<(" + _GPS_NAME + rb")\b[^>]*/>|<(" + _GPS_NAME + rb")\b[^>]*>.*?</\3\s*>",
    re.DOTALL,
)  # fmt: skip
_THUMBNAILS_XMP = re.compile(rb"<(xmp:Thumbnails|xap:Thumbnails)\b[^>]*>.*?</\1\s*>", re.DOTALL)


def _set_number(packet: bytes, name: bytes, value: int) -> bytes:
    """Set a number in an XMP packet, written as an attribute or as an element."""
    number = str(value).encode()
    packet = re.sub(rb"(\b" + name + rb"""\s*=\s*["'])\d+""", rb"\g<1>" + number, packet)
    return re.sub(rb"(<" + name + rb"\b[^>]*>\s*)\d+", rb"\g<1>" + number, packet)


def adapt_xmp(packet: bytes, width: int, height: int, *, gps: bool = True) -> bytes:
    """The packet for an upright picture of `width` × `height`, without GPS data unless `gps`."""
    packet = _THUMBNAILS_XMP.sub(b"", packet)
    packet = _set_number(packet, b"tiff:Orientation", 1)
    for name, value in (
        (b"tiff:ImageWidth", width),
        (b"tiff:ImageLength", height),
        (b"exif:PixelXDimension", width),
        (b"exif:PixelYDimension", height),
    ):
        packet = _set_number(packet, name, value)
    return packet if gps else _GPS_XMP.sub(b"", packet)


def adapt_metadata(
    metadata: Metadata, keep: Keep, width: int, height: int, channels: int
) -> tuple[Metadata, list[str]]:
    """The metadata of a result of `width` × `height` × `channels`, and a line for each part that
    had to be left out. `keep`: which metadata is wanted. Raises `OptionError` for an unknown
    `keep`.
    """
    if keep not in get_args(Keep):
        raise OptionError(f"metadata must be one of {', '.join(get_args(Keep))}, got {keep!r}")
    notes: list[str] = []
    icc = metadata.icc
    if icc is not None and not profile_fits(icc, channels):
        notes.append("the colour profile does not fit the picture's channels and is left out")
        icc = None
    if keep == "none":
        return Metadata(icc=icc, density=metadata.density), notes
    gps = keep == "keep"
    block = metadata.exif
    if block is not None:
        try:
            block = adapt_exif(block, width, height, gps=gps)
        except ValueError as error:
            notes.append(f"the EXIF data is damaged ({error}) and is left out")
            block = None
    packet = metadata.xmp
    if packet is not None:
        packet = adapt_xmp(packet, width, height, gps=gps)
    # ImageMagick puts whole EXIF blocks into such texts: old orientation, thumbnail and GPS data.
    text = tuple(pair for pair in metadata.text if not pair[0].startswith("Raw profile type"))
    return replace(metadata, icc=icc, exif=block, xmp=packet, text=text), notes
