"""A picture file opened: its facts at once, its rows in order, in bounded memory.

Everything that can be read in order streams. What cannot (an orientation that turns; interlaced
PNG, progressive JPEG, WebP, AVIF and GIF, which their decoders hold whole) goes through memory or
a temporary file, whichever the caller's `memory` allows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import EnlargeError, InputError
from enlarge.media import bmp, plugins
from enlarge.media.embedding import png_texts
from enlarge.media.exif import orientation_of, without_prefix
from enlarge.media.formats import PIXELS_PER_BYTE, RAW, refusal, sniff
from enlarge.media.libvips import FileSource, explain, prepare
from enlarge.media.metadata import Metadata
from enlarge.media.provenance import KEY, provenance_of
from enlarge.media.rows import ArrayRows, Rows
from enlarge.media.tiff import rows_at_once
from enlarge.media.turning import (
    FileRows,
    MirroredRows,
    in_order,
    swaps_axes,
    turned_in_memory,
)

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_CHUNK_BYTES = 2 << 20
_BULKY = 64 << 20
"""Bytes that a TIFF's rows at a time may take and still count as nothing: the codecs' share."""
_NAMES = {"heic": "HEIC", "jxl": "JPEG XL", "jp2": "JPEG 2000", "webp": "WebP"}


class Buffering(Enum):
    """Where a picture's pixels are put before its rows are read: nowhere, as they stream from the
    file in order, or all of them in memory or in a temporary file.
    """

    NONE = "stream"
    MEMORY = "memory"
    FILE = "file"


@dataclass(frozen=True)
class Facts:
    """What a picture is, before its pixels are read.

    `width`, `height`, `channels` (1 gray, 2 gray + alpha, 3 RGB, 4 RGB + alpha) and `dtype` are
    those of the rows: orientation applied, palettes expanded, CMYK converted. `orientation` is the
    one found (1 to 8). `kind` says how the file stores colour.

    `in_order`: it streams, from the top to the bottom. If not: `decode_bytes` is what the decoder
    itself takes while it works; `memory_bytes` the peak if the picture is held in memory (the
    decoder included); `disk_bytes` the temporary file if it is not (then the decoder's memory is
    free again before the first row is given). Estimates, rounded up.
    """

    format: str
    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]
    orientation: int
    kind: str
    icc: bytes | None
    metadata: frozenset[str]
    density: tuple[float, float] | None
    pages: int
    in_order: bool
    decode_bytes: int
    memory_bytes: int
    disk_bytes: int
    notes: tuple[str, ...]

    def buffering(self, memory: int | None) -> Buffering:
        """How the picture is buffered within `memory` bytes (None: as many as it takes)."""
        if self.in_order:
            return Buffering.NONE
        fits = memory is None or self.memory_bytes <= memory
        return Buffering.MEMORY if fits else Buffering.FILE


class Picture:
    """An opened picture, a context manager. `facts`, `metadata` (for the sink), and once `rows`."""

    def __init__(
        self,
        name: str,
        facts: Facts,
        metadata: Metadata,
        stored: Rows,
        holds_whole: bool,
        memory: int | None,
        scratch: Path | None,
    ) -> None:
        self.name = name
        self.facts = facts
        self.metadata = metadata
        self._stored: Rows | None = stored
        self._given: Rows | None = None
        self._holds_whole = holds_whole
        self._memory = memory
        self._scratch = scratch

    def buffering(self, memory: int | None = None) -> Buffering:
        """How the picture is buffered within `memory` bytes (default: as given when opened)."""
        return self.facts.buffering(self._memory if memory is None else memory)

    def rows(self, *, memory: int | None = None) -> Rows:
        """The rows, upright; once. What does not stream is decoded now.

        `memory` overrides what `open_picture` was given. Raises `InputError`, `OutputError` (no
        place for the temporary file).
        """
        if self._stored is None:
            raise ValueError("the rows of a picture are read once; open it again")
        stored, self._stored = self._stored, None
        orientation = self.facts.orientation
        try:
            if self.buffering(memory) is Buffering.FILE:
                self._given = FileRows(stored, orientation, self._scratch)
            elif not in_order(orientation):
                self._given = turned_in_memory(stored, orientation)
            elif orientation == 2:
                self._given = MirroredRows(stored)
            else:
                self._given = stored
        except BaseException:
            stored.close()
            raise
        return self._given

    def close(self) -> None:
        """Let go of the file, and of the rows."""
        for rows in (self._stored, self._given):
            if rows is not None:
                rows.close()
        self._stored = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _VipsRows:
    """A libvips image's rows. Integers as they are; floats clamped to [0, 1]."""

    def __init__(
        self,
        image: pyvips.Image,
        name: str,
        what: str,
        file: BinaryIO,
        source: FileSource | None,
    ) -> None:
        self.width, self.height, self.channels = image.width, image.height, image.bands
        self.dtype: np.dtype[Any] = np.dtype(_DTYPES[image.format])
        self._image: pyvips.Image | None = image
        self._name, self._what = name, what
        self._file, self._source = file, source  # kept for as long as libvips may read
        self._next = 0
        bits = image.get("bits-per-sample") if image.get_typeof("bits-per-sample") else 0
        # libvips leaves the low bits of 10- and 12-bit AVIF empty: white would not be white.
        self._fill = bits if self.dtype == np.uint16 and 8 < bits < 16 else 0

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        count = min(count, self.height - self._next)
        band = np.empty((count, self.width, self.channels), self.dtype)
        if self._image is None:
            raise ValueError("these rows are closed")
        each = max(1, _CHUNK_BYTES // max(1, band[:1].nbytes)) if count else 1
        try:
            # A region of its own for every read: regions belong to the thread that made them.
            region = pyvips.Region.new(self._image)
            for start in range(0, count, each):
                n = min(each, count - start)
                data = region.fetch(0, self._next, self.width, n)
                values = np.frombuffer(data, self.dtype)
                band[start : start + n] = values.reshape(n, *band.shape[1:])
                self._next += n
        except pyvips.Error as error:
            failure = self._source.failure if self._source is not None else None
            if isinstance(failure, OSError):
                raise InputError(f"{self._name}: cannot be read: {failure.strerror}") from failure
            raise InputError(
                f"{self._name}: this {self._what} is cut off or damaged after row {self._next} of "
                f"{self.height} ({explain(error)}); copy or download it again"
            ) from error
        if self._fill:
            band |= band >> np.uint16(self._fill)
        elif self.dtype == np.float32:
            np.clip(np.nan_to_num(band, copy=False, nan=0.0), 0.0, 1.0, out=band)
        return band

    def close(self) -> None:
        """Let libvips free the image."""
        self._image = None
        self._file.close()


class _PluginRows:
    """A picture that Pillow decodes, whole, at the first read."""

    def __init__(self, image: Any, name: str, file: BinaryIO) -> None:
        self.width, self.height = image.size
        self.channels, self.dtype = plugins.shape_of(image)
        self._image = image
        self._name = name
        self._file = file
        self._rows: ArrayRows | None = None

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        if self._rows is None:
            try:
                self._rows = ArrayRows(plugins.pixels(self._image))
            except InputError as error:
                raise InputError(f"{self._name}: {error}") from error
            self._image.close()
        return self._rows.read(count)

    def close(self) -> None:
        """Free the picture."""
        self._rows = None
        self._file.close()


def open_picture(
    source: Path | bytes | BinaryIO,
    *,
    memory: int | None = None,
    scratch: Path | None = None,
) -> Picture:
    """Open a picture and read its header.

    `source`: a path, a file's bytes, or a binary stream (copied to a temporary file, unless its
    `held_at` says in which one it lies). `memory`:
    the bytes that a picture which cannot be read in order may take; without it, as many as it
    wants. `scratch`: the folder for temporary files, else the system's.
    Raises `InputError`: "PATH: what was found; what to do".
    """
    prepare()
    name = _name_of(source)
    try:
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(_as_file(source, scratch))
            picture = _open(file, name, memory, scratch)
            undo.pop_all()  # from here on the picture owns the file
            return picture
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(f"{name}: ") else f"{name}: {text}") from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error


