"""BMPs that are cut off."""

from __future__ import annotations

from typing import BinaryIO

from enlarge.errors import InputError
from enlarge.media.formats.bmp_decoder import Header, read_header
from enlarge.media.repair.repair import Box, Repair, Repaired, temporary_copy
from enlarge.media.stored import PictureFile


class BmpRepair(Repair):
    """See `Repair`. The padding of the last row may be missing; the decoder adds it itself."""

    end = "its last bytes"

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the file is as long as its header says. Errors in the header are the reader's."""
        try:
            header = read_header(source.file, cut=True)
        except InputError:
            return True
        finally:
            source.file.seek(0)
        last = header.pixels_at + header.stride * (header.height - 1) + header.row_bytes
        return source.size >= last

    def complete(self, source: PictureFile) -> BinaryIO | None:
        """None: what a cut-off BMP lacks are pixels."""
        return None

    def salvage(self, source: PictureFile) -> Repaired:
        """The file, filled up with zeros. Raises `InputError`."""
        header = read_header(source.file, cut=True)
        if self.is_whole(source):
            return Repaired(temporary_copy(source), is_complete=True)
        copy = temporary_copy(source)
        copy.truncate(header.pixels_at + header.stride * header.height)
        return Repaired(copy, (_missing(header, source.size),))


def _missing(header: Header, size: int) -> Box:
    """The rows that the file does not reach."""
    there = max(size - header.pixels_at, 0) // header.stride
    first = there if header.top_down else 0
    return 0, first, header.width, header.height - there
