"""Colour that files tell otherwise than by an ICC profile: kept, or turned into a profile that
LittleCMS understands as the standards mean it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from enlarge.media.colour.colour import Cicp, Colour
from enlarge.media.colour.curves import to_light
from enlarge.media.colour.profile_making import profile_of
from enlarge.media.reading import describe_picture, open_picture
from tests.media.colour_files import (
    ADOBE_CHRM,
    CLLI,
    HLG_CHUNK,
    MDCV,
    PQ_CHUNK,
    SRGB_CHRM,
    chunks_of,
    copied,
    exiftool_values,
    gama,
    heic,
    jxl,
    png,
    png16,
    profile_in,
)
from tests.media.exiftool import CASES

SRGB = ImageCms.createProfile("sRGB")
ADOBE = Colour(gamma=45470, chromaticities=struct.unpack(">8I", ADOBE_CHRM))
# To XYZ of D65, from CSS Color Module Level 4, section 10.
_SRGB = [
    [506752 / 1228815, 87881 / 245763, 12673 / 70218],
    [87098 / 409605, 175762 / 245763, 12673 / 175545],
    [7918 / 409605, 87881 / 737289, 1001167 / 1053270],
]
_P3 = [
    [608311 / 1250200, 189793 / 714400, 198249 / 1000160],
    [35783 / 156275, 247089 / 357200, 198249 / 2500400],
    [0, 32229 / 714400, 5220557 / 5000800],
]
_ADOBE = [
    [573536 / 994567, 263643 / 1420810, 187206 / 994567],
    [591459 / 1989134, 6239551 / 9945670, 374412 / 4972835],
    [53769 / 1989134, 351524 / 4972835, 4929758 / 4972835],
]
_2020 = [
    [63426534 / 99577255, 20160776 / 139408157, 47086771 / 278816314],
    [26158966 / 99577255, 472592308 / 697040785, 8267143 / 139408157],
    [0, 19567812 / 697040785, 295819943 / 278816314],
]
PIXELS = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
RGB = Image.fromarray(PIXELS)
FLAT = Image.new("RGB", (32, 24), (200, 40, 30))


def srgb_curve(light: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, to 0…255."""
    v = np.clip(light, 0, 1)
    return 255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)


def srgb_light(values: np.ndarray) -> np.ndarray:
    v = values / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def bt709_light(values: np.ndarray) -> np.ndarray:
    v = values / 255
    return np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))


def in_srgb(icc: bytes, image: Image.Image) -> np.ndarray:
    """The image as LittleCMS shows it."""
    mode = "RGB"
    shown = ImageCms.profileToProfile(
        image, io.BytesIO(icc), SRGB, ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode=mode
    )
    assert shown is not None
    return np.asarray(shown).astype(int)


@pytest.mark.parametrize(
    ("colour", "matrix", "light"),
    [
        (Colour(Cicp(12, 13)), _P3, srgb_light),
        (Colour(Cicp(1, 1)), _SRGB, bt709_light),
        (Colour(Cicp(9, 14)), _2020, bt709_light),
        (Colour(Cicp(9, 8)), _2020, lambda v: v / 255),
        (Colour(Cicp(1, 4)), _SRGB, lambda v: (v / 255) ** 2.2),
        (Colour(Cicp(1, 5)), _SRGB, lambda v: (v / 255) ** 2.8),
        (Colour(Cicp(2, 8)), _SRGB, lambda v: v / 255),
        (Colour(Cicp(9, 2)), _2020, srgb_light),
        (ADOBE, _ADOBE, lambda v: (v / 255) ** (1 / 0.4547)),
        (Colour(gamma=100_000), _SRGB, lambda v: v / 255),
        (Colour(chromaticities=ADOBE.chromaticities), _ADOBE, srgb_light),
        (Colour(gamma=45455), _SRGB, srgb_light),
        (Colour(srgb_intent=0, gamma=100_000), _SRGB, srgb_light),
        (
            Colour(Cicp(1, 13, full_range=False)),
            _SRGB,
            lambda v: srgb_light(np.clip((v - 16) / 219 * 255, 0, 255)),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Colour) else "",
)  # fmt: skip
def test_a_profile_means_what_the_standard_says(
    colour: Colour, matrix: list[list[float]], light: Callable[[np.ndarray], np.ndarray]
) -> None:
    icc = profile_of(colour, 3)
    assert icc is not None
    to_srgb = np.linalg.inv(_SRGB) @ np.array(matrix)
    wanted = srgb_curve(light(PIXELS.astype(float)) @ to_srgb.T)
    assert np.abs(in_srgb(icc, RGB) - wanted).max() <= 1.6


def test_every_code_point_has_a_profile_and_others_have_none() -> None:
    for primaries in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22):
        icc = profile_of(Colour(Cicp(primaries, 13)), 3)
        assert icc is not None
        white = in_srgb(icc, Image.new("RGB", (1, 1), "white"))
        assert white.min() >= 254, primaries
    for transfer in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18):
        icc = profile_of(Colour(Cicp(1, transfer)), 3)
        assert icc is not None
        ramp = Image.fromarray(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2))
        shown = in_srgb(icc, ramp)[0, :, 0]
        assert (np.diff(shown) >= 0).all(), transfer
        assert (shown[0], shown[-1]) == (0, 255), transfer
    for unknown in (Cicp(0, 13), Cicp(3, 13), Cicp(12, 3), Cicp(12, 19), Cicp(255, 255)):
        assert profile_of(Colour(unknown), 3) is None


