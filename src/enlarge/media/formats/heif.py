"""AVIF, through libvips, and HEIC, through Pillow: HEIF files (ISO/IEC 23008-12) of two codecs.

Decoders and encoder hold the whole picture.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.errors import InputError
from enlarge.media.formats.format import Content, EncoderMemory, Format, Writer

if TYPE_CHECKING:
    import pyvips

    from enlarge.media.formats.heif_boxes import BoxFacts
    from enlarge.media.output import Encoding, Output
    from enlarge.media.stored import Pages, PictureFile, StoredPicture

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"})


def _brands(head: bytes) -> set[bytes]:
    """The brands in a file type box at the beginning of a file; none if there is no such box."""
    if head[4:8] != b"ftyp":
        return set()
    return {head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))}


def read_avif(source: PictureFile) -> StoredPicture:
    """Open an AVIF. Raises `InputError` (without its name)."""
    from enlarge.media.decoding import libvips_errors, load_mapped
    from enlarge.media.formats.heif_boxes import read_boxes
    from enlarge.media.formats.heif_sequence import sequence_length
    from enlarge.media.stored import choose_page

    with libvips_errors("AVIF"):
        length = sequence_length(source.file)
        if length > 1 and source.page is not None:
            facts, pages = read_boxes(source.file), choose_page(source.page, length, word="frame")
            still = load_mapped(replace(source, page=None), "AVIF", "heifload_source", "picture")
            bits = int(still.field("bits-per-sample") or 8)
            source.file.seek(0)
            frame = _read_avif_frame(source, pages, bits)
            return _with_boxes(frame, facts)
        loaded = load_mapped(source, "AVIF", "heifload_source", "picture")
        pages = choose_page(None, length, word="frame") if length > 1 else loaded.pages
        facts = read_boxes(source.file, loaded.pages.number, loaded.pages.count)
        picture = loaded.stored(
            streams=False,
            decoder_bytes=loaded.width * loaded.height * 4 * loaded.sample_bytes * 3 + (32 << 20),
            orientation=1,  # libvips has applied it; the one in EXIF must not be applied again
            pages=pages,
        )
        return _with_boxes(picture, facts)


def _read_avif_frame(source: PictureFile, pages: Pages, bits: int) -> StoredPicture:
    """A frame of a sequence, through Pillow: libvips reads only the still picture beside it, which
    has so many `bits` in a sample.
    """
    from enlarge.media.pillow import import_plugin, open_image, stored

    import_plugin("PIL.AvifImagePlugin", "AVIF")
    start = source.file.read(12)
    # Of files of which another brand comes first, Pillow reads the still picture too.
    data = start[:8] + b"avis" + source.file.read()
    source.file.close()
    sequence = replace(source, file=io.BytesIO(data))
    image = open_image(sequence, "AVIF")
    image.seek(pages.number - 1)
    found = stored(image, sequence, "AVIF", bits=bits, pages=pages)
    return replace(found, decoder_bytes=found.decoder_bytes + 2 * len(data))


def read_heic(source: PictureFile) -> StoredPicture:
    """Open a HEIC. Raises `InputError` (without its name)."""
    from enlarge.media.formats.heif_boxes import read_boxes
    from enlarge.media.formats.heif_sequence import sequence_length
    from enlarge.media.pillow import HeifPage, import_plugin, open_image, stored
    from enlarge.media.stored import choose_page

    plugin = import_plugin("pillow_heif", "HEIC")
    plugin.register_heif_opener()
    length = sequence_length(source.file)
    extract = f"mkdir frames, then ffmpeg -i {Path(source.name).name} frames/%06d.png"
    if length > 1 and source.page is not None:
        raise InputError(
            f"this HEIC is a sequence of {length} frames, of which only the still picture can be "
            f"read; extract its frames first: {extract}"
        )
    try:
        image = open_image(source, "HEIC")
    except InputError as error:
        if length < 2:
            raise
        raise InputError(
            f"this HEIC is a sequence of {length} frames without a still picture that can be read; "
            f"extract its frames first: {extract}"
        ) from error
    main, count = image.tell() + 1, image.n_frames
    pages = choose_page(source.page, count, word="picture", main=main)
    number = pages.number
    # The decoder applies the orientation of the file's own header; EXIF repeats it.
    upright = image.format == "HEIF"
    if length > 1:
        pages = choose_page(None, length, word="frame")
    if upright and (number != main or image.info.get("bit_depth", 8) > 8):
        source.file.seek(0)
        # Pillow's own images would hold 8 bits.
        image = HeifPage(plugin.open_heif(source.file, convert_hdr_to_8bit=False)[number - 1])
    elif number != main:
        image.seek(number - 1)
    bits = image.info.get("bit_depth", 8)
    facts = read_boxes(source.file, number, count)
    picture = stored(image, source, "HEIC", bits=bits, upright=upright, pages=pages)
    return _with_boxes(picture, facts)


def _with_boxes(picture: StoredPicture, facts: BoxFacts) -> StoredPicture:
    """The picture, with what the decoder does not say of it."""
    from enlarge.media.formats.gain_map import NOTE

    notes = [*picture.notes]
    notes += [NOTE] if facts.has_gain_map else []
    notes += ["the depth map is left out"] if facts.has_depth_map else []
    metadata = replace(picture.metadata, colour=facts.colour)
    return replace(picture, metadata=metadata, notes=tuple(notes))


def encode_avif(image: pyvips.Image, encoding: Encoding, output: Output) -> None:
    """Encode an AVIF with 4:4:4 colour, lossless at a quality of 100."""
    from enlarge.media.formats.heif_writing import with_colour, with_exif
    from enlarge.media.output import with_fields

    metadata = encoding.metadata
    image = with_fields(image, metadata)
    data: bytes = image.heifsave_buffer(
        compression="av1",
        Q=encoding.quality,
        lossless=encoding.quality == 100,
        bitdepth=8 if encoding.dtype == "uint8" else 10,
        subsample_mode="off",
        effort=2,
        keep="icc|xmp" if metadata.xmp else "icc",
    )
    if metadata.colour:
        data = with_colour(data, metadata.colour)
    output.write(with_exif(data, metadata.exif) if metadata.exif else data)


AVIF = Format(
    name="avif",
    label="AVIF",
    media_type="image/avif",
    suffixes=(".avif",),
    read_suffixes=(".avifs",),
    recognizes=lambda head: bool(_brands(head) & _AVIF_BRANDS),
    read=read_avif,
    writer=Writer(
        encode=encode_avif,
        content=Content(
            depths=("uint8", "uint10"),
            alpha=True,
            metadata=frozenset({"icc", "cicp", "mastering", "light", "exif", "xmp"}),
            gray_profile=False,  # libvips drops one, although it writes gray
        ),
        max_side=16_384,
        bytes_per_value=0.4,
        quality=90,
        # At 2400², 39 bytes a pixel were measured.
        memory=EncoderMemory(bytes_per_pixel=48, fixed=16 << 20),
    ),
)

HEIC = Format(
    name="heic",
    label="HEIC",
    media_type="image/heic",
    suffixes=(".heic", ".heif", ".hif"),
    read_suffixes=(".heics", ".heifs"),
    recognizes=lambda head: bool(_brands(head) & _HEIC_BRANDS),
    read=read_heic,
    needs_extra=True,
)
