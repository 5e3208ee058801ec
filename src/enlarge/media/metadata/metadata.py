"""The metadata of a picture file, and how it is adapted to the result."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from enlarge.errors import OptionError

if TYPE_CHECKING:  # most pictures have little metadata: what adapts a part is loaded with it
    from enlarge.media.colour.colour import Colour
    from enlarge.media.metadata.change import Change
    from enlarge.media.metadata.geotiff import GeoTags

Keep = Literal["keep", "no-gps", "none"]


@dataclass(frozen=True)
class Metadata:
    """ICC profile, EXIF (a bare TIFF block), XMP (a packet), IPTC (Photoshop's image resources,
    without their header), texts (key, value) and density (pixels per millimetre, horizontal and
    vertical). `aspect`: the ratio of the densities where the file tells no unit. `geo`: GeoTIFF's
    tags. `colour`: what the numbers mean, where it is said otherwise than by a profile. None: the
    file has none.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    text: tuple[tuple[str, str], ...] = ()
    density: tuple[float, float] | None = None
    aspect: tuple[int, int] | None = None
    geo: GeoTags | None = None
    colour: Colour | None = None

    def names(self) -> frozenset[str]:
        """The fields that are filled."""
        fields = ("icc", "exif", "xmp", "iptc", "text", "density", "aspect", "geo")
        filled = frozenset(name for name in fields if getattr(self, name))
        return filled | self.colour.names() if self.colour else filled


_STALE_TEXTS = re.compile(r"Raw profile type|Thumb::|png:|exif:thumbnail:", re.IGNORECASE)
_WORDS = re.compile(r"[:./ ]")
_NUMBERS = {
    "orientation": "1", "imagewidth": "width", "imagelength": "height",
    "pixelxdimension": "width", "exifimagewidth": "width", "pixelydimension": "height",
    "exifimagelength": "height",
}  # fmt: skip
"""ImageMagick writes EXIF's values as texts (`exif:Orientation`)."""


def adapt_metadata(
    metadata: Metadata, keep: Keep, change: Change, channels: int
) -> tuple[Metadata, list[str]]:
    """The metadata of the result of a change, in `channels` channels, and a line for each part that
    had to be left out. `keep`: which metadata is wanted; "no-gps" is all but coordinates and names
    of places. Raises `OptionError` for an unknown `keep`.
    """
    if keep not in get_args(Keep):
        raise OptionError(f"metadata must be one of {', '.join(get_args(Keep))}, got {keep!r}")
    notes: list[str] = []
    icc = metadata.icc
    if icc is not None:
        from enlarge.media.colour.profile import profile_fits

        if not profile_fits(icc, channels):
            notes.append("the colour profile does not fit the picture's channels and is left out")
            icc = None
    if keep == "none":
        kept = Metadata(
            icc=icc, density=metadata.density, aspect=metadata.aspect, colour=metadata.colour
        )
        return kept, notes
    return _adapt_parts(replace(metadata, icc=icc), change, notes, gps=keep == "keep"), notes


def _adapt_parts(metadata: Metadata, change: Change, notes: list[str], *, gps: bool) -> Metadata:
    """EXIF, XMP, IPTC, texts and GeoTIFF for the result."""
    block, packet, resources, geo = metadata.exif, metadata.xmp, metadata.iptc, metadata.geo
    if block is not None:
        from enlarge.media.metadata.exif import adapt_exif

        try:
            block = adapt_exif(block, change, gps=gps)
        except ValueError as error:
            notes.append(f"the EXIF data is damaged ({error}) and is left out")
            block = None
    if packet is not None:
        from enlarge.media.metadata.xmp import adapt_xmp

        try:
            packet, lines = adapt_xmp(packet, change, gps=gps)
            notes += lines
        except ValueError as error:
            notes.append(f"the XMP data is damaged ({error}) and is left out")
            packet = None
    if resources is not None:
        from enlarge.media.metadata.photoshop import adapt_resources

        resources, lines = adapt_resources(resources, moved=change.moved, positions=gps)
        notes += lines
    text = _adapt_texts(metadata.text, change, gps=gps) if metadata.text else ()
    if geo is not None:
        geo = geo.placed(change) if gps else geo.without_place()
    return replace(metadata, exif=block, xmp=packet, iptc=resources, text=text, geo=geo)


def _adapt_texts(
    texts: tuple[tuple[str, str], ...], change: Change, *, gps: bool
) -> tuple[tuple[str, str], ...]:
    """The texts without embedded files, with EXIF's sizes as they are now, and without positions
    unless `gps`.
    """
    from enlarge.media.metadata.positions import holds_coordinates, names_position

    kept = []
    for key, value in texts:
        prefix, _, name = key.rpartition(":")
        if _STALE_TEXTS.match(key):
            continue
        word = _WORDS.split(key)[-1]
        if not gps and (
            names_position(name, prefix.lower())
            or names_position(word)
            or holds_coordinates(f"{key}: {value}")
        ):
            continue
        wanted = _NUMBERS.get(name.lower()) if prefix.lower() in ("exif", "tiff") else None
        if wanted is not None:
            numbers = {"width": str(change.width), "height": str(change.height)}
            value = numbers.get(wanted, wanted)
        kept.append((key, value))
    return tuple(kept)
