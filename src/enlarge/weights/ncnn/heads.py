"""With what the files of ncnn's models begin."""

from __future__ import annotations

MAGIC = 7767517
LISTS = tuple(f"{MAGIC}{end}".encode() for end in ("\n", "\r", " ", "\t"))
"""A list of layers, as text."""
IS_BINARY = MAGIC.to_bytes(4, "little")
"""The same in binary."""
F16, INT8, F32, PLAIN = 0x01306B47, 0x000D4B38, 0x0002C056, 0
"""Tags before an array of weights: how it is stored."""
WEIGHTS = tuple(tag.to_bytes(4, "little") for tag in (F16, INT8, F32))
"""Weights that begin with an array of a tag that nothing else begins with."""
