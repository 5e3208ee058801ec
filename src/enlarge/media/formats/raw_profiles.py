"""Profiles that ImageMagick, ExifTool and others write as texts into PNG files ("Raw profile type
exif"): a name, a length in decimal digits, and bytes in hexadecimal ones.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import Any

from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.photoshop import resources_of
from enlarge.media.metadata.prefixes import PHOTOSHOP

_KEY = re.compile(r"Raw profile type (\w+)", re.IGNORECASE)
_TEXT = re.compile(r"\s*(\S[^\n]*?)\s+(\d+)\s+([0-9a-fA-F\s]*)")
"""ExifTool's names have two words: "IPTC profile"."""
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"


def with_raw_profiles(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata with what its texts hold of EXIF, XMP, IPTC and ICC profiles, where it has none
    of its own; and a line for each text that cannot be used. Those texts are gone.
    """
    notes: list[str] = []
    texts = []
    for key, value in metadata.text:
        match = _KEY.match(key)
        if match is None:
            texts.append((key, value))
            continue
        data = _decoded(value)
        field = _field(match[1].lower(), data) if data else None
        if data is None or field is None:
            notes.append(f"the text {key!r} cannot be read and is left out")
        elif not getattr(metadata, field):
            metadata = _with_field(metadata, field, _content(field, data))
    return replace(metadata, text=tuple(texts)), notes


def _decoded(text: str) -> bytes | None:
    """The bytes of a profile; None if they are damaged."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    try:
        data = bytes.fromhex(match[3])
    except ValueError:
        return None
    return data if data and len(data) == int(match[2]) else None


def _field(kind: str, data: bytes) -> str | None:
    """Which of `Metadata`'s fields a profile is for, by what it holds and by its name."""
    if data.startswith(_XMP) or kind == "xmp":
        return "xmp"
    if data.startswith((_EXIF, b"II*\0", b"MM\0*")):
        return "exif"
    if data.startswith((PHOTOSHOP, b"8BIM", b"\x1c")):
        return "iptc"
    return "icc" if kind in ("icc", "icm") else None


def _with_field(metadata: Metadata, field: str, data: bytes) -> Metadata:
    filled: dict[str, Any] = {field: data}
    return replace(metadata, **filled)


def _content(field: str, data: bytes) -> bytes:
    """A profile as `Metadata` holds it."""
    if field == "iptc":
        return resources_of(data)
    return data.removeprefix(_EXIF).removeprefix(_XMP)


def raw_profile(name: str, data: bytes) -> tuple[bytes, bytes]:
    """The keyword and the text of a profile, as ImageMagick writes them."""
    digits = binascii.hexlify(data)
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return (
        b"Raw profile type " + name.encode(),
        b"\n%b\n%8d\n%b\n" % (name.encode(), len(data), lines),
    )