def _name_of(source: Path | bytes | BinaryIO) -> str:
    if isinstance(source, Path):
        return str(source)
    if isinstance(source, bytes):
        return "picture in memory"
    stream = getattr(source, "name", None)
    return "standard input" if stream == "<stdin>" or not isinstance(stream, str) else stream


def _as_file(source: Path | bytes | BinaryIO, scratch: Path | None) -> BinaryIO:
    """The source as a seekable file of its own, at its start."""
    if isinstance(source, Path):
        file = source.open("rb")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        source = file
    held = getattr(source, "held_at", None)
    if isinstance(held, Path):  # a stream that is a file already needs no copy
        return held.open("rb")
    copy = tempfile.TemporaryFile(dir=scratch, prefix="enlarge-")  # noqa: SIM115
    try:
        if isinstance(source, bytes):
            copy.write(source)
        else:
            shutil.copyfileobj(source, copy, 1 << 20)
        copy.flush()
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def _open(file: BinaryIO, name: str, memory: int | None, scratch: Path | None) -> Picture:
    head = file.read(64)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        raise InputError("the file is empty; copy or download it again")
    form = sniff(head)
    if form is None:
        raise InputError(refusal(head))
    if form == "tiff" and Path(name).suffix.lower() in RAW:
        raise InputError("is a camera's raw file; develop it first, into a TIFF of 16 bits")
    if form == "bmp":
        return _open_bmp(file, name, memory, scratch)
    if form in plugins.INSTALLED_BY_EXTRA:
        return _open_plugin(file, name, form, memory, scratch)
    if form == "png":
        _check_png(head)
    return _open_vips(file, name, form, size, memory, scratch)


