"""Gain maps: what turns a picture for ordinary displays into HDR (ISO 21496-1; Ultra HDR; Apple).

They belong to the pixels as they were and lie outside the picture that is read, so they are left
out; what XMP says of them goes as well (`media.xmp`).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

NOTE = "has a gain map for HDR, which is left out: the result is the picture without HDR"
_MARKS = (b"hdrgainmap", b"hdrgm", b"hdr-gain-map", b"urn:iso:std:iso:ts:21496")
_MPF = b"MPF\0"
_ISO = b"urn:iso:std:iso:ts:21496:-1"
_SCAN = 0xDA
_LOOKED_AT = 1 << 16


def jpeg_has_gain_map(file: BinaryIO) -> bool:
    """Whether a JPEG names a gain map in XMP or in a segment of ISO 21496-1, or holds one among its
    further pictures (CIPA DC-007). The file's position stays.
    """
    before = file.tell()
    try:
        for at, body in _segments(file):
            if body.startswith(_ISO) or (b"hdrgm:Version" in body and b"GainMap" in body):
                return True
            if body.startswith(_MPF) and _is_marked(file, at + len(_MPF), body[len(_MPF) :]):
                return True
    except (OSError, struct.error, IndexError):
        return False
    finally:
        file.seek(before)
    return False


def _segments(file: BinaryIO) -> list[tuple[int, bytes]]:
    """Where the application segments begin behind their length, and what they hold."""
    found = []
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != _SCAN:
        length = struct.unpack_from(">H", head, 2)[0] - 2
        if length < 0:
            break
        at = file.tell()
        if 0xE1 <= head[1] <= 0xE2:
            found.append((at, file.read(length)))
        file.seek(at + length)
    return found


def _is_marked(file: BinaryIO, start: int, mpf: bytes) -> bool:
    """Whether one of the further pictures says that it is a gain map. `start`: where the index,
    from which offsets count, stands in the file.
    """
    order = "<" if mpf[:2] == b"II" else ">"
    (ifd,) = struct.unpack_from(f"{order}I", mpf, 4)
    (count,) = struct.unpack_from(f"{order}H", mpf, ifd)
    for at in range(ifd + 2, ifd + 2 + 12 * count, 12):
        tag, _, size, offset = struct.unpack_from(f"{order}HHII", mpf, at)
        if tag != 0xB002:
            continue
        for entry in range(offset + 16, offset + size, 16):
            (place,) = struct.unpack_from(f"{order}I", mpf, entry + 8)
            file.seek(start + place)
            head = file.read(_LOOKED_AT).lower()
            if any(mark in head for mark in _MARKS):
                return True
    return False
