"""Small pictures of every kind that is read, for fuzzing."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pyvips
from PIL import Image, ImageCms, features

from enlarge.media.formats.png_chunks import png_chunk

_WIDTH, _HEIGHT = 61, 47
_XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="52,30N" '
    b'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:FullPanoWidthPixels="244" '
    b'GPano:CroppedAreaImageWidthPixels="61"><tiff:Orientation xmlns:tiff='
    b'"http://ns.adobe.com/tiff/1.0/">6</tiff:Orientation></rdf:Description></rdf:RDF>'
    b'</x:xmpmeta><?xpacket end="w"?>'
)


def seeds() -> dict[str, bytes]:
    """The pictures by name, which begins with the format."""
    return {**_by_pillow(), **_by_libvips(), **_pngs(), **_jpegs(), **_with_extras()}


def drawn() -> Image.Image:
    """A smooth RGBA picture of 61×47 pixels."""
    noise = np.random.default_rng(5)
    coarse = noise.integers(0, 256, (7, 9, 4), dtype=np.uint8)
    return Image.fromarray(coarse).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)


def exif() -> Image.Exif:
    """EXIF with an orientation, a thumbnail's place and a position."""
    found = Image.Exif()
    found[0x010F], found[0x0110], found[0x0112], found[0x8298] = "maker", "model", 6, "owner"
    found.get_ifd(0x8769).update({0x9003: "2020:01:01 00:00:00", 0xA002: 61, 0xA003: 47})
    found.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 1.0), 3: "E", 4: (13.0, 24.0, 1.0)})
    return found


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """A file by Pillow."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _by_pillow() -> dict[str, bytes]:
    rgba = drawn()
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    palette = rgb.quantize(64)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc[:24] + bytes(12) + icc[36:]  # without the date
    several = {"save_all": True, "append_images": [rgb.rotate(90)]}
    tags = {"exif": exif(), "xmp": _XMP}
    kinds: tuple[tuple[str, Image.Image, str, dict[str, Any]], ...] = (
        ("rgb", rgb, "JPEG", {"quality": 90, "exif": exif(), "xmp": _XMP, "icc_profile": icc}),
        ("progressive", rgb, "JPEG", {"progressive": True}),
        ("gray", gray, "JPEG", {"dpi": (300, 300)}),
        ("cmyk", rgb.convert("CMYK"), "JPEG", {}),
        ("rgb", rgb, "PNG", {"icc_profile": icc}),
        ("rgba", rgba, "PNG", {"exif": exif()}),
        ("palette", palette, "PNG", {"transparency": 3}),
        ("bits", rgb.convert("1"), "PNG", {}),
        ("moving", rgb, "PNG", several),
        ("lossy", rgba, "WEBP", {**tags, "icc_profile": icc}),
        ("lossless", rgba, "WEBP", {"lossless": True}),
        ("moving", rgb, "WEBP", several),
        ("rgb", rgb, "BMP", {}),
        ("palette", palette, "BMP", {}),
        ("gray", gray, "BMP", {}),
        ("bits", rgb.convert("1"), "BMP", {}),
        ("plain", palette, "GIF", {}),
        ("moving", palette, "GIF", {"save_all": True, "append_images": [palette.rotate(90)]}),
        ("transparent", palette, "GIF", {"transparency": 1, "interlace": 0}),
        ("plain", rgb, "TIFF", {"exif": exif()}),
        ("lzw", rgb, "TIFF", {"compression": "tiff_lzw"}),
        ("packbits", palette, "TIFF", {"compression": "packbits"}),
        ("fax", rgb.convert("1"), "TIFF", {"compression": "group4"}),
        ("jpeg", rgb, "TIFF", {"compression": "jpeg"}),
        ("pages", rgb, "TIFF", several),
        ("lab", rgb.convert("LAB"), "TIFF", {}),
        ("several", rgb, "MPO", several),
    )
    return {
        f"{'jpeg' if form == 'MPO' else form.lower()} {name}": saved(image, form, **options)
        for name, image, form, options in kinds
    }


def _by_libvips() -> dict[str, bytes]:
    pixels = pyvips.Image.new_from_array(np.asarray(drawn().convert("RGB")))
    deep = (pixels.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    return {
        "png interlaced": pixels.pngsave_buffer(interlace=True),
        "png deep": deep.pngsave_buffer(),
        "jpeg restarts": pixels.jpegsave_buffer(restart_interval=3),
        "tiff tiled": pixels.tiffsave_buffer(tile=True, tile_width=16, tile_height=16),
        "tiff deep": deep.tiffsave_buffer(compression="deflate", predictor="horizontal"),
        "tiff float": (pixels / 255.0).cast("float").tiffsave_buffer(bigtiff=True),
        "tiff pyramid": pixels.tiffsave_buffer(
            tile=True, tile_width=16, tile_height=16, pyramid=True, compression="lzw"
        ),
    }


def _pngs() -> dict[str, bytes]:
    """PNGs with chunks that say what their numbers mean, and with ImageMagick's profiles."""
    plain = saved(drawn().convert("RGB"), "PNG")
    profile = b"exif\n%8d\n" % 14 + b"457869660000" + b"49492a0008000000".hex().encode()
    return {
        f"png {name}": plain[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + plain[33:]
        for name, chunks in {
            "hdr": [
                (b"cICP", bytes((9, 16, 0, 1))),
                (b"mDCV", struct.pack(">8H2I", *range(8), 10_000_000, 50)),
                (b"cLLI", struct.pack(">2I", 10_000_000, 4_000_000)),
            ],
            "gamma": [
                (b"gAMA", struct.pack(">I", 100_000)),
                (
                    b"cHRM",
                    struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
                ),
            ],
            "srgb": [(b"sRGB", b"\0"), (b"pHYs", struct.pack(">IIB", 2835, 2835, 1))],
            "texts": [
                (b"tEXt", b"Raw profile type exif\0\n" + profile),
                (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + _XMP),
                (b"tEXt", b"exif:GPSLatitude\x0052/1,30/1,0/1"),
            ],
        }.items()
    }


def _jpegs() -> dict[str, bytes]:
    """JPEGs with further segments: IPTC and a preview of Photoshop's, extended XMP."""
    plain = saved(drawn().convert("RGB"), "JPEG")
    small = saved(drawn().convert("RGB").resize((16, 12)), "JPEG")
    resources = b""
    for number, content in (
        (0x0404, b"\x1c\x02\x5a\0\x06Berlin"),
        (0x040C, struct.pack(">6I2H", 1, 16, 12, 48, 576, len(small), 24, 1) + small),
    ):
        padded = content + bytes(len(content) % 2)
        resources += b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + padded
    segments = [
        (0xED, b"Photoshop 3.0\0" + resources),
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">II", 400, 0)
         + _XMP[:400]),
        (0xE2, b"urn:iso:std:iso:ts:21496:-1\0" + bytes(4)),
    ]  # fmt: skip
    added = b"".join(
        struct.pack(">BBH", 0xFF, kind, len(data) + 2) + data for kind, data in segments
    )
    return {"jpeg photoshop": plain[:2] + added + plain[2:]}


