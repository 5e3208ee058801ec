"""Positions and places: none that ExifTool finds is left with `no-gps`."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif import adapt_exif
from enlarge.media.metadata.positions import holds_coordinates, names_position
from enlarge.media.metadata.xmp import adapt_xmp
from enlarge.media.reading import open_picture
from tests.media.exiftool import case, exiftool, positions, tags_of
from tests.media.test_previews import FORMS, doubled, exif_with

ATTITUDE = ("RelativeAltitude", "Flight", "Gimbal", "CamReverse", "Rtk")
"""ExifTool counts how a drone flew as a location too; it gives none away."""
PLACED = (
    "-GPSLatitude=37.55", "-GPSLatitudeRef=N", "-GPSLongitude=126.98", "-GPSLongitudeRef=E",
    "-GPSAltitude=38", "-GPSDestLatitude=35.1", "-GPSProcessingMethod=GPS",
    "-IPTC:City=SECRETCITY", "-IPTC:Sub-location=SECRET", "-IPTC:Province-State=SECRET",
    "-IPTC:Country-PrimaryLocationCode=KOR", "-IPTC:Country-PrimaryLocationName=SECRET",
    "-IPTC:ContentLocationName=SECRET", "-IPTC:ContentLocationCode=KOR",
    "-IPTC:Keywords=geo:lat=37.55", "-IPTC:Keywords=dog",
    "-XMP-exif:GPSLatitude=37.55", "-XMP-exif:GPSLongitude=126.98", "-XMP-exif:GPSMapDatum=SECRET",
    "-XMP-photoshop:City=SECRET", "-XMP-photoshop:State=SECRET", "-XMP-photoshop:Country=SECRET",
    "-XMP-iptcCore:Location=SECRET", "-XMP-iptcCore:CountryCode=KR",
    "-XMP-iptcExt:LocationCreatedCity=SECRET", "-XMP-iptcExt:LocationCreatedGPSLatitude=37.55",
    "-XMP-iptcExt:LocationShownSublocation=SECRET", "-XMP-iptcExt:LocationShownGPSLongitude=126",
    "-XMP-drone-dji:GpsLatitude=37.55", "-XMP-drone-dji:GpsLongtitude=126.98",
    "-XMP-drone-dji:AbsoluteAltitude=38", "-XMP-drone-dji:GimbalPitchDegree=3",
    "-XMP-dwc:DCVerbatimLatitude=37.55", "-XMP-dwc:DCLocality=SECRET", "-XMP-cell:CellID=1234",
    "-XMP-mediapro:Location=SECRET", "-XMP-dc:Coverage=SECRET", "-XMP-dc:Subject=geo:lon=126.98",
    "-XMP-dc:Subject=dog", "-XMP-dc:Description=at 37.55123, 126.98765",
    "-EXIF:UserComment=lat=37.55 lon=126.98", "-EXIF:XPComment=37.55123, 126.98765",
    "-Comment=GPSPosition: 37.55, 126.98", "-Artist=me", "-XMP-xmp:Label=red",
    "-IPTC:By-line=me",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_no_position_is_left_in_any_place(tmp_path: Path, form: str) -> None:
    source, target = tmp_path / "a.jpg", tmp_path / f"b.{FORMS[form]}"
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(source)
    exiftool("-overwrite_original", "-n", *PLACED, source)
    assert len(positions(source)) > 35
    doubled(source, target, form, keep="no-gps")
    left = {name for name in positions(target) if not any(word in name for word in ATTITUDE)}
    assert left == set()
    data = target.read_bytes()
    for word in (b"SECRET", b"37.55", b"126.98", b"37,33", b"3\x007\x00.\x005"):
        assert word not in data
    tags = tags_of(target)
    assert tags["XMP-dc:Subject"] == "dog"
    assert tags["XMP-xmp:Label"] == "red"
    assert tags["XMP-drone-dji:GimbalPitchDegree"] == 3
    if form in ("jpeg", "png", "tiff"):
        assert (tags["IPTC:Keywords"], tags["IPTC:By-line"]) == ("dog", "me")
    assert tags["IFD0:Artist"] == "me"


@pytest.mark.parametrize("form", FORMS)
def test_the_places_in_a_pngs_texts(tmp_path: Path, form: str) -> None:
    target = tmp_path / f"b.{FORMS[form]}"
    doubled(case("places.png"), target, form, keep="no-gps")
    assert positions(target) == set()
    assert b"SECRET" not in target.read_bytes()


def test_texts_with_coordinates_go_and_the_others_stay(tmp_path: Path) -> None:
    about = PngInfo()
    for key, value in (
        ("exif:GPSLatitude", "37/1, 33/1, 15/10"), ("GPSPosition", "x"), ("Location", "Seoul"),
        ("geo:lat", "37.5"), ("Where", "geo:37.55,126.98;u=35"), ("Country", "Korea"),
        ("Iptc.Application2.City", "Seoul"), ("Xmp.iptc.Location", "Seoul"), ("IPTC City", "Seoul"),
        ("Title", "A cat"), ("Software", "GIMP 3.0"), ("exif:PixelXDimension", "48"),
        ("Comment", "37°33'1.2\"N 126°59'0.0\"E"), ("exif:Orientation", "6"),
    ):  # fmt: skip
        about.add_itxt(key, value)
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(tmp_path / "a.png", pnginfo=about)
    doubled(tmp_path / "a.png", tmp_path / "b.png", "png", keep="no-gps")
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        texts = {key: str(value) for key, value in image.info.items() if key != "dpi"}
        assert texts == {
            "Title": "A cat", "Software": "GIMP 3.0", "exif:PixelXDimension": "96",
            "exif:Orientation": "1",
        }  # fmt: skip


@pytest.mark.parametrize(
    "packet",
    [
        b'<r xmlns:e="http://ns.adobe.com/exif/1.0/"><e:GPSLatitude>37,33N</e:GPSLatitude></r>',
        b"<r xmlns:e=\"http://ns.adobe.com/exif/1.0/\" e:GPSLatitude = '37,33N'/>",
        b"<r><odd:DroneLatitude>37,33N</odd:DroneLatitude></r>",
        b'<r xmlns:p="http://ns.adobe.com/photoshop/1.0/"><p:City><![CDATA[37,33N]]></p:City></r>',
        b'<r xmlns="http://ns.adobe.com/exif/1.0/"><GPSLatitude>37,33N</GPSLatitude></r>',
        b'<g:Point xmlns:g="http://www.w3.org/2003/01/geo/wgs84_pos#"><g:lat>37,33N</g:lat>'
        b"</g:Point>",
        b'<r xmlns:d="urn:d"><d:note>&#103;eo:37,33N</d:note><d:note>geo:37,33</d:note></r>',
        '<r xmlns:e="http://ns.adobe.com/exif/1.0/" e:GPSLatitude="37,33N"/>'.encode("utf-16"),
    ],
)
def test_positions_in_xmp_go_in_every_spelling(packet: bytes) -> None:
    left, _ = adapt_xmp(packet, Change(4, 4), gps=False)
    assert b"37,33N" not in left or b"geo:37,33N" in left.replace(b"&#103;", b"g")
    assert b"geo:37,33<" not in left
    kept, _ = adapt_xmp(packet, Change(4, 4))
    assert b"37,33N" in kept


@pytest.mark.parametrize(
    "packet",
    [
        b"<r><e:GPSLatitude>37</r>",
        b"no XML",
        b"",
        b"<r a='1' a='2'/>",
        b'<!DOCTYPE r [<!ENTITY a "37">]><r>&a;</r>',
        b"<r>\xff\xfe</r>",
        b"<r>&undefined;</r>",
    ],
)
@pytest.mark.parametrize("keep", ["keep", "no-gps"])
def test_xmp_that_cannot_be_read_is_left_out_and_said(
    tmp_path: Path, packet: bytes, keep: str
) -> None:
    source = tmp_path / "a.webp"
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(source, xmp=packet or b" ")
    notes = doubled(source, tmp_path / "b.jpg", "jpeg", keep="no-gps" if keep != "keep" else "keep")
    assert any("XMP data is damaged" in note for note in notes)
    with open_picture(tmp_path / "b.jpg") as picture:
        assert picture.metadata.xmp is None


def test_places_in_maker_notes_that_can_be_read() -> None:
    """Panasonic's cameras name the city and the landmark."""
    place = b"SECRETPLACE\0"
    note = b"Panasonic\0\0\0"
    start = 8 + 2 + 24 + 4 + 10 + 2 + 12 + 4
    at = start + 12 + 2 + 36 + 4
    note += struct.pack("<H", 3)
    note += struct.pack("<HHII", 0x0002, 7, 4, 1)
    note += struct.pack("<HHII", 0x006D, 7, len(place), at)
    note += struct.pack("<HHII", 0x006F, 2, len(place), at + len(place)) + bytes(4)
    note += place + place
    exif_ifd = struct.pack("<HHHII", 1, 0x927C, 7, len(note), start) + bytes(4)
    block = exif_with(
        {
            0x010F: (2, 10, b"Panasonic\0"),
            0x8769: (4, 1, struct.pack("<I", 8 + 2 + 24 + 4 + 10)),
        },
        exif_ifd + note,
    )
    assert adapt_exif(block, Change(4, 4)) == block
    left = adapt_exif(block, Change(4, 4), gps=False)
    assert b"SECRET" not in left
    assert struct.pack("<HHII", 0x0002, 7, 4, 1) in left


