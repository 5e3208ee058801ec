"""ICC profiles, as far as their headers and names are looked at (ICC.1:2022)."""

from __future__ import annotations

import contextlib
import struct

from enlarge.media.colour.colour import Cicp


def profile_fits(icc: bytes, channels: int) -> bool:
    """Whether a profile is for gray (1 or 2 channels) or RGB (3 or 4), by its header (7.2.6)."""
    return icc[16:20] == (b"GRAY" if channels <= 2 else b"RGB ")


def profile_name(icc: bytes) -> str:
    """The description in a profile, "unnamed" if it has none (9.2)."""
    with contextlib.suppress(struct.error, UnicodeDecodeError):
        data = profile_tag(icc, b"desc")
        if data[:4] == b"desc":
            return data[12 : 12 + struct.unpack_from(">I", data, 8)[0]].decode().rstrip("\0")
        if data[:4] == b"mluc":
            length, start = struct.unpack_from(">II", data, 20)
            return data[start : start + length].decode("utf-16-be").rstrip("\0")
    return "unnamed"


def profile_code_points(icc: bytes) -> Cicp | None:
    """The code points in a profile's `cicp` tag (9.2.17); None if it has none."""
    data = profile_tag(icc, b"cicp")
    if data[:4] == b"cicp" and len(data) >= 12:
        return Cicp(data[8], data[9], data[11] != 0)
    return None


def profile_tag(icc: bytes, wanted: bytes) -> bytes:
    """A tag's data, empty if there is none."""
    with contextlib.suppress(struct.error):
        for at in range(132, 132 + 12 * min(struct.unpack_from(">I", icc, 128)[0], 100), 12):
            tag, offset, size = struct.unpack_from(">4sII", icc, at)
            if tag == wanted:
                return icc[offset : offset + size]
    return b""