def _without_dates(data: bytes) -> bytes:
    """A file of ISO base media without the times at which its tracks were made."""
    out = bytearray(data)
    for kind in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.find(kind)
        while at >= 0:
            size = 16 if data[at + 4] else 8  # by the version of the box
            out[at + 8 : at + 8 + size] = bytes(size)
            at = data.find(kind, at + 4)
    return bytes(out)


def _with_extras() -> dict[str, bytes]:
    """What needs plugins of Pillow, as far as they are here."""
    rgb = drawn().convert("RGB")
    found = {}
    if features.check("avif"):
        found["avif plain"] = saved(rgb, "AVIF", exif=exif())
        moving = saved(rgb, "AVIF", save_all=True, append_images=[rgb.rotate(90)])
        found["avif moving"] = _without_dates(moving)
    if features.check("jpg_2000"):
        found["jp2 plain"] = saved(rgb, "JPEG2000")
        found["jp2 tiled"] = saved(rgb, "JPEG2000", tile_size=(32, 32))
    try:
        import pillow_heif
        import pillow_jxl  # noqa: F401
    except ImportError:
        return found
    pillow_heif.register_heif_opener()
    found["heic plain"] = saved(rgb, "HEIF", exif=exif())
    found["heic two"] = saved(rgb, "HEIF", save_all=True, append_images=[rgb.rotate(90)])
    found["jxl plain"] = saved(rgb, "JXL", exif=exif().tobytes())
    found["jxl lossless"] = saved(drawn(), "JXL", lossless=True)
    return found
