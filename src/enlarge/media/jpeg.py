"""How strongly a JPEG was compressed, read off its tables."""

from __future__ import annotations

import struct
from pathlib import Path

COARSE = 85
"""JPEGs up to this quality come out better with `photo` (docs/models.md: Set14 at 98 … 60)."""
_LUMA = 3688
"""The sum of the standard's example table for luminance (ITU-T T.81, table K.1), which the
Independent JPEG Group's library scales by its quality."""
_TABLES, _SCAN, _END = 0xDB, 0xDA, 0xD9
_BARE = {0x01, *range(0xD0, 0xD9)}


def quality_of(path: Path) -> int | None:
    """The quality, 1 to 100, that the Independent JPEG Group's library would need for tables as
    coarse as this file's (by their mean); None where the file is no JPEG or holds no table.

    Only headers are read. Encoders count qualities differently; by this scale 75 is usual on the
    web, 90 to 98 in cameras.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"\xff\xd8":
                return None
            while marker := _next_marker(file.read(2)):
                if marker in (_SCAN, _END):
                    return None
                if marker in _BARE:
                    continue
                (length,) = struct.unpack(">H", file.read(2))
                body = file.read(length - 2)
                if marker == _TABLES and body[0] & 15 == 0:
                    return _quality(body)
    except (OSError, struct.error, IndexError, ValueError):
        return None
    return None


def _next_marker(pair: bytes) -> int:
    return pair[1] if len(pair) == 2 and pair[0] == 0xFF else 0


def _quality(table: bytes) -> int | None:
    """From a table segment that begins with table 0: 64 bytes, or 64 words of 16 bits."""
    wide = table[0] >> 4
    steps = struct.unpack(">64H" if wide else ">64B", table[1 : 1 + (128 if wide else 64)])
    percent = 100.0 * sum(steps) / _LUMA
    quality = (200.0 - percent) / 2.0 if percent <= 100.0 else 5000.0 / percent
    return max(1, min(100, round(quality)))