def _check_png(head: bytes) -> None:
    """Refuse a wrong header here: libvips says nothing at all about it."""
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise InputError("this PNG ends within its header; copy or download it again")
    width, height = struct.unpack_from(">II", head, 16)
    if not 0 < width < 1 << 31 or not 0 < height < 1 << 31:
        raise InputError(f"this PNG claims a size of {width}×{height}; it is damaged")


def _open_vips(
    file: BinaryIO, name: str, form: str, size: int, memory: int | None, scratch: Path | None
) -> Picture:
    what = _NAMES.get(form, form.upper())
    notes: list[str] = []
    text: list[tuple[str, str]] = []
    if form == "png":  # first: libpng unpacks them all
        text, whole_text = png_texts(file)  # libvips takes what is in Latin-1 for broken UTF-8
        if not whole_text:
            notes.append("of its texts, those beyond 4 MB are left out")
    try:
        image, source = _load(file, form)
        _check_claim(image.width, image.height, form, size)
        orientation = _orientation(image, form)
        metadata = _metadata(image, text if form == "png" else _description(image, notes))
        kind, pages = _kind(image), _pages(image)
        if pages > 1:
            unit = "frame" if form in ("gif", "webp", "avif") else "page"
            notes.append(f"has {pages} {unit}s: the first is taken")
        tall = max(256, rows_at_once(file, image.height)) if form == "tiff" else 64
        decode = _decoder_bytes(image, form, tall)
        interlaced = bool(_get(image, "interlaced"))
        upright = _converted(image, notes)
    except pyvips.Error as error:
        raise InputError(
            f"this {what} cannot be read ({explain(error)}); copy or download it again"
        ) from error
    if upright.interpretation != image.interpretation and _get(upright, "icc-profile-data"):
        metadata = Metadata(
            upright.get("icc-profile-data"), metadata.exif, metadata.xmp, metadata.iptc,
            metadata.text, metadata.density,
        )  # fmt: skip
    stored = _VipsRows(upright, name, what, file, source)
    whole = form in ("webp", "avif", "gif") or (interlaced and form in ("png", "jpeg"))
    whole |= form == "tiff" and tall > 256 and decode > _BULKY
    facts = _facts(form, stored, orientation, kind, metadata, pages, whole, decode, notes)
    return Picture(name, facts, metadata, stored, whole, memory, scratch)


def _load(file: BinaryIO, form: str) -> tuple[pyvips.Image, FileSource | None]:
    """The image, and what has to be kept while it is read."""
    options = {"access": "sequential", "fail_on": "error"}
    if form in ("webp", "gif", "avif"):  # these want the whole file at once: let libvips map it
        source = pyvips.Source.new_from_descriptor(file.fileno())
        loader = "heifload_source" if form == "avif" else f"{form}load_source"
        return getattr(pyvips.Image, loader)(source, **options), None
    kept = FileSource(file)
    # libvips' own limits stop large TIFFs, and PNGs with many texts: both are checked here instead.
    unlimited = form in ("tiff", "png")
    image = getattr(pyvips.Image, f"{form}load_source")(kept.source, unlimited=unlimited, **options)
    return image, kept


