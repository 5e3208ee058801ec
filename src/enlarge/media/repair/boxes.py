"""The boxes of ISO base media files (ISO/IEC 14496-12), JPEG 2000 and JPEG XL."""

from __future__ import annotations

import re
from typing import BinaryIO

from enlarge.errors import InputError
from enlarge.media.formats.boxes import boxes_of
from enlarge.media.repair.repair import Repair, Repaired
from enlarge.media.stored import PictureFile

_KIND = re.compile(rb"[A-Za-z0-9 ]{4}")


def end_of_boxes(source: PictureFile) -> int:
    """The bytes that the boxes promise; what follows an unknown box is not looked at."""
    end = 0
    for kind, _, claimed in boxes_of(source.file):
        if not _KIND.fullmatch(kind):
            break
        end = claimed
    source.file.seek(0)
    return end


class BoxedRepair(Repair):
    """See `Repair`: of formats whose decoders give nothing of a picture that is cut off."""

    end = "its last bytes"
    can_salvage = False

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
