"""What is known about one picture format: how its files are recognised, read and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing the table of formats loads neither libvips nor numpy
    import pyvips

    from enlarge.media.output import Destination, Encoding, Output
    from enlarge.media.stored import PictureFile, StoredPicture


@dataclass(frozen=True)
class Content:
    """What a file of a format can hold.

    `depths`: of uint8, uint10, uint16 and float32. `metadata`: of exif, xmp, iptc, text, density;
    icc (a profile), cicp (code points of H.273), gamma (gamma, chromaticities, the mark sRGB),
    mastering (display) and light (level). `gray_profile`: whether a gray picture has a profile of
    gray, not of RGB.
    """

    depths: tuple[str, ...]
    alpha: bool
    metadata: frozenset[str]
    gray_profile: bool = True


@dataclass(frozen=True)
class EncoderMemory:
    """The memory that an encoder holds at its peak, beyond the few rows that every plan counts:
    so many rows of the picture, bytes for each pixel of the whole picture, and bytes in any case.
    """

    rows: int = 0
    bytes_per_pixel: int = 0
    fixed: int = 0

    def total(self, width: int, height: int, pixel: int) -> int:
        """Bytes for a picture of `width` × `height` pixels of `pixel` bytes each."""
        return self.rows * width * pixel + self.bytes_per_pixel * width * height + self.fixed


@dataclass(frozen=True)
class Writer:
    """How a format is written.

    `encode(image, encoding, output)` encodes the image, which libvips reads once from top to
    bottom, into the output. `quality`: the default of 1 to 100, None if the format is lossless.
    `max_side`: the longest side in pixels. `bytes_per_value`: bytes of the file for each byte of
    pixels, for the disk check (photographs measured, then rounded up). `lossy_content`: what the
    format can hold below a quality of 100, if that is less. `pyramid_memory`: None if the format
    has no pyramids. `provenance`: where the metadata says how the picture was made, "xmp" and
    "text"; empty if the format has a place of its own. `to_stream`: whether the picture can be
    written to a stream. `single_file`: whether it is one file. `destination(target, encoding)`:
    what the picture is written into until it is complete; None: a temporary file.
    """

    encode: Callable[[pyvips.Image, Encoding, Output], None]
    content: Content
    max_side: int
    bytes_per_value: float
    quality: int | None = None
    memory: EncoderMemory = EncoderMemory()
    lossy_content: Content | None = None
    pyramid_memory: EncoderMemory | None = None
    provenance: frozenset[str] = frozenset({"xmp"})
    to_stream: bool = True
    single_file: bool = True
    destination: Callable[[Path, Encoding], Destination] | None = None

    def content_at(self, quality: int | None) -> Content:
        """What the format can hold at a quality (None: the default)."""
        lossy = quality is not None and quality < 100
        return self.lossy_content if lossy and self.lossy_content else self.content


@dataclass(frozen=True)
class Format:
    """A picture format.

    `name`: its key in the table; `label`: its name in messages; `media_type`: its MIME type;
    `suffixes` of its files, the usual one first; `read_suffixes`: of files that hold several
    pictures, which are only read. `recognizes(head)`: whether a file that begins with `head` (64
    bytes, or all of it) is of this format. `read`: opens a file of it. `needs_extra`: whether
    reading needs the extra `enlarge[formats]`. `read` or `writer` is None if the format is not read
    or not written.
    """

    name: str
    label: str
    media_type: str
    suffixes: tuple[str, ...]
    read_suffixes: tuple[str, ...] = ()
    recognizes: Callable[[bytes], bool] | None = None
    read: Callable[[PictureFile], StoredPicture] | None = None
    needs_extra: bool = False
    writer: Writer | None = None


def begins_with(*signatures: bytes) -> Callable[[bytes], bool]:
    """A test for files that begin with one of the signatures."""
    return lambda head: head.startswith(signatures)