def test_a_gray_profile() -> None:
    icc = profile_of(Colour(gamma=100_000), 1)
    assert icc is not None
    assert icc[16:20] == b"GRAY"
    shown = ImageCms.profileToProfile(
        Image.new("L", (1, 1), 128), io.BytesIO(icc), SRGB, outputMode="RGB"
    )
    assert shown is not None
    assert shown.getpixel((0, 0)) == (188, 188, 188)


def test_hdr_levels() -> None:
    """BT.2408: diffuse white, 203 cd/m², is 58 % of PQ and 75 % of HLG; 100 cd/m² is 51 % of PQ.
    ST 2084: 0.1 cd/m² is 0.0623."""
    assert to_light(16, np.array([0.5807])) == pytest.approx(1.0, abs=0.002)
    assert to_light(16, np.array([0.5081])) == pytest.approx(100 / 203, abs=0.001)
    assert to_light(16, np.array([0.0623])) == pytest.approx(0.1 / 203, rel=0.01)
    assert to_light(18, np.array([0.75])) == pytest.approx(1.0, abs=0.002)
    assert to_light(18, np.array([0.5])) == pytest.approx((1 / 12) ** 1.2 * 1000 / 203, abs=1e-6)


@pytest.mark.parametrize(
    "chunks",
    [
        [PQ_CHUNK, (b"mDCV", MDCV), (b"cLLI", CLLI)],
        [HLG_CHUNK],
        [(b"cICP", bytes([12, 13, 0, 1])), gama(45455), (b"cHRM", SRGB_CHRM)],
        [(b"cICP", bytes([1, 13, 0, 0])), (b"sRGB", b"\1")],
        [(b"cICP", bytes([2, 2, 0, 1]))],
        [(b"cICP", bytes([200, 201, 0, 1]))],
        [gama(100_000)],
        [gama(45470), (b"cHRM", ADOBE_CHRM)],
        [(b"sRGB", b"\3"), gama(12345)],
    ],
    ids=lambda chunks: "+".join(kind.decode() for kind, _ in chunks),
)  # fmt: skip
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "I;16"])
def test_png_keeps_its_chunks(tmp_path: Path, chunks: list[tuple[bytes, bytes]], mode: str) -> None:
    image = Image.new("I;16", (32, 24), 999) if mode == "I;16" else RGB.convert(mode)
    source = png(tmp_path / "a.png", image, *chunks)
    added = [kind for kind, _ in chunks]
    assert copied(source, tmp_path / "b.png") == []
    kept = chunks_of((tmp_path / "b.png").read_bytes())
    assert {kind: kept[kind] for kind in added} == dict(chunks)
    with open_picture(source) as one, open_picture(tmp_path / "b.png") as other:
        assert np.array_equal(one.rows().read(24), other.rows().read(24))


def test_names_of_drafts_are_read(tmp_path: Path) -> None:
    source = png(tmp_path / "a.png", RGB, PQ_CHUNK, (b"mDCv", MDCV), (b"cLLi", CLLI))
    copied(source, tmp_path / "b.png")
    kept = chunks_of((tmp_path / "b.png").read_bytes())
    assert (kept[b"mDCV"], kept[b"cLLI"]) == (MDCV, CLLI)


