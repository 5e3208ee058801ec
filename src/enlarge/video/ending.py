"""Whether a file ends before its structure does, as one that was cut off: sizes only are read.

Matroska and WebM (RFC 8794), MP4 and MOV (ISO/IEC 14496-12, 4.2) and AVI (RIFF) consist of elements
that begin with their length; a transport stream (ISO/IEC 13818-1, 2.4.3) of packets of one length.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_SYNC = 0x47
_PACKETS = (188, 192, 204)
"""Lengths of packets: plain, with a time before each (m2ts), with a checksum behind each."""
_BEFORE = {192: 4}
"""Bytes of a packet before the one that marks its beginning."""
_OF_VIDEOS = (b"moov", b"moof", b"mdat")
_MOST = 1_000_000
"""Elements that are walked along; a file with more counts as complete."""


def is_cut_off(path: Path, container: str) -> bool:
    """Whether a file ends within an element, or within a packet. False for containers that do not
    tell, and where nobody knows. `container`: as FFmpeg calls it.
    """
    walk = next((found for name, found in _WALKS.items() if name in container), None)
    if walk is None:
        return False
    try:
        with path.open("rb") as file:
            return walk(file, file.seek(0, os.SEEK_END))
    except OSError:  # who reads the pictures says so
        return False


def _matroska(file: BinaryIO, size: int) -> bool:
    """Elements of unknown length, which live streams have, are entered."""
    at = 0
    for _ in range(_MOST):
        if at >= size:
            return at > size
        file.seek(at)
        head = file.read(12)
        name, first = _number(head, keep_marker=True)
        length, second = _number(head[first:])
        if not first or not second:
            return len(head) < 12 and head[0] >= 16  # the first byte of every name is
        is_unknown = length == (1 << 7 * second) - 1
        if is_unknown and name not in (_SEGMENT, _CLUSTER):
            return False
        at += first + second + (0 if is_unknown else length)
        if name == _SEGMENT and not is_unknown:
            return at > size  # what lies behind it is no part of the video
    return False


def _number(data: bytes, *, keep_marker: bool = False) -> tuple[int, int]:
    """A number of EBML and its length in bytes, which is 0 if it is none."""
    if not data or not data[0]:
        return 0, 0
    length = 9 - data[0].bit_length()
    if len(data) < length:
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    return (value if keep_marker else value - (1 << 7 * length)), length


def _boxes(file: BinaryIO, size: int) -> bool:
    """Behind the last box of a video, some cameras and editors put data of their own."""
    at, name = 0, b""
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return at > size and name in _OF_VIDEOS
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length < 8:  # 0: up to the end; others are not allowed
            return False
        at += length
    return False


def _riff(file: BinaryIO, size: int) -> bool:
    """Large AVI files consist of several RIFFs. A length of 0 was never filled in."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or length in (0, 0xFFFFFFFF):
            return False
        at += 8 + length
    return at > size


def _packets(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    head = file.read(4 * max(_PACKETS))
    for length in _PACKETS:
        for first in range(length):
            syncs = head[first::length][:3]
            if len(syncs) == 3 and set(syncs) == {_SYNC}:
                return (size - first + _BEFORE.get(length, 0)) % length != 0
    return False


_WALKS = {"matroska": _matroska, "mov": _boxes, "avi": _riff, "mpegts": _packets}
"""By a word in FFmpeg's name of the container."""
