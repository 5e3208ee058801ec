"""Pictures that libvips decodes: what is common to their formats."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.floats import check_range
from enlarge.media.libvips import FileSource, clear_errors, collected_errors, explain
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.prefixes import without_prefix
from enlarge.media.stored import Pages, PictureFile, StoredPicture, choose_page

_DTYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_CHUNK_BYTES = 2 << 20
_KINDS = {"b-w": "gray", "grey16": "gray", "srgb": "RGB", "rgb16": "RGB", "scrgb": "RGB"}
_CONVERTED = ("lab", "labs", "labq", "lch", "xyz", "hsv", "yxy", "cmc")


@contextmanager
def libvips_errors(what: str) -> Iterator[None]:
    """Raise libvips' errors about a header as `InputError`s. `what`: the format's name."""
    try:
        yield
    except pyvips.Error as error:
        raise InputError(
            f"this {what} cannot be read ({explain(error)}); copy or download it again"
        ) from error


def load(source: PictureFile, what: str, loader: str, **more: Any) -> LoadedImage:
    """Read the header with one of libvips' loaders, which reads the file in pieces.

    `more`: options of that loader, such as unlimited=True, without libvips' own limits.
    """
    kept = FileSource(source.file)
    options = options_of(source) | more
    image = getattr(pyvips.Image, loader)(kept.source, **options)
    return LoadedImage(image, source, what, kept)


def load_mapped(source: PictureFile, what: str, loader: str, word: str) -> LoadedImage:
    """The same for loaders that need the whole file at once, which libvips maps; the picture that
    `source.page` asks for. `word`: what the format calls one of several. Raises `OptionError` where
    there is no such picture.
    """
    # Nothing may be read ahead, as libvips moves the position of the file underneath.
    source.file.seek(0, os.SEEK_END)
    source.file.seek(0)

    def open_page(**more: Any) -> pyvips.Image:
        mapped = pyvips.Source.new_from_descriptor(source.file.fileno())
        return getattr(pyvips.Image, loader)(mapped, **options_of(source), **more)

    image = open_page()
    count = int(get_field(image, "n-pages") or 1)
    main = int(get_field(image, "heif-primary") or 0) + 1
    pages = choose_page(source.page, count, word=word, main=main)
    if pages.number != main:
        image = open_page(page=pages.number - 1)
    return LoadedImage(image, source, what, None, pages)


def options_of(source: PictureFile) -> dict[str, Any]:
    """The options of every loader. Errors that libvips has collected so far are forgotten."""
    clear_errors()
    return {"access": "sequential", "fail_on": source.fail_on}


class LoadedImage:
    """A picture whose header libvips has read. `what`: the format's name in messages; `kept`: what
    libvips reads from, if Python has to keep it; `pages`: the pictures in the file.
    """

    def __init__(
        self,
        image: pyvips.Image,
        source: PictureFile,
        what: str,
        kept: FileSource | None,
        pages: Pages = Pages(),  # noqa: B008 - frozen
    ) -> None:
        self.image, self.source, self.what, self.kept = image, source, what, kept
        self.pages = pages
        self.width: int = image.width
        self.height: int = image.height
        self.bands: int = image.bands
        self.sample_bytes = np.dtype(_DTYPES.get(image.format, np.float32)).itemsize
        self.pixel_bytes = self.bands * self.sample_bytes

    def field(self, name: str) -> Any:
        """A field of the image; None if it has none of that name."""
        return get_field(self.image, name)

    @property
    def interlaced(self) -> bool:
        """Whether it is an interlaced PNG or a progressive JPEG."""
        return bool(self.field("interlaced"))

    def row_bytes(self, rows: int) -> int:
        """Bytes of so many rows, as they are stored."""
        return self.width * self.pixel_bytes * rows

    def check_size(self, pixels_per_byte: int) -> None:
        """Raise `InputError` if the header claims more than a file of this size can hold.

        `pixels_per_byte`: the most that the format can encode in a byte.
        """
        size = self.source.size
        if self.width * self.height > pixels_per_byte * size:
            raise InputError(
                f"this {self.what} claims {self.width:,}×{self.height:,} pixels, which {size:,} "
                "bytes cannot hold; it is truncated or malicious"
            )

    def stored(
        self,
        *,
        streams: bool,
        decoder_bytes: int,
        orientation: int | None = None,
        metadata: Metadata | None = None,
        pages: Pages | None = None,
        notes: Sequence[str] = (),
    ) -> StoredPicture:
        """The picture, in gray or RGB. Raises `InputError` and `pyvips.Error`.

        `orientation`, `metadata` and `pages`: those that libvips found, if None.
        """
        lines, image = list(notes), self.image
        if orientation is None:
            orientation = tagged_orientation(image) or 1
        if metadata is None:
            metadata = metadata_fields(image)
        converted = _converted(image, lines)
        profile = get_field(converted, "icc-profile-data")
        if converted.interpretation != image.interpretation and profile:
            metadata = replace(metadata, icc=profile)
        return StoredPicture(
            rows=LibvipsRows(converted, self.source, self.what, self.kept),
            metadata=metadata,
            kind=_kind(image),
            decoder_bytes=decoder_bytes,
            streams=streams,
            orientation=orientation,
            pages=self.pages if pages is None else pages,
            notes=tuple(lines),
        )


class LibvipsRows:
    """A libvips image's rows: integers as they are, floats clamped to [0, 1]. Owns the file."""

    def __init__(
        self, image: pyvips.Image, source: PictureFile, what: str, kept: FileSource | None
    ) -> None:
        self.width, self.height, self.channels = image.width, image.height, image.bands
        self.dtype: np.dtype[Any] = np.dtype(_DTYPES[image.format])
        self._image: pyvips.Image | None = image
        self._source, self._what = source, what
        self._kept = kept  # as long as libvips may read
        self._next = 0
        self._has_tiles = what == "TIFF" and get_field(image, "tile-width") is not None
        bits = get_field(image, "bits-per-sample") or 0
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
                self._check_tiles(band[start : start + n])
                self._next += n
        except pyvips.Error as error:
            failure = self._kept.failure if self._kept else None
            if isinstance(failure, OSError):
                # `picture.resuming` keeps finished bands where an `OSError` is the cause.
                message = f"{self._source.name}: cannot be read: {failure.strerror}"
                raise InputError(message) from failure
            raise InputError(
                f"{self._source.name}: this {self._what} is truncated or damaged after row "
                f"{self._next} of {self.height} ({explain(error)}); {self._source.advice}"
            ) from error
        if self._fill:
            band |= band >> np.uint16(self._fill)
        elif self.dtype == np.float32:
            self._check(band)
            np.clip(band, 0.0, 1.0, out=band)
        return band

    def _check(self, band: NDArray[Any]) -> None:
        try:
            check_range(band, otherwise="save it with 8 or 16 bits per channel")
        except InputError as error:
            raise InputError(f"{self._source.name}: {error}") from error

    def _check_tiles(self, band: NDArray[Any]) -> None:
        """Raise `pyvips.Error` for tiles of a TIFF that could not be decoded: libvips collects the
        error, and gives black.
        """
        if not self._has_tiles or self._source.fail_on == "none":
            return
        # Errors about tags, and other pictures', are collected too.
        if "tiff2vips" in collected_errors() and not band.any(axis=2).all():
            raise pyvips.Error("a tile cannot be decoded")

    def close(self) -> None:
        """Let libvips free the image."""
        self._image = None
        self._source.file.close()


