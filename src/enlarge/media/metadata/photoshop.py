"""Photoshop's image resources, which hold a picture's IPTC data (Adobe Photoshop File Formats
Specification; IPTC-NAA Information Interchange Model, version 4).

A resource is "8BIM", a number (16 bits), a name, a length (32 bits) and data; a dataset of the
IIM is 0x1C, record, number, a length (16 bits) and data. The libraries for Python (iptcinfo3) read
and write them in JPEG files only, and lose what they do not know.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import NamedTuple

from enlarge.media.metadata.positions import holds_coordinates
from enlarge.media.metadata.prefixes import PHOTOSHOP
from enlarge.media.metadata.texts import decode_text

_SIGNATURES = (b"8BIM", b"PHUT", b"AgHg", b"DCSR", b"MeSa")
_IIM, _IIM_DIGEST = 0x0404, 0x0425
_PATHS = range(0x07D0, 0x0BB7)
_KEPT = frozenset({
    _IIM, _IIM_DIGEST,
    0x03F0,  # caption
    0x040A,  # copyright flag
    0x040B, 0x041E,  # URL, URLs
})  # fmt: skip
"""What says something about the picture. All others are previews, sizes, and what Photoshop needs
to open, print or save the original; EXIF and XMP have places of their own."""
_MARK = 0x1C
_PREVIEWS = frozenset({200, 201, 202})
_PLACES = frozenset({26, 27, 90, 92, 95, 100, 101})
_DESTINATION = (1, 5)
_DESCRIPTIONS = (1, 2, 240)
"""The records about the picture; the others hold sizes and the picture itself."""


class Resource(NamedTuple):
    """An image resource: signature, number, name (with its length and padding) and data."""

    signature: bytes
    number: int
    name: bytes
    data: bytes

    def encoded(self) -> bytes:
        """The resource in a file."""
        head = self.signature + struct.pack(">H", self.number) + self.name
        return head + struct.pack(">I", len(self.data)) + self.data + b"\0" * (len(self.data) % 2)


class Dataset(NamedTuple):
    """A dataset of the IIM: record, number, data, and all its bytes."""

    record: int
    number: int
    data: bytes
    encoded: bytes


def resources_of(block: bytes) -> bytes:
    """Image resources without their header, from them, from those in a JPEG, or from bare IIM."""
    block = block.removeprefix(PHOTOSHOP)
    if block[:1] == bytes([_MARK]):
        return Resource(b"8BIM", _IIM, b"\0\0", block).encoded()
    return block


def iim_of(resources: bytes) -> bytes | None:
    """The bare IIM in image resources; None if they hold none."""
    found = [resource.data for resource in _resources(resources) if resource.number == _IIM]
    return b"".join(found) or None


def without_iim(resources: bytes) -> bytes:
    """The other image resources, for formats with a place of its own for the IIM."""
    others = (resource for resource in _resources(resources) if resource.number != _IIM)
    return b"".join(resource.encoded() for resource in others)


def adapt_resources(
    resources: bytes, *, moved: bool, positions: bool
) -> tuple[bytes | None, list[str]]:
    """The resources adapted to a changed picture, None if there are none, and a line if some
    were damaged. Without previews; without paths if the picture was `moved` (cropped or turned);
    without coordinates and names of places unless `positions`.
    """
    notes: list[str] = []
    kept: list[Resource] = []
    for resource in _resources(resources, notes):
        if resource.number == _IIM:
            data = b"".join(_kept_datasets(resource.data, notes, positions=positions))
            if data:
                kept.append(resource._replace(data=data))
        elif resource.number not in _KEPT and (moved or resource.number not in _PATHS):
            continue
        elif positions or not holds_coordinates(resource.data.decode("latin-1")):
            kept.append(resource)
    iim = [resource.data for resource in kept if resource.number == _IIM]
    digest = hashlib.md5(b"".join(iim), usedforsecurity=False).digest()
    encoded = b"".join(
        (resource._replace(data=digest) if resource.number == _IIM_DIGEST else resource).encoded()
        for resource in kept
        if resource.number != _IIM_DIGEST or iim
    )
    return encoded or None, notes


def _resources(block: bytes, notes: list[str] | None = None) -> Iterator[Resource]:
    """The resources, up to one that is damaged."""
    at = 0
    while at + 12 <= len(block):
        signature, number = block[at : at + 4], int.from_bytes(block[at + 4 : at + 6])
        name_end = at + 6 + (block[at + 6] + 2) // 2 * 2
        size = int.from_bytes(block[name_end : name_end + 4])
        start = name_end + 4
        if signature not in _SIGNATURES or start + size > len(block):
            break
        yield Resource(signature, number, block[at + 6 : name_end], block[start : start + size])
        at = start + size
        at += size % 2 and block[at : at + 4] not in _SIGNATURES  # some leave the padding out
    if notes is not None and block[at:].strip(b"\0"):
        notes.append("the Photoshop data is damaged; everything after the damage is left out")


def _kept_datasets(iim: bytes, notes: list[str], *, positions: bool) -> Iterator[bytes]:
    at = 0
    while at + 5 <= len(iim) and iim[at] == _MARK:
        size, head = int.from_bytes(iim[at + 3 : at + 5]), 5
        if size & 0x8000:  # an extended dataset: so many bytes hold the length
            head += size & 0x7FFF
            size = int.from_bytes(iim[at + 5 : at + head]) if head <= 13 else len(iim)
        end = at + head + size
        if end > len(iim):
            break
        dataset = Dataset(iim[at + 1], iim[at + 2], iim[at + head : end], iim[at:end])
        if _stays(dataset, positions=positions):
            yield dataset.encoded
        at = end
    if iim[at:].strip(b"\0"):
        notes.append("the IPTC data is damaged; everything after the damage is left out")


def _stays(dataset: Dataset, *, positions: bool) -> bool:
    key = (dataset.record, dataset.number)
    if dataset.record not in _DESCRIPTIONS or (dataset.record == 2 and key[1] in _PREVIEWS):
        return False
    if positions:
        return True
    placed = (dataset.record == 2 and key[1] in _PLACES) or key == _DESTINATION
    return not placed and not holds_coordinates(decode_text(dataset.data))
