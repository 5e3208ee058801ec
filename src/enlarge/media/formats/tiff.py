"""TIFF (6.0) and BigTIFF.

Streams, except for files of which libvips has to decode many rows at a time. All metadata but XMP
and the colour profile is added to the file that libvips has written: libvips knows no EXIF in TIFF.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from enlarge.errors import InputError
from enlarge.media.formats.format import Content, EncoderMemory, Format, Writer, begins_with

if TYPE_CHECKING:
    import pyvips

    from enlarge.media.decoding import LoadedImage
    from enlarge.media.formats.tiff_kinds import Packed
    from enlarge.media.metadata.tiff_tags import Directory, TiffHeader
    from enlarge.media.output import Encoding, Output
    from enlarge.media.stored import Pages, PictureFile, StoredPicture

_RAW = frozenset({".nef", ".dng", ".cr2", ".arw", ".pef", ".srw", ".nrw", ".3fr", ".iiq"})
"""Suffixes of cameras' raw files that begin like a TIFF; the first picture is a thumbnail."""
_PIXELS_PER_BYTE = 65_536
_MAX_STREAMED = 64 << 20
"""Bytes that the rows decoded at a time may take and still count as streaming: the codecs' share
of the memory plan."""
_CLASSIC_TIFF = 4_000_000_000
"""Above this many bytes of pixels a TIFF is a BigTIFF: offsets of 32 bits end at 4.29e9."""
_TILE = 256
_MEANING = {258, 338, 339}
"""Bits of a sample, kinds of the further channels, and of the numbers."""
_LAYERS = 37724
"""Photoshop's layers, patterns and annotations."""
_PHOTOMETRIC, _STRIP_ROWS, _PLANES, _TILE_HEIGHT = 262, 278, 284, 323
_YCBCR, _SEPARATE = 6, 2


def read_tiff(source: PictureFile) -> StoredPicture:
    """Open a TIFF. Raises `InputError` (without its name)."""
    from enlarge.media.decoding import libvips_errors
    from enlarge.media.formats.tiff_colour import colour_of_tiff
    from enlarge.media.formats.tiff_metadata import read_metadata
    from enlarge.media.formats.tiff_pages import full_size_pages, read_directories
    from enlarge.media.metadata.tiff_tags import read_tiff_header
    from enlarge.media.stored import choose_page

    if Path(source.name).suffix.lower() in _RAW:
        raise InputError("is a camera raw file; develop it into a 16-bit TIFF first")
    try:
        header = read_tiff_header(source.file)
    except ValueError as error:
        raise InputError(f"this TIFF cannot be read ({error}); {source.advice}") from error
    finally:
        source.file.seek(0)
    with libvips_errors("TIFF"):
        directories = read_directories(source.file, header)
        numbers = full_size_pages(directories)
        pages = choose_page(source.page, len(numbers))
        number = numbers[pages.number - 1]
        at, tags = directories[number] if directories else (header.first, {})
        directory = _directory(source, header, at)
        stored = _read(source, header, directory, tags, pages=pages, number=number)
    metadata, notes = read_metadata(stored.metadata, directory), stored.notes
    if metadata.icc is None:
        metadata = replace(metadata, colour=colour_of_tiff(directory))
    if stored.orientation != 1 and metadata.geo is not None and metadata.geo.has_place:
        metadata = replace(metadata, geo=metadata.geo.without_place())
        notes = (
            *notes,
            "the position on the map (GeoTIFF) is left out: it describes the picture before it is "
            "turned upright",
        )
    return replace(stored, metadata=metadata, notes=notes)


def _directory(source: PictureFile, header: TiffHeader, at: int) -> Directory:
    """The directory of a page at a position. Raises `InputError`."""
    from enlarge.media.metadata.tiff_tags import read_directory

    try:
        directory = read_directory(source.file, header, at)
        if _MEANING & directory.left_out:
            raise ValueError("it ends within the description of its pixels")
    except ValueError as error:
        raise InputError(f"this TIFF cannot be read ({error}); {source.advice}") from error
    finally:
        source.file.seek(0)
    return directory


def _read(
    source: PictureFile,
    header: TiffHeader,
    directory: Directory,
    tags: Mapping[int, int],
    *,
    pages: Pages,
    number: int,
) -> StoredPicture:
    """The page `number`, with the metadata that libvips found. Raises `InputError`,
    `pyvips.Error`.
    """
    from enlarge.media.formats.tiff_kinds import (
        KINDS,
        as_bytes,
        as_rgb,
        check_codec,
        has_unmarked_alpha,
        lab_of,
        lab_to_srgb,
        packed,
        refusal,
    )

    if why := refusal(directory):
        raise InputError(why)
    layout, lab = packed(directory), lab_of(directory)
    simpler = as_bytes(directory, layout) if layout else as_rgb(directory) if lab else None
    if simpler is not None:
        number = 0  # it comes first

    def first_pixel() -> None:
        _loaded(source, header, simpler, number).image.crop(0, 0, 1, 1).avg()

    check_codec(directory, first_pixel)
    loaded = _loaded(source, header, simpler, number)
    loaded.check_size(_PIXELS_PER_BYTE)
    rows = max(256, rows_at_once(tags, loaded.height))
    decoded = loaded.row_bytes(rows)
    notes = []
    if lab:
        loaded.image = lab_to_srgb(loaded.image, lab)
        notes = [f"{KINDS[lab]} is converted to sRGB"]
    if _LAYERS in directory.entries.keys() | directory.left_out:
        notes.append("Photoshop's own data, such as layers, is left out; the picture is used")
    if has_unmarked_alpha(directory):
        notes.append("its last channel is used as transparency, although it is not marked as such")
    stored = loaded.stored(
        streams=rows <= 256 or decoded <= _MAX_STREAMED,
        decoder_bytes=decoded,
        pages=pages,
        notes=notes,
    )
    if layout:
        stored = _unpacked(stored, layout, source.name)
    return replace(stored, kind=KINDS[lab]) if lab else stored


