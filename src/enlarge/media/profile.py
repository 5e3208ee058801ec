"""ICC profiles, as far as their headers and names are looked at (ICC.1:2022)."""

from __future__ import annotations

import contextlib
import struct


def profile_fits(icc: bytes, channels: int) -> bool:
    """Whether a profile is for gray (1 or 2 channels) or RGB (3 or 4), by its header (7.2.6)."""
    return icc[16:20] == (b"GRAY" if channels <= 2 else b"RGB ")


def profile_name(icc: bytes) -> str:
    """The description in a profile, "unnamed" if it has none (9.2)."""
    with contextlib.suppress(struct.error, UnicodeDecodeError):
        for at in range(132, 132 + 12 * min(struct.unpack_from(">I", icc, 128)[0], 100), 12):
            tag, offset, size = struct.unpack_from(">4sII", icc, at)
            data = icc[offset : offset + size]
            if tag == b"desc" and data[:4] == b"desc":
                return data[12 : 12 + struct.unpack_from(">I", data, 8)[0]].decode().rstrip("\0")
            if tag == b"desc" and data[:4] == b"mluc":
                length, start = struct.unpack_from(">II", data, 20)
                return data[start : start + length].decode("utf-16-be").rstrip("\0")
    return "unnamed"
