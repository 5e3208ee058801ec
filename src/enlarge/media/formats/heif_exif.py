"""EXIF in a HEIF file (ISO/IEC 23008-12, annex A), put in byte for byte.

libvips writes EXIF through libexif, which rounds numbers, drops what it does not know, and adds
tags that nobody wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_ITEM = b"Exif"


def with_exif(data: bytes, exif: bytes) -> bytes:
    """A HEIF file of one picture, as libheif writes it, with an EXIF block behind its pixels."""
    at = data.index(b"meta", 4) - 4
    (length,) = struct.unpack_from(">I", data, at)
    meta, rest = data[at + 8 : at + length], data[at + length :]
    parts = dict(_boxes(meta[4:]))
    item = 1 + max(_item_numbers(parts[b"iinf"]))
    parts[b"iinf"] = _with_item(parts[b"iinf"], item)
    parts[b"iref"] = _with_reference(parts.get(b"iref", bytes(4)), item, _main_item(parts[b"pitm"]))
    body = bytes(4) + exif  # the block follows at once
    parts[b"iloc"] = _with_location(parts[b"iloc"], item, len(body))
    grown = 8 + 4 + sum(8 + len(part) for part in parts.values()) - length
    end = len(data) + grown
    parts[b"iloc"] = _moved(parts[b"iloc"], grown, item, end + 8)
    out = meta[:4] + b"".join(_box(kind, part) for kind, part in parts.items())
    return data[:at] + _box(b"meta", out) + rest + _box(b"mdat", body)


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data) + 8, kind) + data


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + length]
        at += length


def _main_item(pitm: bytes) -> int:
    return int.from_bytes(pitm[4 : 8 if pitm[0] else 6])


def _item_numbers(iinf: bytes) -> list[int]:
    """The numbers of all items (ISO/IEC 14496-12, 8.11.6)."""
    entries = _boxes(iinf[8 if iinf[0] else 6 :])
    return [int.from_bytes(data[4 : 6 if data[0] == 2 else 8]) for _, data in entries]


def _with_item(iinf: bytes, item: int) -> bytes:
    size = 4 if iinf[0] else 2
    count = int.from_bytes(iinf[4 : 4 + size]) + 1
    entry = struct.pack(">4B2H4s", 2, 0, 0, 0, item, 0, _ITEM) + b"\0"
    return iinf[:4] + count.to_bytes(size) + iinf[4 + size :] + _box(b"infe", entry)


def _with_reference(iref: bytes, item: int, main: int) -> bytes:
    """It describes the main picture (8.11.12)."""
    code = ">IHI" if iref[0] else ">3H"
    return iref + _box(b"cdsc", struct.pack(code, item, 1, main))


def _sizes(iloc: bytes) -> tuple[int, int, int, int]:
    """Bytes of an offset, a length, a base offset and an index in a table of locations (8.11.3)."""
    return iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if iloc[0] else 0


def _with_location(iloc: bytes, item: int, length: int) -> bytes:
    """The table with an item of which the place is not known yet."""
    wide = 4 if iloc[0] == 2 else 2
    offset_size, length_size, base_size, index_size = _sizes(iloc)
    count = int.from_bytes(iloc[6 : 6 + wide]) + 1
    entry = item.to_bytes(wide) + bytes(2 if iloc[0] else 0) + bytes(2) + bytes(base_size)
    entry += struct.pack(">H", 1) + bytes(index_size)
    entry += bytes(offset_size) + length.to_bytes(length_size)
    return iloc[:6] + count.to_bytes(wide) + iloc[6 + wide :] + entry


def _moved(iloc: bytes, distance: int, item: int, place: int) -> bytes:
    """The table, in which `item` lies at `place`, and all else in the file `distance` further."""
    wide = 4 if iloc[0] == 2 else 2
    offset_size, length_size, base_size, index_size = _sizes(iloc)
    out, at = bytearray(iloc), 6 + wide
    for _ in range(int.from_bytes(iloc[6:at])):
        number = int.from_bytes(iloc[at : at + wide])
        at += wide
        is_in_file = not iloc[0] or not iloc[at + 1] & 15
        at += (2 if iloc[0] else 0) + 2 + base_size
        extents, at = int.from_bytes(iloc[at : at + 2]), at + 2
        for _ in range(extents):
            at += index_size
            if is_in_file:
                before = int.from_bytes(iloc[at : at + offset_size])
                after = place if number == item else before + distance
                out[at : at + offset_size] = after.to_bytes(offset_size)
            at += offset_size + length_size
    return bytes(out)