def get_field(image: pyvips.Image, name: str) -> Any:
    """A field of an image; None if it has none of that name."""
    return image.get(name) if image.get_typeof(name) else None


def tagged_orientation(image: pyvips.Image) -> int | None:
    """The orientation, 1 to 8, that libvips found in the file; None if there is none."""
    found = get_field(image, "orientation")
    if found is None:
        return None
    return int(found) if found in range(1, 9) else 1


def exif_orientation(image: pyvips.Image) -> int:
    """The same, for formats whose EXIF libvips does not search for it."""
    found = tagged_orientation(image)
    if found is not None:
        return found
    block = get_field(image, "exif-data")
    if not block:
        return 1
    from enlarge.media.metadata.exif import orientation_of

    return orientation_of(without_prefix(block))


def metadata_fields(image: pyvips.Image) -> Metadata:
    """The metadata that libvips found, without texts."""
    block = get_field(image, "exif-data")
    resources = get_field(image, "iptc-data")
    if resources:
        from enlarge.media.metadata.photoshop import resources_of

        resources = resources_of(resources)
    density = (image.xres, image.yres)
    return Metadata(
        icc=get_field(image, "icc-profile-data"),
        exif=without_prefix(block) if block else None,
        xmp=get_field(image, "xmp-data"),
        iptc=resources or None,
        # libvips says 1 pixel per millimetre if the file says nothing.
        density=density if density != (1.0, 1.0) and min(density) > 0 else None,
    )


def _kind(image: pyvips.Image) -> str:
    """How the file stores colour, in a word."""
    if get_field(image, "palette"):
        return "palette"
    if get_field(image, "bits-per-sample") == 1:
        return "1-bit"
    return _KINDS.get(image.interpretation, str(image.interpretation).upper())


def _converted(image: pyvips.Image, notes: list[str]) -> pyvips.Image:
    """The image in gray or RGB, with or without alpha. Raises `InputError`, `pyvips.Error`."""
    space = image.interpretation
    if image.format not in _DTYPES:
        raise InputError(
            f"its pixels are of type {image.format}, which is not supported; "
            "save it with 8 or 16 bits per channel, or as float"
        )
    if space == "cmyk":
        image = image.icc_transform(
            "srgb",
            embedded=True,
            input_profile="cmyk",
            intent="relative",
            black_point_compensation=True,
            depth=16 if image.format == "ushort" else 8,
        )
        notes.append("CMYK is converted to sRGB")
    elif space in _CONVERTED:
        notes.append(f"{space.upper()} is converted to sRGB")
        image = image.colourspace("rgb16" if image.format == "ushort" else "srgb")
    elif image.format == "float":
        notes.append("float values are clamped to [0, 1]")
    if not 1 <= image.bands <= 4:
        raise InputError(
            f"it has {image.bands} channels; expected gray or RGB, with or without alpha"
        )
    return image
