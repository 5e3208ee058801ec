"""Pictures that Pillow and its plugins decode: what is common to their formats.

Whole pictures in memory: none of these decoders gives rows.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError
from enlarge.media.floats import check_range
from enlarge.media.metadata.exif import orientation_of
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.prefixes import without_prefix
from enlarge.media.rows import ArrayRows
from enlarge.media.stored import Pages, PictureFile, StoredPicture

INSTALL = 'pip install "enlarge[formats]"'
_MODES = {"1": "L", "P": "RGBA", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB"}
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "RGB;16": 3, "RGBA;16": 4}
"""Those with 16 bits are pillow-heif's."""
_DEEP = {"I": np.uint16, "F": np.float32, "RGB;16": np.uint16, "RGBA;16": np.uint16}


def import_plugin(module: str, what: str) -> ModuleType:
    """The module that makes Pillow read a format. Raises `InputError` naming the extra."""
    try:
        plugin = importlib.import_module(module)
        importlib.import_module("PIL.Image")
    except ImportError as error:
        raise InputError(f"this is a {what} picture, which needs an extra: {INSTALL}") from error
    return plugin


def open_image(source: PictureFile, what: str) -> Any:
    """The Pillow image, its header read. Raises `InputError` (without the file's name)."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None  # memory is counted by our caller
    try:
        return Image.open(source.file)
    except Exception as error:  # decoders raise whatever they like
        raise InputError(
            f"this {what} picture cannot be read ({decoder_reason(error)}); {source.advice}"
        ) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def decoder_reason(error: Exception) -> str:
    """What a decoder says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # The messages of libjxl's binding and Pillow do not say what is wrong with the file.
    says_nothing = "libjxl" in lines[0] or lines[0].startswith("cannot identify image file")
    return "it is truncated or damaged" if says_nothing else lines[0].strip()


def stored(
    image: Any,
    source: PictureFile,
    what: str,
    *,
    bits: int,
    upright: bool = False,
    pages: Pages = Pages(),  # noqa: B008 - frozen
) -> StoredPicture:
    """The picture. `bits` of a sample in the file; `upright`: its decoder applies orientation, so
    that EXIF's is not to be applied again; `pages`: the pictures in the file.
    """
    rows = PillowRows(image, source, bits)
    metadata = _metadata(image)
    orientation = 1 if upright or not metadata.exif else orientation_of(metadata.exif)
    pixels = rows.width * rows.height * rows.channels * rows.dtype.itemsize
    notes: tuple[str, ...] = ()
    if bits > 8 and rows.dtype == np.uint8:
        notes = (f"{what} with {bits} bits per channel is read with 8",)
    elif image.mode == "F":
        notes = ("float values are clamped to [0, 1]",)
    return StoredPicture(
        rows=rows,
        metadata=metadata,
        kind=image.mode.removesuffix(";16") if rows.channels > 1 else image.mode,
        decoder_bytes=3 * pixels + (32 << 20),
        streams=False,
        orientation=orientation,
        pages=pages,
        notes=notes,
    )


class HeifPage:
    """One of several pictures in a HEIC, with what is used of a Pillow image. Pillow's own would
    take the memory for its pixels as soon as it is chosen.
    """

    def __init__(self, found: Any) -> None:
        self.size, self.mode, self.info = found.size, found.mode, found.info
        self._found = found

    def convert(self, mode: str) -> Any:
        """The decoded picture in another mode."""
        return self._found.to_pillow().convert(mode)

    def __array__(self, *_: Any, **__: Any) -> NDArray[Any]:
        return np.asarray(self._found if ";16" in self.mode else self._found.to_pillow())

    def close(self) -> None:
        """Nothing to close."""


class PillowRows:
    """The rows of a picture that Pillow decodes, whole, at the first read. Owns the file."""

    def __init__(self, image: Any, source: PictureFile, bits: int = 8) -> None:
        """`bits`: of a sample, where the decoder leaves the low ones of 16 empty."""
        self.width, self.height = image.size
        self._mode = _MODES.get(image.mode, image.mode)
        self.channels = _CHANNELS.get(self._mode, 1)
        deep = _DEEP.get(self._mode, _DEEP.get(self._mode[:1], np.uint8))
        self.dtype: np.dtype[Any] = np.dtype(deep)
        self._fill = bits if ";16" in self._mode and 8 < bits < 16 else 0
        self._image = image
        self._source = source
        self._rows: ArrayRows | None = None

    def read(self, count: int) -> NDArray[Any]:
        """The next rows, (n, width, channels), n = min(`count`, rows left). Raises `InputError`."""
        if self._rows is None:
            self._rows = ArrayRows(self._decoded())
            self._image.close()
        return self._rows.read(count)

    def _decoded(self) -> NDArray[Any]:
        """All of it, (height, width, channels)."""
        image, mode = self._image, self._mode
        try:
            array: NDArray[Any] = np.asarray(image.convert(mode) if mode != image.mode else image)
        except Exception as error:  # decoders raise whatever they like
            raise InputError(
                f"{self._source.name}: this picture cannot be decoded ({decoder_reason(error)}); "
                f"{self._source.advice}"
            ) from error
        if array.shape[:2] != (self.height, self.width):
            raise InputError(
                f"{self._source.name}: this picture is damaged: its header says "
                f"{self.width}×{self.height} pixels, and {array.shape[1]}×{array.shape[0]} are "
                f"there; {self._source.advice}"
            )
        if self.dtype == np.float32:
            try:
                check_range(array, otherwise="save it with 8 or 16 bits per channel")
            except InputError as error:
                raise InputError(f"{self._source.name}: {error}") from error
            array = array.clip(0.0, 1.0)
        array = array.astype(self.dtype)
        if self._fill:
            array |= array >> self._fill
        return array.reshape(self.height, self.width, self.channels)

    def close(self) -> None:
        """Free the picture."""
        self._rows = None
        self._source.file.close()


def _metadata(image: Any) -> Metadata:
    block = image.info.get("exif")
    packet = image.info.get("xmp")
    return Metadata(
        icc=image.info.get("icc_profile"),
        exif=without_prefix(block) if block else None,
        xmp=packet.encode() if isinstance(packet, str) else packet,
    )