def _unpacked(stored: StoredPicture, layout: Packed, name: str) -> StoredPicture:
    """A picture that was read as bytes, as what it is."""
    from enlarge.media.formats.tiff_kinds import PackedRows

    kind = "gray" if layout.samples <= 2 else "RGB"
    notes = stored.notes
    if layout.bits == 64:
        notes = (*notes, "float values are clamped to [0, 1]")
    rows = PackedRows(stored.rows, layout, name)
    return replace(stored, rows=rows, kind=kind, notes=notes)


def _loaded(
    source: PictureFile, header: TiffHeader, simpler: Directory | None, number: int
) -> LoadedImage:
    """What libvips reads of a page, in the file or in one whose first directory is `simpler`."""
    from enlarge.media.decoding import load
    from enlarge.media.formats.tiff_kinds import ChangedFile

    source.file.seek(0)
    if simpler is not None:
        source = replace(source, file=cast("BinaryIO", ChangedFile(source.file, header, simpler)))
    # libvips' own limit refuses large files; the size is checked here instead.
    return load(source, "TIFF", "tiffload_source", unlimited=True, page=number)


def rows_at_once(tags: Mapping[int, int], height: int) -> int:
    """How many rows of a picture with these tags are decoded at a time: two rows of tiles; one row
    of a strip, but the whole strip if planes are separate or colour is YCbCr. 1 if it cannot be
    seen.
    """
    if tile := tags.get(_TILE_HEIGHT):
        return 2 * tile
    if tags.get(_PLANES) == _SEPARATE or tags.get(_PHOTOMETRIC) == _YCBCR:
        return min(tags.get(_STRIP_ROWS, height), height)
    return 1


def encode_tiff(image: pyvips.Image, encoding: Encoding, output: Output) -> None:
    """Encode a TIFF, or a pyramid of tiles."""
    from enlarge.media.formats.tiff_metadata import add_metadata, exif_to_write
    from enlarge.media.metadata.tiff_tags import GapFile, write_at
    from enlarge.media.output import with_fields

    image = with_fields(image, encoding.metadata)
    pixel = encoding.channels * encoding.dtype.itemsize
    options: dict[str, Any] = {
        "compression": "deflate",
        "level": 1,
        "predictor": "float" if encoding.dtype.name == "float32" else "horizontal",
        "bigtiff": encoding.width * encoding.height * pixel > _CLASSIC_TIFF,
        "keep": "icc|xmp",
    }
    head = 16 if options["bigtiff"] else 8
    described, note = exif_to_write(encoding, output.notes, head)
    gap = (note.at + len(note.data) - head + 15) // 16 * 16 if note else 0

    def seen(file: BinaryIO) -> BinaryIO:
        return cast("BinaryIO", GapFile(file, head, gap)) if gap else file

    def complete(file: BinaryIO) -> None:
        add_metadata(file, seen(file), encoding.metadata, described, gap)
        if note is not None:
            write_at(file, note.at, note.data)

    if encoding.pyramid:
        tiles = {"tile": True, "tile_width": _TILE, "tile_height": _TILE}
        options |= {"pyramid": True, "bigtiff": True, **tiles}
        # By its name: only then does libvips keep the smaller copies in files, not in memory. As
        # bytes: a name need not be text.
        image.tiffsave(os.fsencode(output.path), **options)
        complete(output.file)
        return
    with output.seekable_target(seen, complete) as target:
        image.tiffsave_target(target, **options)


TIFF = Format(
    name="tiff",
    label="TIFF",
    media_type="image/tiff",
    suffixes=(".tif", ".tiff"),
    recognizes=begins_with(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    read=read_tiff,
    writer=Writer(
        encode=encode_tiff,
        content=Content(
            depths=("uint8", "uint16", "float32"),
            alpha=True,
            metadata=frozenset({"icc", "exif", "xmp", "iptc", "text", "density", "aspect", "geo"}),
        ),
        max_side=2**31 - 1,
        bytes_per_value=1.1,
        # Up to 32,768 wide, 490 rows more than for PNG were measured.
        pyramid_memory=EncoderMemory(rows=600),
    ),
)
