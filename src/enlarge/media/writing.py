"""A picture written while it is made: rows in, a complete file out, or nothing.

The encoder (libvips) runs in a thread of its own and takes rows as they come; at most one band
waits and one is being encoded. A file appears under its name only when all of it is on the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import EnlargeError, OptionError, OutputError
from enlarge.forks import check_can_use
from enlarge.media.feeding import Feed
from enlarge.media.formats import FORMATS, WRITERS, check_output
from enlarge.media.formats.format import Content, Writer
from enlarge.media.libvips import disable_cache, explain
from enlarge.media.metadata.change import Change
from enlarge.media.metadata.metadata import Keep, Metadata, adapt_metadata
from enlarge.media.metadata.provenance import with_provenance
from enlarge.media.output import Destination, Encoding, Output
from enlarge.media.pixels import over_white, to_depth
from enlarge.media.temporary import TemporaryFile

ColourChoice = Literal["keep", "srgb"]

_DEPTHS = ("uint8", "uint16", "float32")
_BITS = {"uint8": 8, "uint10": 10, "uint16": 16, "float32": 32}
_METADATA_NAMES = {
    "icc": "colour profile",
    "exif": "EXIF data",
    "xmp": "XMP data",
    "iptc": "IPTC data",
    "text": "texts",
    "density": "resolution",
    "aspect": "aspect ratio of the pixels",
    "geo": "position on the map (GeoTIFF)",
    "cicp": "code points of its colour",
    "gamma": "gamma and chromaticities",
    "mastering": "mastering display",
    "light": "light level",
}


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

    `format`: a key of `WRITERS`. `quality`: 1 to 100, for JPEG, WebP and AVIF (None: the format's
    default); 100 is lossless in the last two, and in DeepZoom, where it is the default. `keep`:
    which metadata of the source is kept ("none" keeps the colour profile, without which colours
    would change). `pyramid`: write a tiled BigTIFF that also holds smaller copies, each half the
    size of the one before (TIFF files only). `colour`: whether the colours are kept as they are
    ("keep"), or converted to sRGB.
    """

    format: str
    quality: int | None = None
    keep: Keep = "keep"
    pyramid: bool = False
    colour: ColourChoice = "keep"


class Sink:
    """A picture being written. Made by `create_picture`; use it in `with`, and `finish` it.

    `notes`: one line for each thing that the format cannot hold.
    """

    def __init__(
        self,
        target: Path | BinaryIO,
        spec: PictureSpec,
        encoding: Encoding,
        writer: Writer,
        notes: list[str],
    ) -> None:
        self._spec, self._encoding, self._writer = spec, encoding, writer
        self._rows = 0
        self._done = False
        self._error: BaseException | None = None
        self._name = str(target) if isinstance(target, Path) else _stream_name(target)
        self._destination: Destination | None = None
        if isinstance(target, Path):
            create = writer.destination
            self._destination = create(target, encoding) if create else TemporaryFile(target)
        self._output = Output(
            self._destination, stream=None if isinstance(target, Path) else target, notes=notes
        )
        self._feed = Feed(encoding.width, encoding.height, encoding.channels, encoding.dtype)
        # A daemon: a caller that dies without `abort` must not hang at the end of Python.
        self._thread = threading.Thread(target=self._encode, name="enlarge-write", daemon=True)
        self._thread.start()

    @property
    def notes(self) -> list[str]:
        """A line for each thing that was left out or changed."""
        return self._output.notes

    def write(self, rows: NDArray[Any], *, copy: bool = True) -> None:
        """The next rows, (n, width, channels) in the dtype that was announced.

        Waits while another band waits. `copy=False`: the array will not be changed afterwards.
        Raises `OutputError`.
        """
        if rows.ndim == 2:
            rows = rows[:, :, None]
        spec = self._spec
        if rows.shape[1:] != (spec.width, spec.channels) or rows.dtype != spec.dtype:
            raise ValueError(
                f"expected rows (n, {spec.width}, {spec.channels}) of {spec.dtype}, "
                f"got {rows.shape} of {rows.dtype}"
            )
        if self._rows + len(rows) > spec.height:
            raise ValueError(f"{self._rows + len(rows)} rows for a picture of {spec.height}")
        if self._done:
            raise ValueError("the picture is finished or aborted already")
        if not len(rows):
            return
        band = over_white(rows) if self._encoding.channels < spec.channels else rows
        band = np.ascontiguousarray(to_depth(band, self._encoding.dtype))
        if copy and np.may_share_memory(band, rows):
            band = band.copy()
        self._rows += len(rows)
        if not self._feed.put(band):
            self._thread.join()
            raise self._failure()

    def finish(
        self, seal: Callable[[BinaryIO], None] | None = None, *, overwrite: bool = True
    ) -> None:
        """Wait for the encoder and make the file appear. Raises `OutputError`; then nothing did.

        `seal` is given the complete file before it appears; what it raises prevents that, and so
        does, without `overwrite`, a target that exists by then.
        """
        if self._done:
            return
        if self._rows != self._spec.height:
            self.abort()
            raise ValueError(f"{self._rows} rows were written of {self._spec.height}")
        self._thread.join()
        if self._error is not None:
            raise self._failure()
        self._done = True
        self._feed.close()
        if self._destination is not None:
            self._destination.finish(seal, overwrite=overwrite)

    def abort(self) -> None:
        """Stop the encoder and remove what was written. Does nothing after `finish`."""
        if self._done:
            return
        self._done = True
        self._feed.close()
        self._thread.join()
        if self._destination is not None:
            self._destination.abort()

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
        raised: BaseException | None = None
        try:
            image, profile = self._feed.image(), self._encoding.convert_from
            if profile is not None:
                from enlarge.media.converting import to_srgb

                image = to_srgb(image, profile)
            self._writer.encode(image, self._encoding, self._output)
            self._output.flush()
        except BaseException as error:
            raised = error
        finally:
            # What a callback raised is the reason for what libvips raised.
            self._error = self._output.failure or self._feed.failure or raised
            self._feed.close()


