"""Damaged files of formats whose decoders want every byte that the headers promise: WebP, HEIC.

The missing bytes are made up. What of the picture depends on them shows when they are made up
twice, in different ways.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

from enlarge.errors import InputError
from enlarge.media.formats.heif import read_heic
from enlarge.media.formats.webp import read_webp
from enlarge.media.repair.boxes import end_of_boxes
from enlarge.media.repair.repair import (
    Repair,
    Repaired,
    compare_paddings,
    most_lacking,
    temporary_copy,
)
from enlarge.media.stored import PictureFile, StoredPicture

_PICTURES = (b"VP8 ", b"VP8L")
_MARGIN = 1 << 16


class WebpRepair(Repair):
    """See `Repair`."""

    end = "its last bytes"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the file is as long as it claims, and so is its picture."""
        return _webp_claim(source) <= source.size

    def salvage(self, source: PictureFile) -> Repaired:
        """The padded file. Raises `InputError` if it does not reach its picture."""
        chunks = _chunks(source)
        start, kind, _ = chunks[-1] if chunks else (0, b"", 0)
        if kind not in _PICTURES and not any(
            chunk[1] in (*_PICTURES, b"ANMF") for chunk in chunks[:-1]
        ):
            raise InputError("this WebP ends before its picture")

        def padded(fill: Callable[[int], bytes]) -> BinaryIO:
            copy = temporary_copy(source)
            if kind in _PICTURES:
                # The decoder wants more than it needs, even if the picture is complete by then.
                lacking = max(_webp_claim(source) - source.size, 0)
                lacking = min(lacking, most_lacking(source))
                size = 2 * source.size + lacking + _MARGIN
                size += size % 2
                copy.write(fill(size - source.size))
                copy.seek(start + 4)
                copy.write(struct.pack("<I", size - start - 8))
            else:  # metadata, or a further frame
                size = start
                copy.truncate(size)
            copy.seek(4)
            copy.write(struct.pack("<I", size - 8))
            return copy

        return _padded(read_webp, source, padded)


def _chunks(source: PictureFile) -> list[tuple[int, bytes, int]]:
    """Start, kind and claimed end (with its padding) of every chunk."""
    found, at = [], 12
    file = source.file
    while at + 8 <= source.size:
        file.seek(at)
        kind, size = struct.unpack("<4sI", file.read(8))
        found.append((at, kind, at + 8 + size + size % 2))
        at = found[-1][2]
    file.seek(0)
    return found


def _webp_claim(source: PictureFile) -> int:
    """The bytes that the headers promise."""
    if len(source.head) < 12:
        return 0
    ends = [end for _, _, end in _chunks(source)]
    return max(8 + int(struct.unpack_from("<I", source.head, 4)[0]), *ends, 0)


class HeicRepair(Repair):
    """See `Repair`."""

    end = "its last bytes"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the file is as long as its boxes claim."""
        return end_of_boxes(source) <= source.size

    def salvage(self, source: PictureFile) -> Repaired:
        """The padded file. Raises `InputError` if its decoder refuses that, too."""
        size = end_of_boxes(source)
        if size - source.size > most_lacking(source):
            raise InputError("this HEIC claims to be much longer than it is")

        def padded(fill: Callable[[int], bytes]) -> BinaryIO:
            copy = temporary_copy(source)
            copy.write(fill(max(size - source.size, 0)))
            return copy

        return _padded(read_heic, source, padded)


def _padded(
    read: Callable[[PictureFile], StoredPicture],
    source: PictureFile,
    padded: Callable[[Callable[[int], bytes]], BinaryIO],
) -> Repaired:
    padding = compare_paddings(read, source, padded)
    is_complete = padding.is_certain and not padding.missing
    return Repaired(padded(padding.fill), padding.missing, is_complete=is_complete)
