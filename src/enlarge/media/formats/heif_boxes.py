"""What the boxes of a HEIF file (ISO/IEC 23008-12, over ISO/IEC 14496-12) say of its main picture
beside its pixels: code points, mastering display, light level, gain map; and how they are put in.

libheif hands over the profile and applies matrix and range, but not the rest.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from enlarge.media.colour import Cicp, Colour, MasteringDisplay

_MOST = 1 << 24
"""Bytes of the box that describes pictures: millions of them would fit."""
_NCLX, _PROFILES = b"nclx", (b"prof", b"rICC")
_LIGHT_UNIT = 10_000
_BT_601 = 6
"""The matrix of an AV1 picture that no box describes, as libheif encodes it."""


@dataclass(frozen=True)
class BoxFacts:
    """`colour`: of the main picture, None if the file does not say. `has_gain_map`: whether the
    file holds what turns it into HDR.
    """

    colour: Colour | None
    has_gain_map: bool


def read_boxes(file: BinaryIO, number: int = 1, count: int = 1) -> BoxFacts:
    """What the boxes say of picture `number` of `count`, nothing where they are damaged. The file's
    position stays.
    """
    before = file.tell()
    try:
        meta = _meta(file)
        listed = _listed_items(meta) if count > 1 else []
        item = listed[number - 1] if len(listed) == count else _main_item(meta)
        properties = _properties(meta, item)
        auxiliary = [
            data for kind, data in _boxes(_inside(meta, b"iprp", b"ipco")) if kind == b"auxC"
        ]
        is_marked = any(b"hdrgainmap" in data for data in auxiliary)
        is_marked = is_marked or any(kind == b"tmap" for _, kind, _ in _items(meta))
        return BoxFacts(_colour(properties), is_marked)
    except (OSError, struct.error, IndexError, ValueError):
        return BoxFacts(None, False)
    finally:
        file.seek(0, os.SEEK_END)  # empties Python's buffer: libvips moves the descriptor itself
        file.seek(before)


def box_types(file: BinaryIO) -> set[bytes]:
    """The types of a file's boxes, as far as they are intact. The file's position stays."""
    before, found = file.tell(), set()
    try:
        for kind, _, _ in _file_boxes(file):
            found.add(kind)
    except (OSError, struct.error):
        pass
    finally:
        file.seek(before)
    return found


def _file_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Type, first byte and length of what each box of a file holds."""
    size = file.seek(0, os.SEEK_END)
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        length = max(length or size - at, head)
        yield kind, at + head, length - head
        at += length


def _meta(file: BinaryIO) -> bytes:
    """The contents of the box that describes the pictures, empty if there is none."""
    for kind, start, length in _file_boxes(file):
        if kind == b"meta":
            file.seek(start)
            return file.read(min(length, _MOST))[4:]
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        length = length or len(data) - at
        if length < 8:
            raise ValueError("a box shorter than its head")
        yield kind, data[at + 8 : at + length]
        at += length


def _inside(data: bytes, *path: bytes) -> bytes:
    """What a box inside boxes holds, empty if there is none."""
    for wanted in path:
        data = next((inner for kind, inner in _boxes(data) if kind == wanted), b"")
    return data


def _main_item(meta: bytes) -> int:
    pitm = _inside(meta, b"pitm")
    return int(struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)[0])


def _items(meta: bytes) -> list[tuple[int, bytes, bool]]:
    """Number and type of each item, and whether it is hidden."""
    iinf = _inside(meta, b"iinf")
    found = []
    for kind, data in _boxes(iinf[8 if iinf and iinf[0] else 6 :]):
        if kind == b"infe" and data[0] in (2, 3):
            size = 2 if data[0] == 2 else 4
            item = int.from_bytes(data[4 : 4 + size])
            found.append((item, data[6 + size : 10 + size], bool(data[3] & 1)))
    return found


def _references(meta: bytes) -> Iterator[tuple[bytes, int, list[int]]]:
    """Type, from which item, and to which ones."""
    iref = _inside(meta, b"iref")
    size = 4 if iref and iref[0] else 2
    for kind, data in _boxes(iref[4:]):
        numbers = [int.from_bytes(data[at : at + size]) for at in range(size + 2, len(data), size)]
        yield kind, int.from_bytes(data[:size]), numbers


def _listed_items(meta: bytes) -> list[int]:
    """The pictures that stand for themselves, in libheif's order: no tile, thumbnail or mask."""
    parts, tone_maps = set(), {item for item, kind, _ in _items(meta) if kind == b"tmap"}
    for kind, item, others in _references(meta):
        if item in tone_maps:
            continue
        parts |= set(others) if kind == b"dimg" else {item} if kind in (b"thmb", b"auxl") else set()
    pictures = (b"hvc1", b"av01", b"grid", b"iden", b"iovl", b"avc1", b"jpeg")
    return [
        item
        for item, kind, hidden in _items(meta)
        if kind in pictures and not hidden and item not in parts
    ]


