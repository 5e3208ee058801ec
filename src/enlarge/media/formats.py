"""The picture formats: how a file is recognised, and what a written one can hold."""

from __future__ import annotations

from dataclasses import dataclass

from enlarge.errors import OptionError, OutputError

PIXELS_PER_BYTE = {"png": 1040 * 8, "bmp": 8, "tiff": 65536, "gif": 4096, "jpeg": 1024}
"""No file of that format holds more pixels in a byte: deflate gives at most 1032 bytes for one
(and a byte up to 8 pixels), LZW 4095 pixels for one code, JPEG needs a bit for each 8×8 block."""


@dataclass(frozen=True)
class Format:
    """What a format that we write can hold.

    `side`: the longest side, `depths`: of uint8, uint16, float32; `metadata`: of icc, exif, xmp,
    iptc, text, density; `quality`: the default, None where it is lossless; `bytes_per_value`: of
    one 8-bit value in a large file, for the disk check (photographs measured, then rounded up).
    """

    name: str
    suffixes: tuple[str, ...]
    side: int
    depths: tuple[str, ...]
    alpha: bool
    metadata: frozenset[str]
    quality: int | None
    bytes_per_value: float


_ALL = frozenset({"icc", "exif", "xmp", "density"})

FORMATS: dict[str, Format] = {
    "png": Format(
        "png", (".png",), 2**31 - 1, ("uint8", "uint16"), True, _ALL | {"text"}, None, 1.0
    ),
    "jpeg": Format(
        "jpeg",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        65_535,
        ("uint8",),
        False,
        _ALL | {"iptc", "text"},
        95,
        0.5,
    ),
    "webp": Format(
        "webp", (".webp",), 16_383, ("uint8",), True, frozenset({"icc", "exif", "xmp"}), 95, 0.4
    ),
    "tiff": Format(
        "tiff",
        (".tif", ".tiff"),
        2**31 - 1,
        ("uint8", "uint16", "float32"),
        True,
        frozenset({"icc", "xmp", "iptc", "text", "density"}),
        None,
        1.1,
    ),
    "avif": Format(
        "avif", (".avif",), 16_384, ("uint8", "uint10"), True, frozenset({"icc", "exif", "xmp"}),
        90, 0.4
    ),
}  # fmt: skip

ZOOMS: dict[str, Format] = {
    name: Format(
        name, (f".{name}",), 2**31 - 1, ("uint8", "uint16"), True, frozenset({"icc"}), 100, size
    )
    for name, size in (("dzi", 1.4), ("szi", 2.8))
}
"""DeepZoom, which is no picture file but its tiles: all sizes together are a third more, and lie on
the disk twice while they are put into one file."""
WRITABLE = {**FORMATS, **ZOOMS}

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"BM", "bmp"),
)
_STRANGERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML or SVG document"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"P5", "a PGM picture"),
    (b"P6", "a PPM picture"),
    (b"FUJIFILM", "a camera's raw file"),
)
_VIDEO = "a video"
_VIDEOS = (b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3", b"FLV\1")
"""Matroska and WebM, MPEG as a stream and bare, Flash."""
_BRANDS = (b"qt  ", b"iso", b"mp4", b"avc1", b"M4V", b"MSNV", b"3gp", b"3g2", b"dash")
RAW = frozenset({".nef", ".dng", ".cr2", ".arw", ".pef", ".srw", ".nrw", ".3fr", ".iiq"})
"""Names of cameras' raw files that begin as a TIFF does, whose first picture is a thumbnail."""
READABLE = (
    "PNG, JPEG, WebP, TIFF, AVIF, GIF, BMP; HEIC, JPEG XL and JPEG 2000 with enlarge[formats]"
)


def sniff(head: bytes) -> str | None:
    """The format whose file begins with `head` (32 bytes suffice), None where it is unknown."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, len(head) - 3, 4))}
        if brands & {b"avif", b"avis"}:
            return "avif"
        if brands & {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}:
            return "heic"
    return None


def refusal(head: bytes) -> str:
    """What a file that is no picture of ours begins like, and what to do."""
    if (kind := what_it_is(head)) == _VIDEO:
        return (
            "is not a picture but a video; take its pictures out of it first: "
            "mkdir frames, and ffmpeg -i VIDEO frames/%06d.png"
        )
    return f"is not a picture but {kind}; what is read: {READABLE}"


def what_it_is(head: bytes) -> str:
    """In words, what a file that is no picture of ours begins like."""
    if head.startswith(_VIDEOS) or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return _VIDEO
    if head[4:8] == b"ftyp" and head[8:12].startswith(_BRANDS):
        return _VIDEO
    for signature, name in _STRANGERS:
        if head.lstrip().lower().startswith(signature.lower()):
            return name
    if not head.strip(b"\0"):
        return "a file of zeros"
    try:
        text = head[:-4].decode()  # the end may cut a character in two
    except UnicodeDecodeError:
        return "an unknown kind of file"
    return "a text file" if text.isprintable() or "\n" in text else "an unknown kind of file"


def format_of(suffix: str) -> str:
    """The format that a file name's suffix (".jpg") asks for. Raises `OptionError`."""
    for name, entry in WRITABLE.items():
        if suffix.lower() in entry.suffixes or suffix.lower() == name:
            return name
    known = ", ".join(suffix for entry in WRITABLE.values() for suffix in entry.suffixes)
    raise OptionError(f"cannot write {suffix or 'a file without a suffix'}: choose one of {known}")


def check_output(format: str, width: int, height: int) -> None:  # noqa: A002
    """Raise `OutputError` where the format cannot hold a picture of that size."""
    limit = WRITABLE[format].side
    if max(width, height) > limit:
        raise OutputError(
            f"{format.upper()} holds at most {limit:,} pixels a side, the result has "
            f"{width:,}×{height:,}: choose png or tiff, or a smaller scale"
        )


def estimate_bytes(
    format: str,  # noqa: A002
    width: int,
    height: int,
    channels: int,
    itemsize: int,
    *,
    pyramid: bool = False,
) -> int:
    """Roughly the largest size of the file, for the disk check; noise can take a little more.

    `pyramid`: with its smaller copies, which take a third more and are in temporary files at first.
    """
    entry = WRITABLE[format]
    if "uint16" not in entry.depths:
        itemsize = 1
    elif "float32" not in entry.depths:
        itemsize = min(itemsize, 2)
    size = int(width * height * channels * itemsize * entry.bytes_per_value) + 65_536
    return size * 5 // 3 if pyramid else size


def encoder_bytes(
    form: str,
    width: int,
    height: int,
    channels: int,
    itemsize: int,
    *,
    pyramid: bool = False,
) -> int:
    """The memory that the encoder holds at its peak, beyond the few rows that every plan counts.

    PNG, JPEG and TIFF stream. DeepZoom and TIFF pyramids do too, but hold rows of tiles of every
    size: 850 to 940 and 490 rows more than PNG were measured, up to 32,768 wide. WebP and AVIF hold
    the whole picture: 17 to 43 bytes a pixel were measured at 2400² (WebP lossy RGB 17, lossless
    35, lossy RGBA 43; AVIF 39).
    """
    if pyramid:
        return 600 * width * channels * itemsize
    if form in ZOOMS:
        return 1100 * width * channels * itemsize + (16 << 20)
    if form in ("webp", "avif"):
        return 48 * width * height + (16 << 20)
    return 0
