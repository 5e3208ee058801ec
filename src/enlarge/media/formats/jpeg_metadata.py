"""The segments of a JPEG that hold metadata, read and written (T.81, T.871; EXIF: CIPA DC-008; XMP:
ISO 16684-1 and Adobe's XMP Specification, part 3; Photoshop's image resources).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from enlarge.media.bounded import position_kept
from enlarge.media.formats.jpeg_segments import (
    APP1,
    APP13,
    COMMENT_MARKER,
    MAX_SEGMENT,
    segment,
    segments_of,
)
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.prefixes import EXIF, PHOTOSHOP, XMP, XMP_EXTENSION
from enlarge.media.metadata.texts import decode_text

COMMENT = "Comment"
"""The keyword of a text from a comment, which has none."""
_MAX_COMMENTS = 1 << 22


def _metadata_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Markers and contents of the segments that may hold metadata. The file's position stays."""
    with position_kept(file):
        for marker, _, length in segments_of(file):
            if marker in (APP1, APP13, COMMENT_MARKER):
                yield marker, file.read(length)


def read_segments(file: BinaryIO, metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata (of which libvips found some) with what the segments hold, and a line for each
    thing that is left out.
    """
    exif, packet, resources = b"", b"", b""
    extensions: list[bytes] = []
    comments: list[tuple[str, str]] = []
    for marker, data in _metadata_segments(file):
        if marker == APP1 and data.startswith(EXIF):
            part = data.removeprefix(EXIF)
            if not exif or part[:4] not in (b"II*\0", b"MM\0*"):  # a long block goes on
                exif += part
        elif marker == APP1 and data.startswith(XMP):
            packet = packet or data.removeprefix(XMP)
        elif marker == APP1 and data.startswith(XMP_EXTENSION):
            extensions.append(data.removeprefix(XMP_EXTENSION))
        elif marker == APP13 and data.startswith(PHOTOSHOP):
            resources += data.removeprefix(PHOTOSHOP)
        elif marker == COMMENT_MARKER and sum(len(text) for _, text in comments) < _MAX_COMMENTS:
            comments.append((COMMENT, decode_text(data.rstrip(b"\0"))))
    notes: list[str] = []
    if packet:
        from enlarge.media.metadata.extended_xmp import joined_xmp

        packet, complete = joined_xmp(packet, extensions)
        if not complete:
            notes.append("the XMP's extension is incomplete and is left out")
    found = replace(
        metadata,
        exif=exif or None,
        xmp=packet or None,
        iptc=resources or None,
        text=tuple(pair for pair in comments if pair[1]),
    )
    return found, notes


def metadata_segments(metadata: Metadata) -> tuple[bytes, list[str]]:
    """The segments that a file begins with: JFIF (libvips leaves it and the density out), EXIF,
    XMP, IPTC, comments. And a line for each that is too long.
    """
    unit, across, down = 0, *(metadata.aspect or (1, 1))
    if max(across, down) > 65_535:
        across, down = 1, 1
    if metadata.density and max(metadata.density) * 25.4 <= 65_535:
        unit, across, down = 1, *(max(1, round(value * 25.4)) for value in metadata.density)
    out = segment(0xE0, struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, unit, across, down, 0, 0))
    notes: list[str] = []

    def put(name: str, marker: int, data: bytes) -> None:
        nonlocal out
        if len(data) > MAX_SEGMENT:
            notes.append(
                f"{name} ({len(data):,} bytes) is left out: JPEG holds at most 64 KB of it"
            )
        else:
            out += segment(marker, data)

    if metadata.exif:
        put("the EXIF data", APP1, EXIF + metadata.exif)
    if metadata.xmp:
        packet, extensions = metadata.xmp, list[bytes]()
        if len(packet) > MAX_SEGMENT - len(XMP):
            from enlarge.media.metadata.extended_xmp import split_xmp

            packet, extensions = split_xmp(packet, MAX_SEGMENT - len(XMP), MAX_SEGMENT)
        put("the XMP data", APP1, XMP + packet)
        if len(packet) <= MAX_SEGMENT - len(XMP):
            out += b"".join(segment(APP1, part) for part in extensions)
    resources = metadata.iptc or b""
    most = MAX_SEGMENT - len(PHOTOSHOP)
    for at in range(0, len(resources), most):
        out += segment(APP13, PHOTOSHOP + resources[at : at + most])
    for key, value in metadata.text:
        plain = value if key == COMMENT else f"{key}: {value}"
        put(f"the text {key!r}", COMMENT_MARKER, plain.encode())
    return out, notes