@pytest.mark.parametrize(
    "text",
    [
        "geo:37.786971,-122.399677", "geo:lat=37.5", "GPSLatitude: 37", "lat: 12.5",
        "+37.5500+126.9800/", "37 deg 33' 1.20\" N, 126 deg 59' 0.00\" E", "long=126.98",
        "37°33'1.2\"N 126°59'0\"E", "N 37° 33.5 E 126° 3", "37.12345, 126.98765",
        "https://www.google.com/maps/@37.55,126.981,15z", "GPSPosition 37.5 126.9",
        "POINT (126.98 37.55)", "POINT Z(126.98 37.55 38)", "8Q98HX2H+XR", "37.55N 126.98E",
        "N37 33.020 E126 58.830", "37 33 01 N 126 58 49 E", "Lat 37.55 Lon 126.98",
        '{"type":"Point","coordinates":[126.98,37.55]}', "37,5512; 126,9876",
        "$GPGGA,123519,3733.012,N,12658.8,E,1,08,0.9,38,M,,M,,*47", "37.551°, 126.987°",
        "UTM 52S 321980 4157500", "https://maps.app.goo.gl/a1b2", "https://w3w.co/a.b.c",
    ],
)  # fmt: skip
def test_coordinates_are_known_in_texts(text: str) -> None:
    assert holds_coordinates(f"There: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "GPS:1", "f/2.8 1/200 s", "50 deg angle, shot with Nikon", "20 °C in November",
        "Color balance 1.0000, 0.9876, 1.1", "flat: 2", "platform: 3", "2.5 sec long: 3 takes",
        "0.12345 0.56789", "1.2345, 2.3456", "12:34:56 N 5 E", "N 24 E 3", "POINT of view (2 1)",
        "rotated by 1.5°, 2.5°", "12345678+AB", "a 90° East turn",
        "Sony 28-200mm F2.8-5.6 OSS", "2026:12:01 10:11:12",
    ],
)  # fmt: skip
def test_other_numbers_are_no_coordinates(text: str) -> None:
    assert not holds_coordinates(text)


@pytest.mark.parametrize(
    "name",
    ["RelativeAltitude", "platform", "LongExposureNoiseReduction", "ToneMapStrength", "Template",
     "AutoLateralCA", "CameraElevationAngle", "Statement", "Title", "Software"],
)  # fmt: skip
def test_other_names_stay(name: str) -> None:
    assert not names_position(name)