@pytest.mark.parametrize(
    "chunk",
    [
        (b"cICP", bytes([9, 16, 9, 1])),
        (b"cICP", b"\t"),
        (b"gAMA", bytes(4)),
        (b"cHRM", bytes(32)),
        (b"cHRM", struct.pack(">8I", *[30000] * 8)),
        (b"sRGB", b"\7"),
        (b"mDCV", MDCV[:20]),
        (b"cLLI", b""),
    ],
)
def test_damaged_chunks_are_left_out(tmp_path: Path, chunk: tuple[bytes, bytes]) -> None:
    source = png(tmp_path / "a.png", RGB, chunk)
    notes = copied(source, tmp_path / "b.jpg")
    assert notes == [f"the {chunk[0].decode()} chunk is damaged and is left out"]
    assert profile_in(tmp_path / "b.jpg") is None


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "avif", "png"])
def test_linear_light_stays_linear(tmp_path: Path, suffix: str) -> None:
    """gAMA 1: 128 is shown as 188 (IEC 61966-2-1)."""
    source = png(tmp_path / "a.png", Image.new("RGB", (32, 24), (128, 128, 128)), gama(100_000))
    target = tmp_path / f"b.{suffix}"
    assert copied(source, target, quality=None if suffix in ("png", "tif") else 100) == []
    with Image.open(target) as image:
        if suffix == "png":
            assert image.info["gamma"] == 1.0
        else:
            assert (
                in_srgb(image.info["icc_profile"], image.convert("RGB"))[9, 9].tolist() == [188] * 3
            )


