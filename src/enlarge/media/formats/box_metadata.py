"""Metadata in the boxes of JPEG XL (ISO/IEC 18181-2) and JPEG 2000 (ISO/IEC 15444-1, annex I), as
Pillow and its plugins do not hand it over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from enlarge.media.bounded import position_kept, read_at_most
from enlarge.media.formats.boxes import boxes_in, boxes_of
from enlarge.media.metadata.geotiff import GeoTags, geo_tags
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.photoshop import resources_of
from enlarge.media.metadata.prefixes import without_prefix
from enlarge.media.metadata.tiff_tags import directory_of

_MOST = 1 << 26
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_RESOURCES = bytes.fromhex("2c4c0100850440b9a03e562148d6dfeb")
_GEO = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
"""The names of boxes with XMP, IPTC, Photoshop's resources, and GeoTIFF's tags; and with EXIF."""
_EXIF = b"JpgTiffExif->JP2"
_KINDS = frozenset({b"xml ", b"brob", b"uuid", b"jp2h"})
_COMPRESSED = {b"xml ": "XMP", b"Exif": "EXIF"}


def with_boxes(file: BinaryIO, metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata with what the boxes of a file hold of XMP, EXIF, IPTC, GeoTIFF's tags and the
    resolution, where it has none; and a line for each thing that cannot be read. The file's
    position stays.
    """
    notes: list[str] = []
    xmp, exif, iptc = metadata.xmp, metadata.exif, metadata.iptc
    density, geo = metadata.density, metadata.geo
    for kind, data in _metadata_boxes(file):
        if kind == b"xml ":
            xmp = xmp or data
        elif kind == b"brob" and (name := _COMPRESSED.get(data[:4])):
            known = xmp if name == "XMP" else exif
            if not known:
                notes.append(f"{name} data compressed with Brotli is left out")
        elif kind == b"uuid" and data.startswith(_XMP):
            xmp = xmp or data[16:]
        elif kind == b"uuid" and data.startswith(_EXIF):
            exif = exif or without_prefix(data[16:])
        elif kind == b"uuid" and data.startswith((_IPTC, _RESOURCES)):
            iptc = iptc or resources_of(data[16:])
        elif kind == b"uuid" and data.startswith(_GEO):
            geo = geo or _geo_tags(data[16:])
        elif kind == b"jp2h":
            density = density or _density(data)
    found = replace(metadata, xmp=xmp or None, exif=exif or None, iptc=iptc or None)
    return replace(found, density=density, geo=geo), notes


def _geo_tags(block: bytes) -> GeoTags | None:
    """GeoTIFF's tags, which GeoJP2 puts into a small TIFF."""
    try:
        return geo_tags(directory_of(block))
    except ValueError:
        return None


def _density(header: bytes) -> tuple[float, float] | None:
    """The resolution for display, else that of the capture (I.5.3.7), in pixels per millimetre."""
    for resolution in (data for kind, data in boxes_in(header) if kind == b"res "):
        found = dict(boxes_in(resolution))
        for data in (found.get(b"resd", b""), found.get(b"resc", b"")):
            if len(data) < 10:
                continue
            values = struct.unpack_from(">4H2b", data)
            above, below, powers = values[0:4:2], values[1:4:2], values[4:]
            if all(above) and all(below):
                down, across = (
                    top / bottom * 10.0**power / 1000
                    for top, bottom, power in zip(above, below, powers, strict=True)
                )
                return across, down
    return None


def _metadata_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and contents of the outermost boxes that may hold metadata."""
    with position_kept(file):
        for kind, start, end in boxes_of(file):
            if kind in _KINDS and end - start <= _MOST:
                yield kind, read_at_most(file, end - start)
