"""Ways in which picture files are damaged, or made on purpose."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

from tests.media.seeds import seeds

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
Piece = tuple[int, int]
"""Start and end of a chunk, segment, box or block."""


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` mutated files, (what it was, its bytes): the same ones for the same seed."""
    every = list(seeds().items())
    chance = random.Random(seed)
    for number in range(count):
        name, data = every[number % len(every)]
        yield name, mutated(data, chance.choice(every)[1], chance)


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """A file with one change, or some. Checksums of a PNG are mostly set right."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        pieces = pieces_of(data)
        if len(pieces) > 1 and chance.random() < 0.4:
            data = _piece_changed(data, pieces, other, chance) or data
        else:
            data = _bytes_changed(data, other, chance)
    if data.startswith(b"\x89PNG") and chance.random() < 0.6:
        data = with_checksums(data)  # else hardly any would come further than those
    return data


def _bytes_changed(data: bytes, other: bytes, chance: random.Random) -> bytes:
    size = len(data)
    # Headers are where it hurts.
    at = chance.randrange(min(size, 120)) if chance.random() < 0.6 else chance.randrange(size)
    span = chance.choice((1, 2, 4, 8, 64, 300))
    match chance.randrange(8):
        case 0:  # flipped bits
            out = bytearray(data)
            for _ in range(chance.choice((1, 3, 20))):
                out[(at + chance.randrange(span)) % size] ^= 1 << chance.randrange(8)
            return bytes(out)
        case 1:  # a field of an extreme value
            field = _extreme(chance)
            return data[:at] + field + data[at + len(field) :]
        case 2:  # noise over it
            return data[:at] + chance.randbytes(span) + data[at + span :]
        case 3:  # a piece missing
            return data[:at] + data[at + span :] or data[:1]
        case 4:  # a piece twice
            return data[: at + span] + data[at:]
        case 5:  # cut off
            return data[: chance.randrange(1, size)] if size > 1 else data
        case 6:  # another file's end
            return data[:at] + other[min(at, len(other) - 1) :]
        case _:  # noise in between
            return data[:at] + chance.randbytes(span) + data[at:]


def _extreme(chance: random.Random) -> bytes:
    form = chance.choice(("<H", ">H", "<I", ">I"))
    limit = 0xFFFF if form[1] == "H" else 0xFFFFFFFF
    return struct.pack(form, chance.choice(_EXTREMES) & limit)


def _piece_changed(data: bytes, pieces: list[Piece], other: bytes, chance: random.Random) -> bytes:
    start, end = chance.choice(pieces)
    piece = data[start:end]
    match chance.randrange(7):
        case 0:  # twice
            return data[:end] + piece + data[end:]
        case 1:  # missing
            return data[:start] + data[end:]
        case 2:  # elsewhere
            rest = data[:start] + data[end:]
            at = chance.choice(pieces)[0] % (len(rest) + 1)
            return rest[:at] + piece + rest[at:]
        case 3:  # of another length than it says
            cut = chance.randrange(len(piece) + 1)
            return data[:start] + piece[:cut] + data[end:]
        case 4:  # with another length, or another field at its beginning
            at = min(chance.randrange(12), max(len(piece) - 1, 0))
            field = _extreme(chance)
            return data[:start] + piece[:at] + field + piece[at + len(field) :] + data[end:]
        case 5:  # another file's
            others = pieces_of(other) or [(0, len(other))]
            first, last = chance.choice(others)
            return data[:start] + other[first:last] + data[chance.choice((start, end)) :]
        case _:  # noise in its content
            at = min(8, len(piece))
            return data[:start] + piece[:at] + chance.randbytes(len(piece) - at) + data[end:]


def pieces_of(data: bytes) -> list[Piece]:
    """The chunks, segments, boxes, blocks or directory entries of a file, as far as they can be
    followed.
    """
    if data.startswith(b"\x89PNG"):
        return _headed(data, 8, ">I", 0, 12)
    if data[:4] == b"RIFF":
        return _headed(data, 12, "<I", 4, 8)
    if data[4:8] in (b"ftyp", b"jP  ", b"JXL "):
        boxes = _headed(data, 0, ">I", 0, 0)
        inner = [piece for at, end in boxes for piece in _headed(data[:end], at + 12, ">I", 0, 0)]
        return boxes + inner
    if data.startswith(b"\xff\xd8"):
        return _segments(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _entries(data)
    return []


def _headed(data: bytes, at: int, form: str, length_at: int, more: int) -> list[Piece]:
    found: list[Piece] = []
    while at + 8 <= len(data) and len(found) < 64:
        (length,) = struct.unpack_from(form, data, at + length_at)
        end = min(at + max(length + more, 8), len(data))
        found.append((at, end))
        at = end
    return found


def _segments(data: bytes) -> list[Piece]:
    found: list[Piece] = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and len(found) < 64:
        end = min(at + 2 + struct.unpack_from(">H", data, at + 2)[0], len(data))
        found.append((at, end))
        if data[at + 1] == 0xDA:  # pixels follow
            found.append((end, len(data)))
            break
        at = end
    return found


def _entries(data: bytes) -> list[Piece]:
    order = "<" if data[:2] == b"II" else ">"
    if len(data) < 8:
        return []
    (at,) = struct.unpack_from(order + "I", data, 4)
    if at + 2 > len(data):
        return []
    count = struct.unpack_from(order + "H", data, at)[0]
    starts = range(at + 2, min(at + 2 + 12 * count, len(data) - 12), 12)
    return [(start, start + 12) for start in starts][:64]


def with_checksums(data: bytes) -> bytes:
    """A PNG with the right checksum at the end of every chunk, as far as they can be found."""
    out, at = data[:8], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out + data[at:]