@pytest.mark.parametrize("told", ["gAMA", "iCCP"])
@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp", "avif", "png"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_gray_stays_linear(tmp_path: Path, suffix: str, mode: str, told: str) -> None:
    """By a gray profile, or where gray is written as RGB by one of RGB."""
    image = Image.new("L", (32, 24), 128).convert(mode)
    icc = profile_of(Colour(gamma=100_000), 1)
    source = png(tmp_path / "a.png", image, gama(100_000))
    if told == "iCCP":
        source = png(tmp_path / "a.png", image, icc_profile=icc)
    target = tmp_path / f"b.{suffix}"
    copied(source, target)
    if suffix == "png" and told == "gAMA":
        assert chunks_of(target.read_bytes())[b"gAMA"] == struct.pack(">I", 100_000)
        return
    with Image.open(target) as image:
        gray = image.convert("L" if image.mode in ("L", "LA") else "RGB")
    kept = profile_in(target)
    assert kept is not None
    assert (kept[16:20] == b"GRAY") == (gray.mode == "L")
    assert np.abs(in_srgb(kept, gray)[9, 9] - 188).max() <= 1


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"sRGB", b"\0")],
        [(b"sRGB", b"\0"), gama(100_000)],
        [gama(45455)],
        [gama(45455), (b"cHRM", SRGB_CHRM)],
        [(b"cHRM", SRGB_CHRM)],
        [(b"cICP", bytes([1, 13, 0, 1]))],
        [(b"cICP", bytes([1, 13, 0, 1])), gama(100_000)],
        [(b"cICP", bytes([2, 2, 0, 1]))],
    ],
    ids=lambda chunks: "+".join(kind.decode() for kind, _ in chunks),
)
def test_srgb_needs_no_profile(tmp_path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    assert copied(png(tmp_path / "a.png", RGB, *chunks), tmp_path / "b.tif") == []
    assert profile_in(tmp_path / "b.tif") is None


def test_precedence(tmp_path: Path) -> None:
    """cICP before iCCP before sRGB before gAMA and cHRM (PNG, third edition, 4.3)."""
    p3 = profile_of(Colour(Cicp(12, 13)), 3)
    assert p3 is not None
    linear = gama(100_000)
    everything = [(b"cICP", bytes([9, 8, 0, 1])), (b"sRGB", b"\0"), linear]
    copied(png(tmp_path / "a.png", RGB, *everything, icc_profile=p3), tmp_path / "a.tif")
    icc = profile_in(tmp_path / "a.tif")
    assert icc == profile_of(Colour(Cicp(9, 8)), 3)
    copied(png(tmp_path / "b.png", RGB, *everything[1:], icc_profile=p3), tmp_path / "b.tif")
    assert profile_in(tmp_path / "b.tif") == p3
    copied(png(tmp_path / "c.png", RGB, *everything[1:]), tmp_path / "c.tif")
    assert profile_in(tmp_path / "c.tif") is None


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "dzi", "szi"])
def test_hdr_that_cannot_be_kept_is_told(tmp_path: Path, suffix: str, transfer: int) -> None:
    pixels = np.full((24, 32, 3), 38057, np.uint16)
    chunks = [(b"cICP", bytes([9, transfer, 0, 1])), (b"mDCV", MDCV), (b"cLLI", CLLI)]
    notes = copied(png16(tmp_path / "a.png", pixels, *chunks), tmp_path / f"b.{suffix}")
    said = [note for note in notes if "HDR" in note]
    assert len(said) == 1
    assert {16: "PQ", 18: "HLG"}[transfer] in said[0]
    assert "png or avif" in said[0]
    if suffix in ("jpg", "webp", "tif"):
        icc = profile_in(tmp_path / f"b.{suffix}")
        assert icc is not None
        assert b"cicp\0\0\0\0" + bytes([9, transfer, 0, 1]) in icc  # ICC.1:2022, 10.3


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (9, 18), (12, 13), (1, 1)])
def test_avif_keeps_code_points(tmp_path: Path, primaries: int, transfer: int, deep: bool) -> None:
    """8 and 10 bits, opaque and transparent, lossy and lossless; read by libavif and ExifTool."""
    chunks = [(b"cICP", bytes([primaries, transfer, 0, 1])), (b"mDCV", MDCV), (b"cLLI", CLLI)]
    if deep:
        source = png16(tmp_path / "a.png", np.full((24, 32, 3), 40000, np.uint16), *chunks)
    else:
        source = png(tmp_path / "a.png", FLAT.convert("RGBA"), *chunks)
    for quality in (90, 100):
        target = tmp_path / f"b{quality}.avif"
        notes = copied(source, target, quality=quality)
        assert not [note for note in notes if "bits" not in note]
        with Image.open(target) as image:
            shown = np.asarray(image.convert("RGB")).astype(int)
        wanted = 40000 / 257 if deep else np.array([200, 40, 30])
        assert np.abs(shown - wanted).max() <= 2
        tags = ("QuickTime:ColorPrimaries", "QuickTime:TransferCharacteristics")
        assert exiftool_values(target, *tags) == [str(primaries), str(transfer)]
        again = tmp_path / f"c{quality}.png"
        copied(target, again)
        kept = chunks_of(again.read_bytes())
        assert kept[b"cICP"] == bytes([primaries, transfer, 0, 1])
        assert (kept[b"mDCV"], kept[b"cLLI"]) == (MDCV, CLLI)
        with open_picture(target) as one, open_picture(again) as other:
            assert np.array_equal(one.rows().read(24), other.rows().read(24))


def test_an_avif_with_code_points_keeps_exif_and_xmp(tmp_path: Path) -> None:
    """The boxes that are put in move all data."""
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    source = png(tmp_path / "a.png", FLAT, PQ_CHUNK, exif=exif)
    copied(source, tmp_path / "b.avif")
    assert exiftool_values(tmp_path / "b.avif", "Make", "ColorPrimaries") == ["a camera", "9"]
    with open_picture(tmp_path / "b.avif") as picture:
        assert picture.metadata.exif is not None
        assert np.abs(picture.rows().read(24) - np.array([200, 40, 30.0])).max() <= 2


def test_display_p3_of_a_heic(tmp_path: Path) -> None:
    """(200, 40, 30) of P3 is (218, 0, 4) of sRGB."""
    source = heic(tmp_path / "a.heic", FLAT, 12, 13)
    for suffix in ("jpg", "tif", "png"):
        target = tmp_path / f"b.{suffix}"
        assert copied(source, target) == []
        with Image.open(target) as image:
            shown = in_srgb(image.info["icc_profile"], image.convert("RGB"))[12, 16]
        assert np.abs(shown - [218, 0, 4]).max() <= 3, suffix
    assert chunks_of((tmp_path / "b.png").read_bytes())[b"cICP"] == bytes([12, 13, 0, 1])


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
def test_hdr_of_a_heic(tmp_path: Path, transfer: int, kind: str) -> None:
    source = heic(tmp_path / "a.heic", FLAT, 9, transfer)
    assert copied(source, tmp_path / "b.png") == []
    assert chunks_of((tmp_path / "b.png").read_bytes())[b"cICP"] == bytes([9, transfer, 0, 1])
    assert any(kind in note for note in copied(source, tmp_path / "b.jpg"))