def _properties(meta: bytes, item: int) -> list[tuple[bytes, bytes]]:
    """Those of a picture; of its first tile where it has no colour of its own."""
    listed = list(_boxes(_inside(meta, b"iprp", b"ipco")))
    associations = dict(_associations(_inside(meta, b"iprp", b"ipma")))
    found = [listed[at - 1] for at in associations.get(item, []) if 0 < at <= len(listed)]
    if any(kind == b"colr" for kind, _ in found):
        return found
    tile = _first_tile(meta, item)
    more = associations.get(tile, []) if tile is not None else []
    return found + [listed[at - 1] for at in more if 0 < at <= len(listed)]


def _associations(ipma: bytes) -> Iterator[tuple[int, list[int]]]:
    """Item and the numbers, from 1, of its properties."""
    version, wide = ipma[0], ipma[3] & 1
    (count,), at = struct.unpack_from(">I", ipma, 4), 8
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if version else ">H", ipma, at)
        at += 4 if version else 2
        number, at = ipma[at], at + 1
        code = ">H" if wide else ">B"
        size = 2 if wide else 1
        mask = 0x7FFF if wide else 0x7F
        yield (
            item,
            [struct.unpack_from(code, ipma, at + size * each)[0] & mask for each in range(number)],
        )
        at += size * number


def _first_tile(meta: bytes, item: int) -> int | None:
    for kind, source, others in _references(meta):
        if kind == b"dimg" and source == item and others:
            return others[0]
    return None


def _colour(properties: list[tuple[bytes, bytes]]) -> Colour | None:
    """A profile prevails over code points (ISO/IEC 23000-22, 7.3.6.4), which are kept all the same
    where they say that the picture is HDR.
    """
    has_profile, cicp, mastering, light = False, None, None, None
    for kind, data in properties:
        if kind == b"colr" and data[:4] in _PROFILES:
            has_profile = True
        elif kind == b"colr" and data[:4] == _NCLX:
            primaries, transfer = struct.unpack_from(">2H", data, 4)
            cicp = Cicp(primaries, transfer)  # the decoder gives full-range RGB
        elif kind == b"mdcv":
            values = struct.unpack(">8H2I", data[:24])
            green, blue, red, white = ((values[at], values[at + 1]) for at in range(0, 8, 2))
            mastering = MasteringDisplay(red, green, blue, white, *values[8:])
        elif kind == b"clli":
            most, mean = struct.unpack_from(">2H", data)
            light = most * _LIGHT_UNIT, mean * _LIGHT_UNIT
    if cicp is not None and (not cicp.is_specified or (has_profile and not cicp.hdr)):
        cicp = None
    colour = Colour(cicp=cicp, mastering=mastering, light=light)
    return colour if colour.names() else None


def with_colour(data: bytes, colour: Colour) -> bytes:
    """A HEIF file of one picture, as libheif writes it, whose main picture has `colour`'s code
    points, mastering display and light level.
    """
    at = data.index(b"meta", 4) - 4  # the second box
    (length,) = struct.unpack_from(">I", data, at)
    meta, rest = data[at + 8 : at + length], data[at + length :]
    main = _main_item(meta[4:])
    described = _described(meta[4:], main, colour)
    grown = len(described) + 4 - len(meta)
    return data[:at] + _box(b"meta", meta[:4] + _moved(described, grown)) + rest


def _described(meta: bytes, main: int, colour: Colour) -> bytes:
    listed = list(_boxes(_inside(meta, b"iprp", b"ipco")))
    associations = dict(_associations(_inside(meta, b"iprp", b"ipma")))
    own = [at for at in associations[main] if 0 < at <= len(listed)]
    matrix = struct.pack(">HB", _BT_601, 0x80)
    new = _new_properties(colour, matrix)
    for at in own:  # what libheif wrote says the matrix and the range
        kind, data = listed[at - 1]
        if kind == b"colr" and data[:4] == _NCLX and new and new[0][0] == b"colr":
            listed[at - 1] = (b"colr", new.pop(0)[1][:8] + data[8:])
            break
    numbers = list(range(len(listed) + 1, len(listed) + len(new) + 1))
    ipco = _box(b"ipco", b"".join(_box(*entry) for entry in [*listed, *new]))
    ipma = _with_associations(_inside(meta, b"iprp", b"ipma"), main, numbers)
    return b"".join(
        _box(b"iprp", ipco + _box(b"ipma", ipma)) if kind == b"iprp" else _box(kind, inner)
        for kind, inner in _boxes(meta)
    )


def _new_properties(colour: Colour, matrix: bytes) -> list[tuple[bytes, bytes]]:
    new = []
    if cicp := colour.cicp:
        codes = struct.pack(">2H", cicp.primaries, cicp.transfer)
        new.append((b"colr", _NCLX + codes + matrix))
    if mastering := colour.mastering:
        points = (*mastering.green, *mastering.blue, *mastering.red, *mastering.white)
        luminances = mastering.largest, mastering.smallest
        new.append((b"mdcv", struct.pack(">8H2I", *points, *luminances)))
    if colour.light:
        most, mean = (min(65_535, round(value / _LIGHT_UNIT)) for value in colour.light)
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
        _box(kind, _moved_locations(inner, distance) if kind == b"iloc" else inner)
        for kind, inner in _boxes(meta)
    )


def _moved_locations(iloc: bytes, distance: int) -> bytes:
    """ISO/IEC 14496-12, 8.11.3. Offsets into the `idat` box inside `meta` stay."""
    version, sizes = iloc[0], iloc[4:6]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
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


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data) + 8, kind) + data
