"""What is put into a HEIF file (ISO/IEC 23008-12) that libheif wrote: colour and EXIF.

libvips writes EXIF through libexif, which rounds numbers, drops what it does not know, and adds
tags that nobody wrote; here it is put in byte for byte (annex A).
"""

from __future__ import annotations

import struct

from enlarge.media.colour.colour import Colour
from enlarge.media.formats.boxes import box_bytes, boxes_in, contents
from enlarge.media.formats.heif_boxes import (
    LIGHT_UNIT,
    NCLX,
    associations_of,
    items_of,
    main_item,
)

_BT_601 = 6
"""The matrix of an AV1 picture that no box describes, as libheif encodes it."""
_EXIF = b"Exif"


def with_exif(data: bytes, exif: bytes) -> bytes:
    """A HEIF file of one picture, as libheif writes it, with an EXIF block after its pixels."""
    before, meta, rest = _around_meta(data)
    parts = dict(boxes_in(meta[4:]))
    item = 1 + max(number for number, _, _ in items_of(meta[4:]))
    parts[b"iinf"] = _with_item(parts[b"iinf"], item)
    parts[b"iref"] = _with_reference(parts.get(b"iref", bytes(4)), item, main_item(meta[4:]))
    body = bytes(4) + exif  # the block follows at once
    locations = parts[b"iloc"]
    parts[b"iloc"] = _with_location(locations, item, 0, len(body))
    grown = 4 + sum(8 + len(part) for part in parts.values()) - len(meta)
    place = len(data) + grown + 8
    parts[b"iloc"] = _with_location(_moved_locations(locations, grown), item, place, len(body))
    out = meta[:4] + b"".join(box_bytes(kind, part) for kind, part in parts.items())
    return before + box_bytes(b"meta", out) + rest + box_bytes(b"mdat", body)


def _around_meta(data: bytes) -> tuple[bytes, bytes, bytes]:
    """What is before the box that describes the picture, what it holds, and what is behind it."""
    at = data.index(b"meta", 4) - 4  # the second box
    (length,) = struct.unpack_from(">I", data, at)
    return data[:at], data[at + 8 : at + length], data[at + length :]


def _with_item(iinf: bytes, item: int) -> bytes:
    size = 4 if iinf[0] else 2
    count = int.from_bytes(iinf[4 : 4 + size]) + 1
    entry = struct.pack(">4B2H4s", 2, 0, 0, 0, item, 0, _EXIF) + b"\0"
    return iinf[:4] + count.to_bytes(size) + iinf[4 + size :] + box_bytes(b"infe", entry)


def _with_reference(iref: bytes, item: int, main: int) -> bytes:
    """It describes the main picture (8.11.12)."""
    code = ">IHI" if iref[0] else ">3H"
    return iref + box_bytes(b"cdsc", struct.pack(code, item, 1, main))


def _with_location(iloc: bytes, item: int, place: int, length: int) -> bytes:
    """The table of locations (8.11.3) with an item that lies at a place in the file."""
    wide = 4 if iloc[0] == 2 else 2
    offset_size, length_size, base_size, index_size = _location_sizes(iloc)
    count = int.from_bytes(iloc[6 : 6 + wide]) + 1
    entry = item.to_bytes(wide) + bytes(2 if iloc[0] else 0) + bytes(2) + bytes(base_size)
    entry += struct.pack(">H", 1) + bytes(index_size)
    entry += place.to_bytes(offset_size) + length.to_bytes(length_size)
    return iloc[:6] + count.to_bytes(wide) + iloc[6 + wide :] + entry


def _location_sizes(iloc: bytes) -> tuple[int, int, int, int]:
    """Bytes of an offset, a length, a base offset and an index in a table of locations."""
    return iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if iloc[0] else 0


def with_colour(data: bytes, colour: Colour) -> bytes:
    """A HEIF file of one picture, as libheif writes it, whose main picture has `colour`'s code
    points, mastering display and light level.
    """
    before, meta, rest = _around_meta(data)
    described = _described(meta[4:], main_item(meta[4:]), colour)
    grown = len(described) + 4 - len(meta)
    return before + box_bytes(b"meta", meta[:4] + _moved(described, grown)) + rest