def test_deep_hdr_of_a_heic_keeps_its_depth(tmp_path: Path) -> None:
    """10 bits of PQ, as cameras write them, in a PNG of 16."""
    module = pytest.importorskip("pillow_heif", reason='pip install "enlarge[formats]"')
    deep = np.random.default_rng(7).integers(0, 2**16, (24, 32, 3), np.uint16)
    module.encode(
        "RGB;16", (32, 24), deep.tobytes(), str(tmp_path / "a.heic"), quality=-1, chroma=444,
        matrix_coefficients=0, color_primaries=9, transfer_characteristics=16, full_range_flag=1,
    )  # fmt: skip
    assert copied(tmp_path / "a.heic", tmp_path / "b.png") == []
    assert chunks_of((tmp_path / "b.png").read_bytes())[b"cICP"] == PQ_CHUNK[1]
    with open_picture(tmp_path / "b.png") as picture:
        assert np.abs(picture.rows().read(24).astype(int) - deep).max() < 64


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_unspecified_code_points_say_nothing(tmp_path: Path, suffix: str) -> None:
    if suffix == "heic":
        source = heic(tmp_path / "a.heic", FLAT, 2, 2)
    else:
        source = tmp_path / "a.avif"
        FLAT.save(source)
    assert copied(source, tmp_path / "b.jpg") == []
    assert profile_in(tmp_path / "b.jpg") is None


def test_the_profile_of_a_heic_prevails(tmp_path: Path) -> None:
    p3 = profile_of(Colour(Cicp(12, 13)), 3)
    source = heic(tmp_path / "a.heic", FLAT, 9, 14, icc_profile=p3)
    assert copied(source, tmp_path / "b.png") == []
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == p3
    assert b"cICP" not in chunks_of((tmp_path / "b.png").read_bytes())


