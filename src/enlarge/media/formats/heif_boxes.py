"""What the boxes of a HEIF file (ISO/IEC 23008-12, over ISO/IEC 14496-12) say of its main picture
beside its pixels: code points, mastering display, light level, gain map.

libheif hands over the profile and applies matrix and range, but not the rest.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from enlarge.media.bounded import read_at_most
from enlarge.media.colour.colour import Cicp, Colour, MasteringDisplay
from enlarge.media.formats.boxes import boxes_in, boxes_of, contents
from enlarge.media.formats.gain_map_names import names_gain_map

_MOST = 1 << 24
"""Bytes of the box that describes pictures: millions of them would fit."""
NCLX, _PROFILES = b"nclx", (b"prof", b"rICC")
LIGHT_UNIT = 10_000
_DEPTH_MAPS = (b"aux:depth", b"auxiliary:depth", b"auxid:2\0")
"""What stands in the types of auxiliary pictures."""


@dataclass(frozen=True)
class BoxFacts:
    """`colour`: of the main picture, None if the file does not say. `has_gain_map`: whether the
    file holds what turns it into HDR; `has_depth_map`: whether it holds distances.
    """

    colour: Colour | None
    has_gain_map: bool = False
    has_depth_map: bool = False


def read_boxes(file: BinaryIO, number: int = 1, count: int = 1) -> BoxFacts:
    """What the boxes say of picture `number` of `count`, nothing where they are damaged. The file's
    position stays.
    """
    before = file.tell()
    try:
        meta = _meta(file)
        listed = _listed_items(meta) if count > 1 else []
        item = listed[number - 1] if len(listed) == count else main_item(meta)
        properties = _properties(meta, item)
        auxiliary = [
            data for kind, data in boxes_in(contents(meta, b"iprp", b"ipco")) if kind == b"auxC"
        ]
        is_marked = any(map(names_gain_map, auxiliary))
        is_marked = is_marked or any(kind == b"tmap" for _, kind, _ in items_of(meta))
        has_depth = any(mark in data for data in auxiliary for mark in _DEPTH_MAPS)
        return BoxFacts(_colour(properties), is_marked, has_depth)
    except (OSError, struct.error, IndexError, ValueError):
        return BoxFacts(None)
    finally:
        file.seek(0, os.SEEK_END)  # empties Python's buffer: libvips moves the descriptor itself
        file.seek(before)


def _meta(file: BinaryIO) -> bytes:
    """The contents of the box that describes the pictures, empty if there is none."""
    for kind, start, end in boxes_of(file):
        if kind == b"meta":
            return read_at_most(file, min(end - start, _MOST))[4:]
    return b""


def main_item(meta: bytes) -> int:
    """The number of the main picture's item."""
    pitm = contents(meta, b"pitm")
    return int(struct.unpack_from(">I" if pitm[0] else ">H", pitm, 4)[0])


def items_of(meta: bytes) -> list[tuple[int, bytes, bool]]:
    """Number and type of each item, and whether it is hidden."""
    iinf = contents(meta, b"iinf")
    found = []
    for kind, data in boxes_in(iinf[8 if iinf and iinf[0] else 6 :]):
        if kind == b"infe" and data[0] in (2, 3):
            size = 2 if data[0] == 2 else 4
            item = int.from_bytes(data[4 : 4 + size])
            found.append((item, data[6 + size : 10 + size], bool(data[3] & 1)))
    return found


def _references(meta: bytes) -> Iterator[tuple[bytes, int, list[int]]]:
    """Type, from which item, and to which ones."""
    iref = contents(meta, b"iref")
    size = 4 if iref and iref[0] else 2
    for kind, data in boxes_in(iref[4:]):
        numbers = [int.from_bytes(data[at : at + size]) for at in range(size + 2, len(data), size)]
        yield kind, int.from_bytes(data[:size]), numbers


def _listed_items(meta: bytes) -> list[int]:
    """The pictures that stand for themselves, in libheif's order: no tile, thumbnail or mask."""
    parts, tone_maps = set(), {item for item, kind, _ in items_of(meta) if kind == b"tmap"}
    for kind, item, others in _references(meta):
        if item in tone_maps:
            continue
        parts |= set(others) if kind == b"dimg" else {item} if kind in (b"thmb", b"auxl") else set()
    pictures = (b"hvc1", b"av01", b"grid", b"iden", b"iovl", b"avc1", b"jpeg")
    return [
        item
        for item, kind, hidden in items_of(meta)
        if kind in pictures and not hidden and item not in parts
    ]


def _properties(meta: bytes, item: int) -> list[tuple[bytes, bytes]]:
    """Those of a picture; of its first tile where it has no colour of its own."""
    listed = list(boxes_in(contents(meta, b"iprp", b"ipco")))
    associations = dict(associations_of(contents(meta, b"iprp", b"ipma")))
    found = [listed[at - 1] for at in associations.get(item, []) if 0 < at <= len(listed)]
    if any(kind == b"colr" for kind, _ in found):
        return found
    tile = _first_tile(meta, item)
    more = associations.get(tile, []) if tile is not None else []
    return found + [listed[at - 1] for at in more if 0 < at <= len(listed)]


def associations_of(ipma: bytes) -> Iterator[tuple[int, list[int]]]:
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
        elif kind == b"colr" and data[:4] == NCLX:
            primaries, transfer = struct.unpack_from(">2H", data, 4)
            cicp = Cicp(primaries, transfer)  # the decoder gives full-range RGB
        elif kind == b"mdcv":
            values = struct.unpack(">8H2I", data[:24])
            green, blue, red, white = ((values[at], values[at + 1]) for at in range(0, 8, 2))
            mastering = MasteringDisplay(red, green, blue, white, *values[8:])
        elif kind == b"clli":
            most, mean = struct.unpack_from(">2H", data)
            light = most * LIGHT_UNIT, mean * LIGHT_UNIT
    if cicp is not None and (not cicp.is_specified or (has_profile and not cicp.hdr)):
        cicp = None
    colour = Colour(cicp=cicp, mastering=mastering, light=light)
    return colour if colour.names() else None