def _get(image: pyvips.Image, field: str) -> Any:
    return image.get(field) if image.get_typeof(field) else None


def _check_claim(width: int, height: int, form: str, size: int) -> None:
    """Refuse a header that claims more than a file of `size` bytes can hold."""
    if form in PIXELS_PER_BYTE and width * height > PIXELS_PER_BYTE[form] * size:
        raise InputError(
            f"this {form.upper()} claims {width:,}×{height:,} pixels, which {size:,} bytes cannot "
            "hold; it is cut off or made to do harm"
        )


def _orientation(image: pyvips.Image, form: str) -> int:
    if form == "avif":
        return 1  # libvips has turned it; the tag in EXIF is not to be applied again
    found = _get(image, "orientation")
    if found is None and form in ("png", "webp"):
        block = _get(image, "exif-data")
        found = orientation_of(without_prefix(block)) if block else 1
    return found if found in range(1, 9) else 1


def _description(image: pyvips.Image, notes: list[str]) -> list[tuple[str, str]]:
    """The text that another format than PNG has."""
    try:
        description = _get(image, "image-description")
    except UnicodeDecodeError:
        notes.append("a description that is not in UTF-8 is left out")
        return []
    return [("Description", str(description))] if description else []


def _metadata(image: pyvips.Image, text: Sequence[tuple[str, str]]) -> Metadata:
    block = _get(image, "exif-data")
    density = (image.xres, image.yres)
    return Metadata(
        icc=_get(image, "icc-profile-data"),
        exif=without_prefix(block) if block else None,
        xmp=_get(image, "xmp-data"),
        iptc=_get(image, "iptc-data"),
        text=tuple(text),
        # libvips says 1 pixel per millimetre where the file says nothing.
        density=density if density != (1.0, 1.0) and min(density) > 0 else None,
    )


def _pages(image: pyvips.Image) -> int:
    return int(_get(image, "n-pages") or 1)


def _kind(image: pyvips.Image) -> str:
    """How the file stores colour, in a word."""
    if _get(image, "palette"):
        return "palette"
    bits = _get(image, "bits-per-sample")
    if bits == 1:
        return "1-bit"
    names = {"b-w": "gray", "grey16": "gray", "srgb": "RGB", "rgb16": "RGB", "scrgb": "RGB"}
    return names.get(image.interpretation, str(image.interpretation).upper())


def _decoder_bytes(image: pyvips.Image, form: str, rows: int) -> int:
    """What the decoder takes at its peak, beside the rows that it gives."""
    pixels: int = image.width * image.height
    bands: int = image.bands
    item = np.dtype(_DTYPES.get(image.format, np.float32)).itemsize
    if form == "jpeg" and _get(image, "interlaced"):
        # All coefficients, 16 bits each; two chroma planes of a quarter, or whole ones.
        halved = str(_get(image, "jpeg-chroma-subsample") or "").startswith("4:2:0")
        planes = bands if bands != 3 else 1.5 if halved else 3
        return int(pixels * 2 * planes) + (16 << 20)
    if form == "png" and _get(image, "interlaced"):
        return pixels * bands * item + (8 << 20)
    if form == "webp":
        return pixels * 4 * 2 + (8 << 20)
    if form == "gif":
        return pixels * 4 * 3 + (8 << 20)
    if form == "avif":
        return pixels * 4 * item * 3 + (32 << 20)
    return int(image.width) * bands * item * rows


def _converted(image: pyvips.Image, notes: list[str]) -> pyvips.Image:
    """The image in gray or RGB, with or without alpha. Raises `InputError`, `pyvips.Error`."""
    space = image.interpretation
    if image.format not in _DTYPES:
        raise InputError(
            f"its pixels are of the type {image.format}, which is not read; "
            "save it with 8 or 16 bits a channel, or as float"
        )
    if space == "cmyk":
        deep = image.format == "ushort"
        image = image.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk",
            intent="relative",
            black_point_compensation=True,
            depth=16 if deep else 8,
        )
        notes.append("CMYK is converted to sRGB")
    elif space in ("lab", "labs", "labq", "lch", "xyz", "hsv", "yxy", "cmc"):
        notes.append(f"{space.upper()} is converted to sRGB")
        image = image.colourspace("rgb16" if image.format == "ushort" else "srgb")
    elif image.format == "float":
        notes.append("float values are taken as 0 to 1, and clamped to that")
    if not 1 <= image.bands <= 4:
        raise InputError(
            f"it has {image.bands} channels; gray or RGB, with or without alpha, is read"
        )
    return image


