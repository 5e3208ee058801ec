"""Previews and names of places in cameras' maker notes, as far as their directories are known.

A maker note's format is its maker's secret, and its offsets count from anywhere: only what is known
to be a preview or a place is taken out, and everything else keeps its place. Tags by ExifTool's
tables.
"""

from __future__ import annotations

from typing import NamedTuple

from enlarge.media.metadata.exif_block import ExifBlock


class _Maker(NamedTuple):
    """How a note begins (or the camera's make begins, if `by_make`), where its directory is, where
    its offsets count from ("block", "note", or the header of its own at an offset), and its tags.
    """

    begins: bytes
    directory: int
    base: str | int = "block"
    previews: frozenset[int] = frozenset()
    places: frozenset[int] = frozenset()
    by_make: bool = False


_OLYMPUS_SETTINGS = 0x2020
_OLYMPUS = frozenset({0x0081, 0x0088, 0x0089, 0x0100})
_PANASONIC_PLACES = frozenset({0x67, 0x69, 0x6B, 0x6D, 0x6F, 0x80})
_PREVIEWS_2_TO_4 = frozenset({0x0002, 0x0003, 0x0004, 0x2000})
_MAKERS = (
    _Maker(b"Nikon\0\x02", 0, 10, frozenset({0x0011}), frozenset({0x0039})),
    _Maker(b"OLYMPUS\0", 12, "note", _OLYMPUS),
    _Maker(b"OM SYSTEM\0", 16, "note", _OLYMPUS),
    _Maker(b"OLYMP\0", 8, "block", _OLYMPUS),
    _Maker(b"Panasonic\0", 12, "block", frozenset(), _PANASONIC_PLACES),
    _Maker(b"LEICA\0\0\0", 8, "block", frozenset({0x0300}), _PANASONIC_PLACES),
    _Maker(b"SONY ", 12, "block", frozenset({0x2001, 0xB02C})),
    _Maker(b"AOC\0", 6, "block", _PREVIEWS_2_TO_4),
    _Maker(b"QVC\0", 6, "block", _PREVIEWS_2_TO_4),
    _Maker(b"Canon", 0, "block", frozenset({0x0013, 0x00B6}), by_make=True),
    _Maker(b"SAMSUNG", 0, "block", frozenset({0x0035}), frozenset({0x30, 0x31}), by_make=True),
    _Maker(b"SONY", 0, "block", frozenset({0x2001, 0xB02C}), by_make=True),
    _Maker(b"Minolta", 0, "block", _OLYMPUS, by_make=True),
    _Maker(b"KONICA", 0, "block", _OLYMPUS, by_make=True),
    _Maker(b"CASIO", 0, "block", _PREVIEWS_2_TO_4 - {0x0002, 0x0003, 0x0004}, by_make=True),
)


def adapt_maker_note(block: ExifBlock, start: int, length: int, make: bytes, *, gps: bool) -> None:
    """Take the previews out of the note of `length` bytes at `start`, and the names of places
    unless `gps`. A note that cannot be read stays as it is.
    """
    note = bytes(block.data[start : start + length])
    for maker in _MAKERS:
        if (make.upper() if maker.by_make else note).startswith(
            maker.begins.upper() if maker.by_make else maker.begins
        ):
            try:
                _adapt(_inside(block, start, note, maker), start, maker, gps=gps)
            except ValueError:
                return
            return


def _inside(block: ExifBlock, start: int, note: bytes, maker: _Maker) -> ExifBlock:
    """The note as a block with its own offsets and byte order."""
    if isinstance(maker.base, int):
        return ExifBlock(block.data, base=start + maker.base)
    order = {b"II": "<", b"MM": ">"}.get(note[maker.directory - 4 : maker.directory - 2])
    if maker.base == "note" or order:
        base = start if maker.base == "note" else block.base
        return ExifBlock(block.data, base=base, order=order or block.order)
    return ExifBlock(block.data, base=block.base, order=block.order)


def _adapt(inside: ExifBlock, start: int, maker: _Maker, *, gps: bool) -> None:
    ifd = maker.directory + start - inside.base
    if isinstance(maker.base, int):
        ifd = inside.get("I", 4)
    tags = maker.previews if gps else maker.previews | maker.places
    entries = {entry.tag: entry for entry in inside.entries(ifd)}
    if maker.begins.startswith(b"Nikon") and 0x0011 in entries:
        _wipe_preview_ifd(inside, inside.value(entries[0x0011]))
    if maker.previews is _OLYMPUS and _OLYMPUS_SETTINGS in entries:
        settings = entries[_OLYMPUS_SETTINGS]
        inside.remove(
            inside.value(settings) if settings.size <= 4 else inside.place(settings),
            frozenset({0x0100, 0x0101, 0x0102}),
        )
    inside.remove(ifd, tags)


def _wipe_preview_ifd(inside: ExifBlock, ifd: int) -> None:
    """A directory that points to a preview, and the preview."""
    found = {entry.tag: inside.value(entry) for entry in inside.entries(ifd)}
    inside.wipe(found.get(0x0201, 0), found.get(0x0202, 0) if 0x0201 in found else 0)
    inside.wipe_ifd(ifd)
