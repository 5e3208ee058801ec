"""The boxes of ISO base media files (ISO/IEC 14496-12), JPEG 2000 and JPEG XL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from enlarge.errors import InputError
from enlarge.media.repair.repair import Repaired
from enlarge.media.stored import PictureFile

_KIND = re.compile(rb"[A-Za-z0-9 ]{4}")


def top_boxes(source: PictureFile) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the content and claimed end of every top-level box whose header is there.

    The last may claim to end behind the file.
    """
    at = 0
    while at + 8 <= source.size:
        source.file.seek(at)
        head = source.file.read(16)
        size, kind, inside = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, inside = int.from_bytes(head[8:16], "big"), 16
        end = source.size if size == 0 else at + max(size, inside)
        yield kind, at + inside, end
        at = end
    source.file.seek(0)


def end_of_boxes(source: PictureFile) -> int:
    """The bytes that the boxes promise; what follows an unknown box is not looked at."""
    end = 0
    for kind, _, claimed in top_boxes(source):
        if not _KIND.fullmatch(kind):
            break
        end = claimed
    return end


class BoxedRepair:
    """See `Repair`: of formats whose decoders give nothing of a picture that is cut off."""

    end = "its last bytes"

    def __init__(self, label: str) -> None:
        self._label = label

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the file is as long as its boxes claim; True if it has none."""
        return source.head[4:5] == b"\xff" or end_of_boxes(source) <= source.size

    def complete(self, source: PictureFile) -> BinaryIO | None:
        """None."""
        return None

    def salvage(self, source: PictureFile) -> Repaired:
        """Raises `InputError`."""
        raise InputError(f"the decoder of {self._label} gives nothing of a damaged picture")
