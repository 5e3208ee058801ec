"""What gain maps call themselves, in lower case: in XMP, in segments of JPEG, in boxes of HEIF."""

from __future__ import annotations

ISO = b"urn:iso:std:iso:ts:21496"
_NAMES = (ISO, b"hdrgainmap", b"hdr-gain-map", b"hdrgm")
"""ISO 21496-1; Apple's; Adobe's namespace and its prefix."""


def names_gain_map(data: bytes) -> bool:
    """Whether these bytes contain such a name, in upper or lower case."""
    low = data.lower()
    return any(name in low for name in _NAMES)
