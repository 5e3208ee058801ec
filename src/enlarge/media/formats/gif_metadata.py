"""Comments, XMP and the colour profile of a GIF (GIF89a, sections 24 and 26; Adobe's XMP
Specification, part 3, 1.1.2; ICC's application extension).
"""

from __future__ import annotations

from dataclasses import replace
from typing import BinaryIO

from enlarge.media.bounded import position_kept
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.texts import decode_text

_FRAME, _EXTENSION, _COMMENT, _APPLICATION = 0x2C, 0x21, 0xFE, 0xFF
_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"
_XMP_END = b"\x01\xff\xfe\xfd"
"""The packet is no row of blocks; bytes that count down lead readers behind it all the same."""
_MOST = 1 << 24
"""Bytes of all metadata that are kept."""


def read_metadata(file: BinaryIO) -> Metadata:
    """What stands between a GIF's frames. The file's position stays."""
    found = Metadata()
    with position_kept(file):
        for kind, data in _extensions(file):
            name, rest = data[:11], data[11:]
            if kind == _COMMENT and (text := data.rstrip(b"\0")):
                found = replace(found, text=(*found.text, ("Comment", decode_text(text))))
            elif kind == _APPLICATION and name == _XMP and found.xmp is None:
                found = replace(found, xmp=rest or None)
            elif kind == _APPLICATION and name == _ICC and found.icc is None:
                found = replace(found, icc=rest or None)
    return found


def _extensions(file: BinaryIO) -> list[tuple[int, bytes]]:
    """Kind and contents of the comments and applications' extensions, as far as they are intact."""
    found: list[tuple[int, bytes]] = []
    file.seek(0)
    head = file.read(13)
    if len(head) < 13:
        return found
    file.seek(_table_bytes(head[10]), 1)
    left = _MOST
    while len(mark := file.read(1)) == 1:
        if mark[0] == _FRAME:
            head = file.read(9)
            file.seek(_table_bytes(head[8]) + 1 if len(head) == 9 else 0, 1)
            if _blocks(file) is None:
                break
        elif mark[0] == _EXTENSION and (kind := file.read(1)):
            is_wanted = kind[0] in (_COMMENT, _APPLICATION)
            data = _blocks(file, most=left if is_wanted else 0)
            if data is None:
                break
            left -= len(data)
            if is_wanted and data:
                found.append((kind[0], data))
        else:
            break
    return found


def _blocks(file: BinaryIO, most: int = 0) -> bytes | None:
    """The bytes of a row of blocks, empty if they are more than `most`; None if the file ends
    first. Of XMP, they are the name of the application and the packet.
    """
    start, parts, size = file.tell(), list[bytes](), 0
    while True:
        head = file.read(1)
        if not head:
            return None
        if head == b"\0":
            break
        if most:
            parts.append(file.read(head[0]))
        else:
            file.seek(head[0], 1)
        size += head[0]
        most = most if size <= most else 0
    if not most:
        return b""
    if parts and parts[0] == _XMP:
        end = file.tell()
        file.seek(start + 1)
        raw = file.read(end - start - 1)
        return raw[: max(raw.rfind(_XMP_END), len(_XMP))]
    return b"".join(parts)


def _table_bytes(flags: int) -> int:
    """The length of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
