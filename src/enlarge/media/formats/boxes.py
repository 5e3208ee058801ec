"""Metadata in the boxes of JPEG XL (ISO/IEC 18181-2) and JPEG 2000 (ISO/IEC 15444-1, annex I), as
Pillow and its plugins do not hand it over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from enlarge.media.exif import without_prefix
from enlarge.media.metadata import Metadata
from enlarge.media.photoshop import resources_of

_MOST = 1 << 26
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
_EXIF = b"JpgTiffExif->JP2"
_COMPRESSED = {b"xml ": "XMP", b"Exif": "EXIF"}


def with_boxes(file: BinaryIO, metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata with what the boxes of a file hold of XMP, EXIF and IPTC, where it has none; and
    a line for each thing that cannot be read. The file's position stays.
    """
    notes: list[str] = []
    xmp, exif, iptc = metadata.xmp, metadata.exif, metadata.iptc
    for kind, data in _boxes(file):
        if kind == b"xml ":
            xmp = xmp or data
        elif kind == b"brob" and (name := _COMPRESSED.get(data[:4])):
            known = xmp if name == "XMP" else exif
            if not known:
                notes.append(f"{name} data that is compressed by Brotli is left out")
        elif kind == b"uuid" and data.startswith(_XMP):
            xmp = xmp or data[16:]
        elif kind == b"uuid" and data.startswith(_EXIF):
            exif = exif or without_prefix(data[16:])
        elif kind == b"uuid" and data.startswith(_IPTC):
            iptc = iptc or resources_of(data[16:])
    return replace(metadata, xmp=xmp or None, exif=exif or None, iptc=iptc or None), notes


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and contents of the outermost boxes that may hold metadata."""
    before = file.tell()
    try:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        while len(head := file.read(8)) == 8:
            size, kind, inside = int.from_bytes(head[:4]), head[4:], 8
            if size == 1:
                size, inside = int.from_bytes(file.read(8)), 16
            start = file.tell()
            length = size - inside if size else end - start
            if length < 0:
                return
            if kind in (b"xml ", b"brob", b"uuid") and length <= _MOST:
                yield kind, file.read(length)
            file.seek(start + length)
    finally:
        file.seek(before)