def _facts(
    form: str,
    stored: Rows,
    orientation: int,
    kind: str,
    metadata: Metadata,
    pages: int,
    whole: bool,
    decode: int,
    notes: list[str],
) -> Facts:
    width, height = stored.width, stored.height
    if swaps_axes(orientation):
        width, height = height, width
    streams = in_order(orientation) and not whole
    pixels = width * height * stored.channels * stored.dtype.itemsize
    held = 0 if in_order(orientation) else pixels
    return Facts(
        format=form,
        width=width,
        height=height,
        channels=stored.channels,
        dtype=stored.dtype,
        orientation=orientation,
        kind=kind,
        icc=metadata.icc,
        metadata=metadata.names(),
        density=metadata.density,
        pages=pages,
        in_order=streams,
        decode_bytes=decode,
        memory_bytes=decode + held,
        disk_bytes=0 if streams else pixels,
        notes=tuple(notes),
    )


def _open_bmp(file: BinaryIO, name: str, memory: int | None, scratch: Path | None) -> Picture:
    header = bmp.read_header(file)
    stored = bmp.BmpRows(file, header)
    metadata = Metadata(icc=header.icc, density=header.density)
    kind = "palette" if header.palette is not None else "RGB"
    facts = _facts("bmp", stored, 1, kind, metadata, 1, False, header.stride * 64, [])
    return Picture(name, facts, metadata, stored, False, memory, scratch)


def _open_plugin(
    file: BinaryIO, name: str, form: str, memory: int | None, scratch: Path | None
) -> Picture:
    head = file.read(1 << 16)
    file.seek(0)
    image = plugins.open_plugin(file, form)
    stored = _PluginRows(image, name, file)
    metadata, orientation = plugins.metadata_of(image)
    pixels = stored.width * stored.height * stored.channels * stored.dtype.itemsize
    decode, notes = 3 * pixels + (32 << 20), plugins.notes_of(image, form, head)
    facts = _facts(form, stored, orientation, image.mode, metadata, 1, True, decode, notes)
    return Picture(name, facts, metadata, stored, True, memory, scratch)


def describe(source: Path | bytes | BinaryIO) -> dict[str, Any]:
    """What `enlarge inspect` says about a picture, as plain values. Raises `InputError`."""
    with open_picture(source) as picture:
        facts, metadata = picture.facts, picture.metadata
    dpi = [round(value * 25.4, 2) for value in facts.density] if facts.density else None
    return {
        "format": facts.format,
        "width": facts.width,
        "height": facts.height,
        "channels": facts.channels,
        "depth": facts.dtype.name,
        "kind": facts.kind,
        "orientation": facts.orientation,
        "pages": facts.pages,
        "profile": profile_name(facts.icc) if facts.icc else None,
        "dpi": dpi,
        "metadata": sorted(facts.metadata),
        "text": {key: value for key, value in metadata.text if key != KEY},
        "provenance": provenance_of(metadata),
        "streams": facts.in_order,
        "notes": list(facts.notes),
    }


def profile_name(icc: bytes) -> str:
    """The description in an ICC profile, "unnamed" where it has none (ICC.1:2022, 9.2)."""
    with contextlib.suppress(struct.error, UnicodeDecodeError, EnlargeError):
        for at in range(132, 132 + 12 * min(struct.unpack_from(">I", icc, 128)[0], 100), 12):
            tag, offset, size = struct.unpack_from(">4sII", icc, at)
            data = icc[offset : offset + size]
            if tag == b"desc" and data[:4] == b"desc":
                return data[12 : 12 + struct.unpack_from(">I", data, 8)[0]].decode().rstrip("\0")
            if tag == b"desc" and data[:4] == b"mluc":
                length, start = struct.unpack_from(">II", data, 20)
                return data[start : start + length].decode("utf-16-be").rstrip("\0")
    return "unnamed"
