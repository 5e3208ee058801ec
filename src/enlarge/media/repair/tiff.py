"""Damaged TIFFs: strips and tiles that the file does not reach, or that cannot be decoded.

The decoder gives up at the first of them. Each is pointed to another's data, until the picture can
be decoded; what was pointed elsewhere is missing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.formats.tiff import read_tiff
from enlarge.media.libvips import FileSource, clear_errors, collected_errors
from enlarge.media.metadata.tiff_tags import INTEGER_CODES, read_entries, read_tiff_header
from enlarge.media.repair.repair import (
    Box,
    Kept,
    Repair,
    Repaired,
    all_pixels,
    compare_paddings,
    most_lacking,
    read_copy,
    reopened,
    temporary_copy,
    whole_rows,
    zeros,
)
from enlarge.media.stored import PictureFile, StoredPicture

_WIDTH, _HEIGHT, _COMPRESSION = 256, 257, 259
_STRIPS, _STRIP_BYTES, _STRIP_ROWS = 273, 279, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_PLAIN, _PACKED = 1, 32_773
_MOST_PADDED = 64
_TRIES = 200
_FARTHEST = 1 << 40


class TiffRepair(Repair):
    """See `Repair`."""

    end = "its last bytes"
    is_certain = True  # libvips may ignore that data is missing

    def is_whole(self, source: PictureFile) -> bool:
        """Whether the file reaches the data of the first picture."""
        layout = _layout(source)
        return layout is None or max(layout.ends()) <= source.size

    def complete(self, source: PictureFile) -> BinaryIO | None:
        """The padded file, if its last strip can be decoded and does not depend on the padding."""
        layout = _layout(source)
        if layout is None or layout.compression in (_PLAIN, _PACKED):
            return None
        lacking = max(layout.ends()) - source.size
        if lacking > _MOST_PADDED:
            return None
        try:
            padding = compare_paddings(
                read_tiff, source, lambda fill: _padded(source, fill(lacking))
            )
        except InputError:
            return None
        is_complete = padding.is_certain and not padding.missing
        return _padded(source, padding.fill(lacking)) if is_complete else None

    def salvage(self, source: PictureFile) -> Repaired:
        """The file with every strip or tile that is missing pointed to another one's data.

        Raises `InputError`.
        """
        layout = _layout(source)
        if layout is None:
            raise InputError("this TIFF has no directory that says where its pixels are")
        if (
            layout.compression == _PLAIN
            and not layout.is_tiled
            and max(layout.ends()) > source.size
        ):
            missing = layout.rows_behind(source.size)
            if max(layout.ends()) > _FARTHEST:
                raise InputError("this TIFF claims to be much longer than it is")
            copy = temporary_copy(source)
            copy.truncate(max(layout.ends()))
            return Repaired(copy, missing)
        bad = {at for at, end in enumerate(layout.ends()) if end > source.size}
        bad |= {at for at, size in enumerate(layout.sizes) if size == 0}
        copy = temporary_copy(source)
        if len(bad) == len(layout.offsets) and (found := _with_partial(source, layout, bad)):
            copy.close()
            return found
        out_of_reach = frozenset(bad)
        try:
            for _ in range(_TRIES):
                layout.point_elsewhere(copy, bad)
                row = _first_failure(copy, source)
                if row is None:
                    break
                parts = layout.parts_at(row, bad)
                bad |= (_undecodable(copy, layout, parts) if layout.is_tiled else None) or parts
            else:
                raise InputError("this TIFF is damaged in too many places")
        except InputError:
            copy.close()
            if layout.is_tiled or out_of_reach:
                raise
            bad = set(range(len(layout.offsets)))
        except BaseException:
            copy.close()
            raise
        if bad and not layout.is_tiled and not out_of_reach:
            copy.close()
            return _tolerated(source, layout, bad)
        if not bad:
            return Repaired(copy, is_complete=True)
        if (found := _with_partial(source, layout, bad)) is not None:
            copy.close()
            return found
        return Repaired(copy, layout.boxes(bad))


def _tolerated(source: PictureFile, layout: _Layout, bad: set[int]) -> Repaired:
    """The file as it is, with its bad strips as far as they can be decoded. Raises `InputError`."""
    copy = temporary_copy(source)
    try:
        pixels = all_pixels(read_tiff(reopened(Kept(copy), source, fail_on="none")))
    except BaseException:
        copy.close()
        raise
    boxes = []
    for x, y, width, height in layout.boxes(bad):
        there = _decoded_rows(pixels[y : y + height])
        if there < height:
            boxes.append((x, y + there, width, height - there))
    return Repaired(copy, tuple(boxes), fail_on="none")


def _with_partial(source: PictureFile, layout: _Layout, bad: set[int]) -> Repaired | None:
    """As `salvage`, with the rows of the last strip that the file reaches as far as they can be
    decoded; None if there is no such strip, or it cannot be.
    """
    reached = [at for at in bad if layout.offsets[at] < source.size < layout.ends()[at]]
    if len(reached) != 1 or layout.is_tiled or layout.each_plane != len(layout.offsets):
        return None
    (partial,) = reached
    others = bad - {partial}
    lacking = layout.ends()[partial] - source.size
    if lacking > most_lacking(source):
        return None

    def padded(fill: Callable[[int], bytes]) -> BinaryIO:
        copy = _padded(source, fill(lacking))
        if others and len(bad) < len(layout.offsets):
            layout.point_elsewhere(copy, bad, others)
        return copy

    def tolerant(file: PictureFile) -> StoredPicture:
        return read_tiff(replace(file, fail_on="none"))

    try:
        differs = compare_paddings(tolerant, source, padded).missing
        pixels = all_pixels(read_copy(tolerant, padded(zeros), source))
    except InputError:
        return None
    y = partial * layout.part_height
    stop = min(y + layout.part_height, layout.height)
    first = min(y + _decoded_rows(pixels[y:stop]), *(box[1] for box in differs), stop)
    if first <= y:
        return None
    rest: tuple[Box, ...] = ((0, first, layout.width, stop - first),) if first < stop else ()
    return Repaired(padded(zeros), (*rest, *layout.boxes(others)), fail_on="none")


def _decoded_rows(pixels: NDArray[Any]) -> int:
    """The rows of a strip before the decoder gave up: from there it leaves zeros."""
    filled = np.flatnonzero(pixels.any(axis=(1, 2)))
    return int(filled[-1]) + 1 if len(filled) else 0


def _padded(source: PictureFile, padding: bytes) -> BinaryIO:
    copy = temporary_copy(source)
    copy.write(padding)
    return copy


def _undecodable(copy: BinaryIO, layout: _Layout, tiles: set[int]) -> set[int]:
    """Those of some tiles that cannot be decoded. libvips collects the error, and gives black."""
    copy.seek(0)
    kept = FileSource(copy)
    found = set()
    try:
        image = pyvips.Image.tiffload_source(kept.source, fail_on="error", unlimited=True)
        region = pyvips.Region.new(image)
        for number, (x, y, width, height) in layout.placed(tiles):
            clear_errors()
            region.fetch(x, y, width, height)
            if "tiff2vips" in collected_errors():
                found.add(number)
    except pyvips.Error:
        return set()
    return {at for at in tiles if at % layout.each_plane in found}


def _first_failure(copy: BinaryIO, source: PictureFile) -> int | None:
    """The first row that cannot be decoded; None if there is none."""
    count, error = whole_rows(read_tiff(reopened(Kept(copy), source)))
    return None if error is None else count


@dataclass(frozen=True)
class _Layout:
    """Where the first picture's data are. `offsets_at` and `sizes_at`: the places of the two arrays
    in the file, with the codes of their numbers.
    """

    width: int
    height: int
    part_width: int
    part_height: int
    compression: int
    order: str
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    offsets_at: tuple[int, str]
    sizes_at: tuple[int, str]

    @property
    def is_tiled(self) -> bool:
        """Whether the parts are tiles, not strips."""
        return self.across > 1

    def rows_behind(self, size: int) -> tuple[Box, ...]:
        """The rows of uncompressed strips that a file of `size` bytes does not reach."""
        first: dict[int, int] = {}
        for number, (at, count) in enumerate(zip(self.offsets, self.sizes, strict=True)):
            y = number % self.each_plane * self.part_height
            rows = min(self.part_height, self.height - y)
            there = min(max(size - at, 0) * rows // max(count, 1), rows)
            if there < rows:
                first[y] = min(first.get(y, rows), there)
        return tuple(
            (0, y + there, self.width, min(self.part_height, self.height - y) - there)
            for y, there in first.items()
        )

    @property
    def across(self) -> int:
        """Parts in a row of them."""
        return -(-self.width // self.part_width)

    @property
    def each_plane(self) -> int:
        """Parts of one plane."""
        return self.across * -(-self.height // self.part_height)

    def ends(self) -> list[int]:
        """Where each part ends in the file."""
        return [at + size for at, size in zip(self.offsets, self.sizes, strict=True)]

    def parts_at(self, row: int, known: set[int]) -> set[int]:
        """The parts that lie at a row, in every plane, without those known to be bad.

        Raises `InputError` if there is none.
        """
        first = row // self.part_height * self.across
        found = {
            plane + first + at
            for plane in range(0, len(self.offsets), self.each_plane)
            for at in range(self.across)
            if plane + first + at < len(self.offsets)
        } - known
        if not found:
            raise InputError("this TIFF is damaged in a way that leaves nothing of its pixels")
        return found

    def boxes(self, bad: set[int]) -> tuple[Box, ...]:
        """The rectangles of parts."""
        return tuple(box for _, box in self.placed(bad))

    def placed(self, bad: set[int]) -> list[tuple[int, Box]]:
        """The numbers of parts in their plane, each with its rectangle."""
        found = []
        for number in sorted({at % self.each_plane for at in bad}):
            x, y = number % self.across * self.part_width, number // self.across * self.part_height
            width, height = min(self.part_width, self.width - x), self.height - y
            if width > 0 and height > 0:
                found.append((number, (x, y, width, min(self.part_height, height))))
        return found

    def point_elsewhere(self, file: BinaryIO, bad: set[int], which: set[int] | None = None) -> None:
        """Point the bad parts (or `which` of them) to a good one. Raises `InputError` if there is
        none.
        """
        good = [at for at in range(len(self.offsets)) if at not in bad]
        if not good:
            raise InputError("this TIFF ends before its pixels")
        # The last strip can be lower than the others.
        best = max(good, key=lambda at: (at % self.each_plane != self.each_plane - 1,
                                         self.sizes[at]))  # fmt: skip
        for (start, code), value in (
            (self.offsets_at, self.offsets[best]), (self.sizes_at, self.sizes[best]),
        ):  # fmt: skip
            size = struct.calcsize(code)
            for at in bad if which is None else which:
                file.seek(start + at * size)
                file.write(struct.pack(self.order + code, value))


def _layout(source: PictureFile) -> _Layout | None:
    """The layout of the first picture; None if it cannot be read."""
    try:
        return _read_layout(source.file)
    except (struct.error, LookupError, ValueError, OverflowError, MemoryError):
        return None
    finally:
        source.file.seek(0)


def _read_layout(file: BinaryIO) -> _Layout | None:
    header = read_tiff_header(file)
    order = header.order
    places = {
        entry.tag: (entry.place(header), code, entry.values)
        for entry in read_entries(file, header, header.first)[0]
        if (code := INTEGER_CODES.get(entry.type))
    }

    def values(tag: int) -> tuple[int, ...]:
        place, code, number = places[tag]
        size = number * struct.calcsize(code)
        file.seek(place)
        return struct.unpack(f"{order}{number}{code}", file.read(min(size, 1 << 28)))

    def value(tag: int, default: int | None = None) -> int:
        return default if default is not None and tag not in places else values(tag)[0]

    width, height = value(_WIDTH), value(_HEIGHT)
    is_tiled = _TILES in places
    where, sizes = (_TILES, _TILE_BYTES) if is_tiled else (_STRIPS, _STRIP_BYTES)
    part_width = value(_TILE_WIDTH) if is_tiled else width
    part_height = value(_TILE_HEIGHT) if is_tiled else min(value(_STRIP_ROWS, height), height)
    offsets, counts = values(where), values(sizes)
    if not offsets or len(offsets) != len(counts) or 0 in (width, height, part_width, part_height):
        return None
    return _Layout(
        width, height, part_width, part_height, value(_COMPRESSION, _PLAIN), order,
        offsets, counts, places[where][:2], places[sizes][:2],
    )  # fmt: skip
