"""A picture written while it is made: rows in, a whole file out, or nothing.

The encoder (libvips) runs in a thread of its own and takes rows as they come; at most one band
waits and one is being encoded. A file appears under its name only when all of it is on the disk.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import EnlargeError, OptionError, OutputError
from enlarge.media import embedding
from enlarge.media.feeding import Feed
from enlarge.media.formats import (
    FORMATS,
    WRITABLE,
    ZOOMS,
    Format,
    check_output,
    encoder_bytes,
    estimate_bytes,
    format_of,
)
from enlarge.media.libvips import FileCallbacks, explain, prepare
from enlarge.media.metadata import Keep, Metadata, for_result
from enlarge.media.provenance import with_provenance
from enlarge.media.temporary import TemporaryFile
from enlarge.media.zooming import Zoom

__all__ = [
    "FORMATS",
    "PictureSpec",
    "Sink",
    "WriteOptions",
    "check_output",
    "create_picture",
    "encoder_bytes",
    "estimate_bytes",
    "format_of",
]

_TILE = 256
_CLASSIC_TIFF = 4_000_000_000
"""Above this many bytes of pixels a TIFF is a BigTIFF: offsets of 32 bits end at 4.29e9."""


PNG_LEVEL, PNG_FILTER = 2, "up"
# Measured at 2048² (12.6 MB raw; libvips' zlib-ng; one core of a Zen 4, seconds of CPU), bytes as a
# share of the raw ones, on three photographs enlarged ×4 and on one at 1:1 that is full of grain:
#                  level 1, up      level 2, up      level 2, paeth   level 3, up     level 6, up
#   SafeLanding    0.51  0.064 s    0.34  0.100 s    0.33  0.148 s    0.32  0.116 s   0.29  0.384 s
#   Volna          0.24  0.042 s    0.14  0.065 s    0.14  0.106 s    0.13  0.074 s   0.11  0.254 s
#   Honeywave      0.19  0.037 s    0.12  0.052 s    0.12  0.080 s    0.11  0.066 s   0.10  0.194 s
#   grain, 1:1     0.92  0.127 s    0.73  0.201 s    0.74  0.236 s    0.72  0.217 s   0.72  0.219 s
# Level 2 takes a third less room than level 1 for 0.03 s; level 6 a sixth less again, for four
# times the time. `fast` itself needs about 0.3 s of two cores for these pixels.


@dataclass(frozen=True)
class PictureSpec:
    """The size and the pixels of a picture to be written: `channels` 1 to 4 (gray, gray + alpha,
    RGB, RGB + alpha; alpha straight) of `dtype` uint8, uint16, or float32 in [0, 1].
    """

    width: int
    height: int
    channels: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class WriteOptions:
    """How a picture is written.

    `format`: a key of `WRITABLE`. `quality`: 1 to 100, for JPEG, WebP and AVIF (None: the format's
    default); 100 is lossless in the last two, and in DeepZoom, where it is the default. `keep`:
    which metadata of the source is kept ("none" keeps the colour profile, without which colours
    would change). `pyramid`: write a tiled BigTIFF that also holds smaller copies, each half the
    size of the one before (TIFF files only).
    """

    format: str
    quality: int | None = None
    keep: Keep = "keep"
    pyramid: bool = False


def to_depth(band: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The band in another depth: full range to full range, rounded to the nearest level."""
    out: NDArray[Any] = band
    if band.dtype == dtype:
        pass
    elif dtype == np.float32:
        out = band.astype(np.float32) / np.float32(np.iinfo(band.dtype).max)
    elif band.dtype == np.float32:
        levels = np.float32(np.iinfo(dtype).max)
        out = (np.clip(band, 0.0, 1.0) * levels + np.float32(0.5)).astype(dtype)
    elif dtype == np.uint8:  # equals round(v / 257) for every v
        out = ((band.astype(np.uint32) * 255 + 32_895) >> 16).astype(np.uint8)
    else:
        out = band.astype(np.uint16) * np.uint16(257)
    return out