def _stream_name(stream: BinaryIO) -> str:
    name = getattr(stream, "name", None)
    return "standard output" if name == "<stdout>" or not isinstance(name, str) else name


def create_picture(
    target: Path | BinaryIO,
    spec: PictureSpec,
    options: WriteOptions,
    *,
    metadata: Metadata | None = None,
    change: Change | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Sink:
    """Start writing a picture.

    `target`: a path, or a binary stream, which is written in order. `metadata`: the source's;
    `options.keep` says what of it is kept, and `change` what became of the picture that it
    describes (None: it has the same size). `provenance`: how the result was made; it replaces what
    the source says about that. Raises `OptionError`, or `OutputError` if the format or the place
    cannot hold the picture; then nothing is left behind.
    """
    check_can_use("libvips", "writing a picture file")
    writer = _writer(target, options)
    content = writer.content_at(options.quality)
    channels, dtype = spec.channels, np.dtype(spec.dtype)
    if dtype.name not in _DEPTHS or not 1 <= channels <= 4:
        raise ValueError(f"expected 1 to 4 channels of uint8, uint16 or float32, got {dtype}")
    check_output(options.format, spec.width, spec.height)
    disable_cache()
    if channels in (2, 4) and not content.alpha:
        channels -= 1
    change = replace(
        change or Change(spec.width, spec.height), media_type=FORMATS[options.format].media_type
    )
    kept, notes = adapt_metadata(metadata or Metadata(), options.keep, change, channels)
    kept = with_provenance(
        kept,
        provenance if "xmp" in writer.provenance else None,
        text="text" in writer.provenance,
    )
    label = FORMATS[options.format].label
    profile = None
    if kept.icc is not None or kept.colour is not None:
        from enlarge.media.colour_fitting import converted_colour, fit_colour

        if options.colour == "srgb":
            kept, profile, lines = converted_colour(kept, channels)
            notes += lines
        kept, lines = fit_colour(kept, content, channels, label)
        notes += lines
    notes += _losses(label, content, spec, kept)
    encoding = Encoding(
        width=spec.width,
        height=spec.height,
        channels=channels,
        dtype=_stored_dtype(content, dtype),
        quality=writer.quality if options.quality is None else options.quality,
        pyramid=options.pyramid,
        metadata=kept,
        provenance=provenance,
        convert_from=profile,
    )
    return Sink(target, spec, encoding, writer, notes)


def _writer(target: Path | BinaryIO, options: WriteOptions) -> Writer:
    """The format's writer, once the options suit it. Raises `OptionError`."""
    name, quality = options.format, options.quality
    writer = WRITERS.get(name)
    if writer is None:
        raise OptionError(f"unknown format {name!r}: choose one of {', '.join(WRITERS)}")
    if quality is not None and not 1 <= quality <= 100:
        raise OptionError(f"quality must be between 1 and 100, got quality {quality}")
    if quality is not None and writer.quality is None:
        raise OptionError(
            f"quality {quality} and {name} contradict each other: {name} is lossless; leave it "
            "out, or choose jpeg, webp or avif"
        )
    if options.pyramid and (writer.pyramid_memory is None or not isinstance(target, Path)):
        where = name if isinstance(target, Path) else "a stream"
        raise OptionError(
            f"--pyramid and {where} contradict each other: only a .tif file can hold a pyramid"
        )
    if not writer.to_stream and not isinstance(target, Path):
        raise OptionError(f"{name} cannot be written to a stream; name a file")
    return writer


def _stored_dtype(content: Content, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which the format holds pixels of `dtype`."""
    if dtype.name in content.depths:
        return dtype
    deep = {"uint16", "uint10"} & set(content.depths)
    return np.dtype(np.uint16 if deep else np.uint8)


def _losses(name: str, content: Content, spec: PictureSpec, metadata: Metadata) -> list[str]:
    """One line for each thing that the format cannot hold. `name`: the format's, in messages."""
    depth = np.dtype(spec.dtype).name
    notes = []
    if spec.channels in (2, 4) and not content.alpha:
        notes.append(f"{name} holds no transparency: the picture is composited over white")
    if depth not in content.depths:
        held = max(_BITS[other] for other in content.depths)
        notes.append(f"{name} holds {held} bits per channel: the {_BITS[depth]} bits are rounded")
    gone = metadata.names() - content.metadata
    if metadata.density and all(abs(value * 25.4 - 72) < 0.05 for value in metadata.density):
        gone -= {"density"}  # what libvips says if PNG and JPEG say nothing
    lost = [words for field, words in _METADATA_NAMES.items() if field in gone]
    if lost:
        notes.append(f"not kept in {name}: {', '.join(lost)}")
    return notes
