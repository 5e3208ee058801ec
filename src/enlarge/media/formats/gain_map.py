"""Gain maps: what turns a picture for ordinary displays into HDR (ISO 21496-1; Ultra HDR; Apple).

They belong to the pixels as they were and lie outside the picture that is read, so they are left
out; what XMP says of them goes as well (`media.metadata.xmp`).
"""

from __future__ import annotations

import os
from typing import BinaryIO

from enlarge.media.bounded import position_kept
from enlarge.media.formats.gain_map_names import ISO, names_gain_map
from enlarge.media.formats.jpeg_segments import APP1, APP2, segments_of
from enlarge.media.formats.mpf import SIGNATURE, entries_of

NOTE = "has a gain map for HDR, which is left out: the result is the picture without HDR"
_LOOKED_AT = 1 << 16


def jpeg_has_gain_map(file: BinaryIO) -> bool:
    """Whether a JPEG names a gain map in XMP or in a segment of ISO 21496-1, or holds one among its
    further pictures (CIPA DC-007). The file's position stays.
    """
    with position_kept(file):
        is_indexed = False
        for marker, at, length in segments_of(file):
            if marker not in (APP1, APP2):
                continue
            body = file.read(length)
            if body.startswith(ISO + b":-1") or (b"hdrgm:Version" in body and b"GainMap" in body):
                return True
            if body.startswith(SIGNATURE) and not is_indexed:
                is_indexed = True
                if _is_marked(file, at, body):
                    return True
    return False


def _is_marked(file: BinaryIO, at: int, body: bytes) -> bool:
    """Whether one of the further pictures in an index says that it is a gain map."""
    for _, place in entries_of(at, body, file.seek(0, os.SEEK_END)):
        if place.offset:
            file.seek(place.offset)
            if names_gain_map(file.read(_LOOKED_AT)):
                return True
    return False