@pytest.mark.parametrize(("primaries", "transfer"), [(11, 13), (9, 16), (9, 18), (1, 8)])
def test_colours_of_a_jpeg_xl(tmp_path: Path, primaries: int, transfer: int) -> None:
    """libjxl makes a profile of them, in whose `cicp` tag HDR is found."""
    source = jxl(tmp_path / "a.jxl", PIXELS, primaries, transfer)
    notes = copied(source, tmp_path / "b.tif")
    assert bool(notes) == (transfer in (16, 18))
    assert all("HDR" in note for note in notes)
    with Image.open(source) as wanted, Image.open(tmp_path / "b.tif") as image:
        assert image.info["icc_profile"] == wanted.info["icc_profile"]
    copied(source, tmp_path / "b.png")
    kept = chunks_of((tmp_path / "b.png").read_bytes())
    if transfer in (16, 18):
        assert kept[b"cICP"] == bytes([9, transfer, 0, 1])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize(
    ("space", "index", "is_adobe"),
    [(65535, "R03", True), (2, None, True), (1, "R98", False), (65535, None, False)],
)
def test_adobe_rgb_of_a_camera(
    tmp_path: Path, suffix: str, space: int, index: str | None, is_adobe: bool
) -> None:
    """DCF (CIPA DC-009): an option file, R03, is in Adobe RGB."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = space
    if index is not None:
        exif.get_ifd(0x8769)[0xA005] = {1: index}
    source, target = tmp_path / "a.jpg", tmp_path / f"b.{suffix}"
    FLAT.save(source, exif=exif, quality=100, subsampling=0)
    assert exiftool_values(source, "ColorSpace") == [str(space)]
    notes = copied(source, target)
    assert not [note for note in notes if "EXIF" not in note]
    icc = profile_in(target)
    if suffix == "png":
        chunks = chunks_of(target.read_bytes())
        assert (chunks.get(b"cHRM") == ADOBE_CHRM) == is_adobe
        assert (chunks.get(b"gAMA") == struct.pack(">I", 45470)) == is_adobe
    elif is_adobe:
        assert icc is not None
        light = (np.array([200, 40, 30]) / 255) ** (563 / 256)
        wanted = srgb_curve(np.linalg.inv(_SRGB) @ np.array(_ADOBE) @ light)
        assert np.abs(in_srgb(icc, FLAT)[0, 0] - wanted).max() <= 1.6
    else:
        assert icc is None


def test_hdr_of_a_narrow_range(tmp_path: Path) -> None:
    """PNG holds it; the RGB of an AVIF has the full range."""
    narrow = (b"cICP", bytes([9, 16, 0, 0]))
    source = png(tmp_path / "a.png", RGB, narrow)
    assert copied(source, tmp_path / "b.png") == []
    assert chunks_of((tmp_path / "b.png").read_bytes())[b"cICP"] == narrow[1]
    (note,) = copied(source, tmp_path / "b.avif")
    assert note.startswith("AVIF holds no HDR of a narrow range")
    assert note.endswith("choose png to keep it")
    assert exiftool_values(tmp_path / "b.avif", "QuickTime:TransferCharacteristics") == []
    assert profile_in(tmp_path / "b.avif") == profile_of(Colour(Cicp(9, 16, False)), 3)


def test_code_points_without_a_profile_are_told(tmp_path: Path) -> None:
    source = png(tmp_path / "a.png", RGB, (b"cICP", bytes([200, 201, 0, 1])))
    (note,) = copied(source, tmp_path / "b.jpg")
    assert "unknown (200)" in note
    assert "choose png" in note


def test_inspect_tells_the_colour(tmp_path: Path) -> None:
    def colour(*chunks: tuple[bytes, bytes]) -> str | None:
        return describe_picture(png(tmp_path / "a.png", RGB, *chunks))["colour"]

    assert colour() is None
    assert colour(PQ_CHUNK, (b"mDCV", MDCV), (b"cLLI", CLLI)) == (
        "BT.2100 PQ (HDR), mastered on a display of 0.005 to 1000 cd/m², light up to 1000 cd/m²"
    )
    assert colour((b"cICP", bytes([12, 13, 0, 0]))) == "Display P3, narrow range"
    assert colour(gama(45470), (b"cHRM", ADOBE_CHRM)) == "gamma 2.199, Adobe RGB primaries"
    assert colour((b"sRGB", b"\0"), gama(45455)) == "sRGB"


@pytest.mark.skipif(not CASES.is_dir(), reason=f"needs {CASES}")
def test_reported_pictures(tmp_path: Path) -> None:
    assert copied(CASES / "png_cicp_pq.png", tmp_path / "a.png") == []
    kept = chunks_of((tmp_path / "a.png").read_bytes())
    wanted = chunks_of((CASES / "png_cicp_pq.png").read_bytes())
    assert all(kept[kind] == wanted[kind] for kind in (b"cICP", b"mDCV", b"cLLI"))
    copied(CASES / "png_gama10.png", tmp_path / "b.png")
    assert chunks_of((tmp_path / "b.png").read_bytes())[b"gAMA"] == struct.pack(">I", 100_000)
    pytest.importorskip("pillow_heif", reason='pip install "enlarge[formats]"')
    copied(CASES / "nclx_p3.heic", tmp_path / "c.png")
    assert chunks_of((tmp_path / "c.png").read_bytes())[b"cICP"] == bytes([12, 13, 0, 1])


def test_each_picture_of_a_heic_has_its_own_colour(tmp_path: Path) -> None:
    """The second is the main one, with other code points than the first."""
    module = pytest.importorskip("pillow_heif", reason='pip install "enlarge[formats]"')
    heif = module.HeifFile()
    for colour, (primaries, transfer) in (("red", (12, 13)), ("lime", (9, 16))):
        heif.add_from_pillow(Image.new("RGB", (32, 24), colour))
        heif[len(heif) - 1].info["nclx_profile"] = {
            "color_primaries": primaries, "transfer_characteristics": transfer,
            "matrix_coefficients": 6, "full_range_flag": 1,
        }  # fmt: skip
    heif.save(tmp_path / "a.heic", primary_index=1, save_nclx_profile=True)
    found = {}
    for page in (None, 1, 2):
        with open_picture(tmp_path / "a.heic", page=page) as picture:
            found[page] = picture.metadata.colour
    assert found == {
        None: Colour(Cicp(9, 16)), 1: Colour(Cicp(12, 13)), 2: Colour(Cicp(9, 16)),
    }  # fmt: skip