def over_white(band: NDArray[Any]) -> NDArray[Any]:
    """Straight alpha composited over white, in the picture's own encoding; alpha is gone."""
    out: NDArray[Any]
    if band.dtype == np.float32:
        alpha = band[..., -1:]
        out = band[..., :-1] * alpha + (np.float32(1.0) - alpha)
        return out
    top = int(np.iinfo(band.dtype).max)
    wide: NDArray[Any] = band.astype(np.uint32 if band.dtype == np.uint8 else np.uint64)
    alpha = wide[..., -1:]
    out = (wide[..., :-1] * alpha + top * (top - alpha) + top // 2) // top
    return out.astype(band.dtype)


class _Output(FileCallbacks):
    """What libvips writes to: a file or a stream, with the metadata put in on the way.

    A callback's exception would be swallowed: it is kept in `failure`.
    """

    def __init__(self, file: BinaryIO, format: str, insert: bytes) -> None:  # noqa: A002
        super().__init__(file)
        self.collected: bytearray | None = bytearray() if format == "webp" else None
        self._format = format
        self._insert = insert
        self._head: bytes | None = b"" if insert else None

    def target(self) -> pyvips.Target:
        """A target for one of libvips' savers. Keep the reference while it is written to."""
        target = pyvips.TargetCustom()
        target.on_write(self._write)
        if self._format == "tiff":
            target.on_read(self._read)
            target.on_seek(self._seek)
        return target

    def _write(self, data: Any) -> int:
        try:
            size = len(data)
            self._take(bytes(data))
        except BaseException as error:  # libvips would swallow it
            self.failure = error
            return -1
        return size

    def _take(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            placed = embedding.with_insert(self._format, self._head, self._insert)
            if placed is None:
                return
            data, self._head = placed, None
        if self.collected is not None:
            self.collected += data
        else:
            write_all(self._file, data)


def write_all(file: BinaryIO, data: bytes | bytearray | memoryview) -> None:
    """Write everything, where a raw file may take less at a time."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]


class Sink:
    """A picture being written. Made by `create_picture`; use it in `with`, and `finish` it.

    `notes`: one line for each thing that the format cannot hold.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        entry: Format,
        spec: PictureSpec,
        options: WriteOptions,
        metadata: Metadata,
        notes: list[str],
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self.notes = notes
        self._pyramid = options.pyramid
        self._entry = entry
        self._width, self._height = spec.width, spec.height
        self._channels_in, self._dtype_in = channels, dtype = spec.channels, spec.dtype
        self._flatten = channels in (2, 4) and not entry.alpha
        self._channels = channels - 1 if self._flatten else channels
        self._dtype = _depth_for(entry, dtype)
        self._quality = options.quality if options.quality is not None else entry.quality
        self._metadata = metadata
        self._rows = 0
        self._name = str(target) if isinstance(target, Path) else _stream_name(target)
        self._stream = None if isinstance(target, Path) else target
        self._temporary: TemporaryFile | Zoom | None = None
        if isinstance(target, Path):
            is_zoom = entry.name in ZOOMS
            self._temporary = (
                Zoom(target, entry.name, provenance) if is_zoom else TemporaryFile(target)
            )
        self._done = False
        self._error: BaseException | None = None
        self._output: _Output | None = None
        self._feed = Feed(self._width, self._height, self._channels, self._dtype)
        # A daemon: a caller that dies without `abort` must not hang at the end of Python.
        self._thread = threading.Thread(target=self._encode, name="enlarge-write", daemon=True)
        self._thread.start()

    def write(self, rows: NDArray[Any], *, copy: bool = True) -> None:
        """The next rows, (n, width, channels) in the dtype that was announced.

        Waits while another band waits. `copy=False`: the array will not be changed afterwards.
        Raises `OutputError`.
        """
        if rows.ndim == 2:
            rows = rows[:, :, None]
        expected = (self._width, self._channels_in)
        if rows.shape[1:] != expected or rows.dtype != self._dtype_in:
            raise ValueError(
                f"expected rows (n, {expected[0]}, {expected[1]}) of {self._dtype_in}, "
                f"got {rows.shape} of {rows.dtype}"
            )
        if self._rows + len(rows) > self._height:
            raise ValueError(f"{self._rows + len(rows)} rows for a picture of {self._height}")
        if self._done:
            raise ValueError("the picture is finished or aborted already")
        if not len(rows):
            return
        band = over_white(rows) if self._flatten else rows
        band = np.ascontiguousarray(to_depth(band, self._dtype))
        if copy and np.may_share_memory(band, rows):
            band = band.copy()
        self._rows += len(rows)
        if not self._feed.put(band):
            self._thread.join()
            raise self._failure()

    def finish(self, seal: Callable[[BinaryIO], None] | None = None) -> None:
        """Wait for the encoder and make the file appear. Raises `OutputError`; then nothing did.

        `seal` is given the whole file before it appears; what it raises prevents that.
        """
        if self._done:
            return
        if self._rows != self._height:
            self.abort()
            raise ValueError(f"{self._rows} rows were written of {self._height}")
        self._thread.join()
        if self._error is not None:
            raise self._failure()
        self._done = True
        self._feed.close()
        if self._temporary is not None:
            self._temporary.finish(seal)

    def abort(self) -> None:
        """Stop the encoder and remove what was written. Does nothing after `finish`."""
        if self._done:
            return
        self._done = True
        self._feed.close()
        self._thread.join()
        if self._temporary is not None:
            self._temporary.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _failure(self) -> BaseException:
        """Clean up; the error to raise."""
        error = self._error
        assert error is not None
        self.abort()
        if isinstance(error, EnlargeError):
            return error
        if isinstance(error, OSError):
            failure = OutputError(f"{self._name}: cannot be written: {error.strerror or error}")
        elif isinstance(error, pyvips.Error):
            failure = OutputError(f"{self._name}: cannot be written: {explain(error)}")
        else:
            return error
        failure.__cause__ = error
        return failure

    def _encode(self) -> None:
        """The encoder's thread."""
        try:
            self._save()
        except BaseException as error:
            kept = self._output.failure if self._output is not None else None
            self._error = kept or self._feed.failure or error
        else:
            kept = self._output.failure if self._output is not None else None
            self._error = kept or self._feed.failure
        finally:
            self._feed.close()

    def _save(self) -> None:
        image = self._feed.image()
        if isinstance(self._temporary, Zoom):
            assert self._quality is not None
            image = embedding.with_fields(image, self._metadata, exif=False)
            self._temporary.save(image, self._quality)
            return
        if self._entry.name == "tiff":
            self._save_tiff(image)
            return
        insert = b""
        if self._entry.name == "png":
            insert = embedding.png_insert(self._metadata)
        elif self._entry.name == "jpeg":
            insert = embedding.jpeg_insert(self._metadata, self.notes)
        file = self._stream if self._temporary is None else self._temporary.file
        assert file is not None
        self._output = output = _Output(file, self._entry.name, insert)
        # Kept in a local: libvips calls into it even when Python has no other reference.
        target = output.target()
        image = embedding.with_fields(image, self._metadata, exif=self._entry.name == "avif")
        quality = self._quality
        match self._entry.name:
            case "png":
                image.pngsave_target(target, compression=PNG_LEVEL, filter=PNG_FILTER, keep="icc")
            case "jpeg":
                # `optimize_coding` would keep the whole picture's coefficients in memory.
                image.jpegsave_target(target, Q=quality, subsample_mode="off", keep="icc|iptc")
            case "webp":
                lossless = quality == 100
                image.webpsave_target(
                    target,
                    lossless=lossless,
                    exact=lossless,
                    smart_subsample=not lossless,
                    effort=2,
                    keep="icc",
                    **({} if lossless else {"Q": quality}),
                )
            case "avif":
                # Asked to keep EXIF, libvips invents some where there is none.
                kept = ["icc", *sorted({"exif", "xmp"} & self._metadata.names())]
                if self._metadata.exif and not embedding.fits_a_segment(self._metadata.exif):
                    kept.remove("exif")
                    size = f"{len(self._metadata.exif):,} bytes"
                    self.notes.append(f"the EXIF data ({size}) are too long for AVIF, and left out")
                image.heifsave_target(
                    target,
                    compression="av1",
                    Q=quality,
                    lossless=quality == 100,
                    bitdepth=8 if self._dtype == np.uint8 else 10,
                    subsample_mode="off",
                    effort=2,
                    keep="|".join(kept),
                )
        if output.collected is not None:
            write_all(
                file,
                embedding.webp_with(
                    bytes(output.collected),
                    self._metadata,
                    self._width,
                    self._height,
                    alpha=self._channels in (2, 4),
                ),
            )
        if self._stream is not None:
            self._stream.flush()

    def _save_tiff(self, image: pyvips.Image) -> None:
        """TIFF is written with seeks: straight into the file, or through one for a stream."""
        image = embedding.with_fields(image, self._metadata, exif=False)
        if self._metadata.text:
            text = "\n".join(f"{key}: {value}" for key, value in self._metadata.text)
            image.set_type(pyvips.GValue.gstr_type, "image-description", text)
        pixels = self._width * self._height * self._channels * self._dtype.itemsize
        options: dict[str, Any] = {
            "compression": "deflate",
            "level": 1,
            "predictor": "float" if self._dtype == np.float32 else "horizontal",
            "bigtiff": pixels > _CLASSIC_TIFF,
            "keep": "icc|xmp|iptc|other",
        }
        if self._pyramid:
            assert isinstance(self._temporary, TemporaryFile)
            tiles = {"tile": True, "tile_width": _TILE, "tile_height": _TILE}
            options |= {"pyramid": True, "bigtiff": True, **tiles}
            # By its name: only then libvips keeps the smaller copies in files, not in memory.
            image.tiffsave(str(self._temporary.path), **options)
            return
        file: Any = (
            tempfile.TemporaryFile(prefix="enlarge-", buffering=0)  # noqa: SIM115
            if not isinstance(self._temporary, TemporaryFile)
            else self._temporary.file
        )
        self._output = output = _Output(file, "tiff", b"")
        target = output.target()  # kept in a local, as above
        image.tiffsave_target(target, **options)
        if self._stream is not None:
            with file:
                file.seek(0)
                shutil.copyfileobj(file, self._stream, 1 << 20)
            self._stream.flush()


def _stream_name(stream: BinaryIO) -> str:
    name = getattr(stream, "name", None)
    return "standard output" if name == "<stdout>" or not isinstance(name, str) else name


def _depth_for(entry: Format, dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.name in entry.depths:
        return dtype
    deep = {"uint16", "uint10"} & set(entry.depths)
    return np.dtype(np.uint16 if deep else np.uint8)


def _limits(entry: Format, channels: int, dtype: np.dtype[Any], metadata: Metadata) -> list[str]:
    """One line for each thing that the format cannot hold."""
    name = entry.name.upper()
    notes = []
    if channels in (2, 4) and not entry.alpha:
        notes.append(f"{name} holds no transparency: the picture is laid over white")
    if dtype.name not in entry.depths:
        bits = {"uint16": 16, "float32": 32}[dtype.name]
        held = 16 if "uint16" in entry.depths else 10 if "uint10" in entry.depths else 8
        notes.append(f"{name} holds {held} bits a channel: the {bits} bits are rounded")
    words = {
        "icc": "colour profile",
        "exif": "EXIF data",
        "xmp": "XMP data",
        "iptc": "IPTC data",
        "text": "texts",
        "density": "resolution",
    }
    gone = metadata.names() - entry.metadata
    if metadata.density and all(abs(value * 25.4 - 72) < 0.05 for value in metadata.density):
        gone -= {"density"}  # what libvips says where PNG and JPEG say nothing
    lost = [words[field] for field in words if field in gone]
    if lost:
        notes.append(f"{name} does not keep here: {', '.join(lost)}")
    return notes


def create_picture(
    target: Path | BinaryIO,
    spec: PictureSpec,
    options: WriteOptions,
    *,
    metadata: Metadata | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Sink:
    """Start writing a picture.

    `target`: a path, or a binary stream, which is written in order. `metadata`: the source's;
    `options.keep` says what of it is kept. `provenance`: how the result was made; it replaces what
    the source says about that. Raises `OptionError`, or `OutputError` if the format or the place
    cannot hold the picture; then nothing is left behind.
    """
    format, quality, pyramid = options.format, options.quality, options.pyramid  # noqa: A001
    entry = WRITABLE.get(format)
    if entry is None:
        raise OptionError(f"unknown format {format!r}: choose one of {', '.join(WRITABLE)}")
    if quality is not None and not 1 <= quality <= 100:
        raise OptionError(f"quality {quality} is not between 1 and 100")
    if quality is not None and entry.quality is None:
        raise OptionError(
            f"quality {quality} and {format} contradict each other: {format} loses nothing; leave "
            "it out, or take jpeg, webp or avif"
        )
    if pyramid and (format != "tiff" or not isinstance(target, Path)):
        where = format if isinstance(target, Path) else "a stream"
        raise OptionError(
            f"--pyramid and {where} contradict each other: only a .tif file holds one"
        )
    if format in ZOOMS:
        if not isinstance(target, Path):
            raise OptionError(f"{format} is not written to a stream; name a file")
        if quality is not None and quality < 100:  # tiles are JPEGs
            entry = replace(entry, depths=("uint8",), alpha=False)
    channels, dtype = spec.channels, np.dtype(spec.dtype)
    if dtype.name not in ("uint8", "uint16", "float32") or not 1 <= channels <= 4:
        raise ValueError(f"expected 1 to 4 channels of uint8, uint16 or float32, got {dtype}")
    check_output(format, spec.width, spec.height)
    prepare()
    kept = channels - 1 if channels in (2, 4) and not entry.alpha else channels
    made, notes = for_result(metadata or Metadata(), options.keep, spec.width, spec.height, kept)
    in_packet = None if format in ZOOMS else provenance
    made = with_provenance(made, in_packet, text=format == "png")
    notes += _limits(entry, channels, dtype, made)
    return Sink(target, entry, spec, options, made, notes, provenance)