def _described(meta: bytes, main: int, colour: Colour) -> bytes:
    listed = list(boxes_in(contents(meta, b"iprp", b"ipco")))
    associations = dict(associations_of(contents(meta, b"iprp", b"ipma")))
    own = [at for at in associations[main] if 0 < at <= len(listed)]
    matrix = struct.pack(">HB", _BT_601, 0x80)
    new = _new_properties(colour, matrix)
    for at in own:  # what libheif wrote says the matrix and the range
        kind, data = listed[at - 1]
        if kind == b"colr" and data[:4] == NCLX and new and new[0][0] == b"colr":
            listed[at - 1] = (b"colr", new.pop(0)[1][:8] + data[8:])
            break
    numbers = list(range(len(listed) + 1, len(listed) + len(new) + 1))
    ipco = box_bytes(b"ipco", b"".join(box_bytes(*entry) for entry in [*listed, *new]))
    ipma = _with_associations(contents(meta, b"iprp", b"ipma"), main, numbers)
    return b"".join(
        box_bytes(b"iprp", ipco + box_bytes(b"ipma", ipma))
        if kind == b"iprp"
        else box_bytes(kind, inner)
        for kind, inner in boxes_in(meta)
    )


def _new_properties(colour: Colour, matrix: bytes) -> list[tuple[bytes, bytes]]:
    new = []
    if cicp := colour.cicp:
        codes = struct.pack(">2H", cicp.primaries, cicp.transfer)
        new.append((b"colr", NCLX + codes + matrix))
    if mastering := colour.mastering:
        points = (*mastering.green, *mastering.blue, *mastering.red, *mastering.white)
        luminances = mastering.largest, mastering.smallest
        new.append((b"mdcv", struct.pack(">8H2I", *points, *luminances)))
    if colour.light:
        most, mean = (min(65_535, round(value / LIGHT_UNIT)) for value in colour.light)
        new.append((b"clli", struct.pack(">2H", most, mean)))
    return new


def _with_associations(ipma: bytes, main: int, numbers: list[int]) -> bytes:
    """The table of associations, in which the main item has further properties."""
    version, wide = ipma[0], ipma[3] & 1
    (count,), at = struct.unpack_from(">I", ipma, 4), 8
    out = ipma[:8]
    for _ in range(count):
        head = 4 if version else 2
        (item,) = struct.unpack_from(">I" if version else ">H", ipma, at)
        number = ipma[at + head]
        end = at + head + 1 + number * (2 if wide else 1)
        more = numbers if item == main else []
        added = struct.pack(f">{len(more)}{'H' if wide else 'B'}", *more)
        out += (
            ipma[at : at + head] + bytes([number + len(more)]) + ipma[at + head + 1 : end] + added
        )
        at = end
    return out


def _moved(meta: bytes, distance: int) -> bytes:
    """The contents of `meta`, whose table says that all data lie so many bytes further behind."""
    return b"".join(
        box_bytes(kind, _moved_locations(inner, distance) if kind == b"iloc" else inner)
        for kind, inner in boxes_in(meta)
    )


def _moved_locations(iloc: bytes, distance: int) -> bytes:
    """ISO/IEC 14496-12, 8.11.3. Offsets into the `idat` box inside `meta` stay."""
    version = iloc[0]
    offset_size, length_size, base_size, index_size = _location_sizes(iloc)
    out, wide = bytearray(iloc), version == 2
    at = 6 + (4 if wide else 2)
    count = int.from_bytes(iloc[6:at])
    for _ in range(count):
        at += 4 if wide else 2
        in_file = not version or not iloc[at + 1] & 15
        at += (2 if version else 0) + 2
        if in_file and not offset_size:
            _add(out, at, base_size, distance)
        at += base_size
        extents, at = int.from_bytes(iloc[at : at + 2]), at + 2
        for _ in range(extents):
            at += index_size
            if in_file and offset_size:
                _add(out, at, offset_size, distance)
            at += offset_size + length_size
    return bytes(out)


def _add(data: bytearray, at: int, size: int, distance: int) -> None:
    value = int.from_bytes(data[at : at + size]) + distance
    data[at : at + size] = value.to_bytes(size)
