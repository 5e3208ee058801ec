"""What precedes each kind of metadata in the segments of a JPEG, and in other formats after it."""

from __future__ import annotations

EXIF = b"Exif\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
PHOTOSHOP = b"Photoshop 3.0\0"


def without_prefix(exif: bytes) -> bytes:
    """An EXIF block without its prefix."""
    return exif.removeprefix(EXIF)
