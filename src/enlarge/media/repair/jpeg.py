"""Damaged JPEGs: without their end marker, cut off, or with damaged data in between."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyvips

from enlarge.errors import InputError
from enlarge.media.formats.jpeg import read_jpeg
from enlarge.media.libvips import FileSource, clear_errors, collected_errors, explain
from enlarge.media.repair.repair import (
    Box,
    Kept,
    Repair,
    Repaired,
    reopened,
    temporary_copy,
    whole_rows,
)
from enlarge.media.stored import PictureFile

_EOI = b"\xff\xd9"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB}
_SCAN, _END = 0xDA, 0xD9
_PIECE = 1 << 20
_LATE = 16
"""Rows by which a warning can come late."""
_GRAY = (127, 128)
"""What the decoder gives for blocks without data: coefficients of zero."""


class JpegRepair(Repair):
    """See `Repair`."""

    end = "its end marker (EOI)"
    fail_on = "warning"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether there is an end marker behind the last scan."""
        source.file.seek(-2, 2)
        tail = source.file.read(2)
        source.file.seek(0)
        if tail == _EOI:
            return True
        kinds = [kind for kind, _ in _segments(source)]
        return _SCAN not in kinds or kinds[-1] == _END

    def complete(self, source: PictureFile) -> BinaryIO | None:
        """A copy with an end marker, unless data before it are missing: libjpeg warns of those."""
        if not _all_scans(source):
            return None
        copy = _with_end(source)
        try:
            if _decoded(copy, source)[1]:
                return copy
        except InputError:
            pass
        copy.close()
        return None

    def salvage(self, source: PictureFile) -> Repaired:
        """A copy with an end marker, if it lacks it; blocks without data are decoded as gray."""
        copy = temporary_copy(source) if self.is_whole(source) else _with_end(source)
        try:
            first = max(_decoded(copy, source)[0] - _LATE, 0)
            missing = tuple(_gray_rows(copy, first))
        except pyvips.Error as error:
            copy.close()
            raise InputError(f"this JPEG cannot be decoded ({explain(error)})") from error
        except BaseException:
            copy.close()
            raise
        return Repaired(copy, missing, fail_on="none")


def _decoded(copy: BinaryIO, source: PictureFile) -> tuple[int, bool]:
    """The rows that can be decoded before a warning, and whether that was all without any.

    libvips looks for warnings only before it decodes the next rows, not after the last.
    """
    clear_errors()
    count, error = whole_rows(read_jpeg(reopened(Kept(copy), source, fail_on="warning")))
    return count, error is None and "VipsJpeg" not in collected_errors()


def _with_end(source: PictureFile) -> BinaryIO:
    """A copy that ends with the marker; zeros behind the data, as of a download into a file that
    had its full size from the beginning, are left out.
    """
    copy = temporary_copy(source, _end_of_data(source.file))
    copy.write(_EOI)
    return copy


def _end_of_data(file: BinaryIO) -> int:
    """The place behind the last byte that is not zero; a zero behind 0xFF belongs to it."""
    end = file.seek(0, 2)
    while end > 0:
        start = max(end - _PIECE, 0)
        file.seek(start)
        piece = file.read(end - start)
        if left := piece.rstrip(b"\0"):
            end = start + len(left) + (left[-1] == 0xFF and len(left) < len(piece))
            break
        end = start
    file.seek(0)
    return end


def _segments(source: PictureFile) -> Iterator[tuple[int, bytes]]:
    """The markers, each with up to 1,024 bytes behind it, as far as the structure can be followed:
    up to the end marker, if there is one.
    """
    with mmap.mmap(source.file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 2
        while (found := _MARKER.search(data, at)) is not None:
            kind, at = data[found.start() + 1], found.end()
            length = int.from_bytes(data[at : at + 2], "big")
            yield kind, data[at : at + min(max(length, 2), 1024)]
            if kind == _END:
                return
            if kind != 0x01:
                at += max(length, 2)


def _all_scans(source: PictureFile) -> bool:
    """Whether the scans bring every coefficient of every component to its full precision."""
    left: dict[int, list[bool]] = {}
    for kind, body in _segments(source):
        try:
            if kind in _FRAMES:
                left = {body[8 + 3 * at]: [True] * 64 for at in range(body[7])}
            elif kind == _SCAN:
                count = body[2]
                first, last, bits = struct.unpack_from(">BBB", body, 3 + 2 * count)
                for at in range(count):
                    band = slice(first, min(last, 63) + 1)
                    steps = left[body[3 + 2 * at]]
                    steps[band] = [bool(bits & 15)] * len(steps[band])
        except (IndexError, KeyError, struct.error):
            return False
    return bool(left) and not any(any(steps) for steps in left.values())


def _gray_rows(file: BinaryIO, first: int) -> Iterator[Box]:
    """The rows from `first` on of which nothing was decoded."""
    file.seek(0)
    kept = FileSource(file)
    image = pyvips.Image.jpegload_source(kept.source, access="sequential", fail_on="none")
    start, region = None, pyvips.Region.new(image)
    for row in range(image.height):
        data = region.fetch(0, row, image.width, 1)
        pixels = np.frombuffer(data, np.uint8).reshape(image.width, image.bands)
        is_gray = row >= first and bool(((pixels == _GRAY[0]) | (pixels == _GRAY[1])).all())
        if is_gray and start is None:
            start = row
        elif not is_gray and start is not None:
            yield 0, start, image.width, row - start
            start = None
    if start is not None:
        yield 0, start, image.width, image.height - start
