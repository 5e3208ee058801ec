"""The chunks of a PNG (third edition) that say what its numbers mean: cICP, sRGB, gAMA, cHRM,
mDCV and cLLI (11.3.2, 11.3.3). iCCP is left to libvips.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from enlarge.media.bounded import position_kept
from enlarge.media.colour.colour import Cicp, Colour, MasteringDisplay
from enlarge.media.formats.png_chunks import chunks_of

_NAMES = {
    b"cICP": "cICP", b"sRGB": "sRGB", b"gAMA": "gAMA", b"cHRM": "cHRM",
    b"mDCV": "mDCV", b"mDCv": "mDCV", b"cLLI": "cLLI", b"cLLi": "cLLI",
}  # fmt: skip
"""mDCv and cLLi are what drafts of the third edition called them."""
_MOST_GAMMA = 1_000, 10_000_000
"""1/100 to 100: what the curve of a profile can hold."""


def read_colour(file: BinaryIO) -> tuple[Colour | None, list[str]]:
    """What the chunks before the pixels say, None if there are none, and a line for each that is
    damaged and left out. The file's position stays.
    """
    found: dict[str, Any] = {}
    damaged: list[str] = []
    for name, data in _chunks(file):
        try:
            for field, value in _PARSERS[name](data).items():
                found.setdefault(field, value)
        except (struct.error, ValueError):
            damaged.append(name)
    notes = [f"the {name} chunk is damaged and is left out" for name in damaged]
    return (Colour(**found) if found else None), notes


def _chunks(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    with position_kept(file):
        for kind, _, length in chunks_of(file):
            if kind == b"IDAT":
                break
            if kind in _NAMES and length <= 32:
                data, check = file.read(length), file.read(4)
                intact = check == struct.pack(">I", zlib.crc32(kind + data))
                yield _NAMES[kind], data if intact else b""


def _cicp(data: bytes) -> dict[str, Any]:
    primaries, transfer, matrix, full_range = struct.unpack(">4B", data)
    if matrix or full_range > 1:
        raise ValueError("a matrix, which PNG does not allow")
    return {"cicp": Cicp(primaries, transfer, full_range == 1)}


def _srgb(data: bytes) -> dict[str, Any]:
    (intent,) = struct.unpack(">B", data)
    if intent > 3:
        raise ValueError("an unknown intent")
    return {"srgb_intent": intent}


def _gama(data: bytes) -> dict[str, Any]:
    (gamma,) = struct.unpack(">I", data)
    if not _MOST_GAMMA[0] <= gamma <= _MOST_GAMMA[1]:
        raise ValueError("not a gamma")
    return {"gamma": gamma}


def _chrm(data: bytes) -> dict[str, Any]:
    from enlarge.media.colour.profile_making import chromaticities_are_valid

    values = struct.unpack(">8I", data)
    if not chromaticities_are_valid(Colour(chromaticities=values).points):
        raise ValueError("no colours")
    return {"chromaticities": values}


def _mdcv(data: bytes) -> dict[str, Any]:
    values = struct.unpack(">8H2I", data)
    red, green, blue, white = ((values[at], values[at + 1]) for at in range(0, 8, 2))
    return {"mastering": MasteringDisplay(red, green, blue, white, *values[8:])}


def _clli(data: bytes) -> dict[str, Any]:
    return {"light": struct.unpack(">2I", data)}


_PARSERS = {
    "cICP": _cicp, "sRGB": _srgb, "gAMA": _gama, "cHRM": _chrm, "mDCV": _mdcv, "cLLI": _clli,
}  # fmt: skip


def colour_chunks(colour: Colour | None) -> list[tuple[bytes, bytes]]:
    """The chunks, (kind, data), that say so."""
    if colour is None:
        return []
    chunks = []
    if cicp := colour.cicp:
        chunks.append((b"cICP", bytes([cicp.primaries, cicp.transfer, 0, cicp.full_range])))
    if mastering := colour.mastering:
        points = (*mastering.red, *mastering.green, *mastering.blue, *mastering.white)
        luminances = mastering.largest, mastering.smallest
        chunks.append((b"mDCV", struct.pack(">8H2I", *points, *luminances)))
    if colour.light:
        chunks.append((b"cLLI", struct.pack(">2I", *colour.light)))
    if colour.chromaticities:
        chunks.append((b"cHRM", struct.pack(">8I", *colour.chromaticities)))
    if colour.gamma:
        chunks.append((b"gAMA", struct.pack(">I", colour.gamma)))
    if colour.srgb_intent is not None:
        chunks.append((b"sRGB", bytes([colour.srgb_intent])))
    return chunks
