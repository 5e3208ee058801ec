"""Texts whose encoding a file does not tell."""

from __future__ import annotations


def decode_text(data: bytes) -> str:
    """A text in UTF-8 or, where it is not that, in Latin-1."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
