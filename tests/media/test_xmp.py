"""What XMP says about the picture: true for the result, and complete."""

from __future__ import annotations

import hashlib
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.extended_xmp import joined_xmp, split_xmp
from enlarge.media.metadata.prefixes import XMP_EXTENSION
from enlarge.media.metadata.xml_packet import XmlPacket
from enlarge.media.metadata.xmp import adapt_xmp
from enlarge.media.reading import open_picture
from tests.media.exiftool import case, exiftool, tags_of
from tests.media.test_previews import FORMS, doubled, small_jpeg

MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
TAIL = '</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'


def packet_of(*descriptions: str) -> bytes:
    return (HEAD + "".join(descriptions) + TAIL).encode()


def adapted(packet: bytes, change: Change) -> tuple[str, list[str]]:
    data, notes = adapt_xmp(packet, change)
    XmlPacket(data)  # still well formed
    return data.decode(), notes


@pytest.mark.parametrize("form", FORMS)
def test_a_panoramas_sizes_follow_the_picture(tmp_path: Path, form: str) -> None:
    target = tmp_path / f"a.{FORMS[form]}"
    doubled(case("pano.jpg"), target, form)
    before, after = tags_of(case("pano.jpg")), tags_of(target)
    names = [name for name in before if name.startswith("XMP-GPano:") and "Pixels" in name]
    assert len(names) == 6
    assert [after[name] for name in names] == [2 * before[name] for name in names]
    assert after["XMP-GPano:ProjectionType"] == "equirectangular"


def test_a_panorama_of_a_part_claims_nothing(tmp_path: Path) -> None:
    notes = doubled(case("pano.jpg"), tmp_path / "a.jpg", "jpeg", cropped=True)
    assert [note for note in notes if "panorama" in note]
    assert not [name for name in tags_of(tmp_path / "a.jpg") if "GPano" in name]


def test_sizes_of_every_schema_under_any_prefix(tmp_path: Path) -> None:
    packet = packet_of(
        '<rdf:Description rdf:about="" xmlns:p="http://ns.google.com/photos/1.0/panorama/">'
        "<p:FullPanoWidthPixels>400</p:FullPanoWidthPixels>"
        "<p:CroppedAreaLeftPixels>\n 33 </p:CroppedAreaLeftPixels>"
        "<p:PoseHeadingDegrees>33</p:PoseHeadingDegrees></rdf:Description>",
        '<rdf:Description rdf:about="" xmlns:t="http://ns.adobe.com/tiff/1.0/" '
        "t:ImageWidth='48' t:Orientation='6' xmlns:e='http://ns.adobe.com/exif/1.0/' "
        'e:PixelYDimension="32" e:FocalPlaneXResolution="2001/2"><e:SubjectArea><rdf:Seq>'
        "<rdf:li>10</rdf:li><rdf:li>20</rdf:li><rdf:li>4</rdf:li></rdf:Seq></e:SubjectArea>"
        "</rdf:Description>",
        f'<rdf:Description rdf:about="" xmlns:r="{MWG}" '
        'xmlns:d="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
        'xmlns:a="http://ns.adobe.com/xmp/sType/Area#"><r:Regions rdf:parseType="Resource">'
        '<r:AppliedToDimensions d:w="48" d:h="32" d:unit="pixel"/><r:RegionList><rdf:Bag>'
        '<rdf:li rdf:parseType="Resource"><r:Area a:x="0.5" a:y="0.25" a:w="0.1" a:h="0.2" '
        'a:unit="normalized"/></rdf:li></rdf:Bag></r:RegionList></r:Regions></rdf:Description>',
    )
    change = Change(144, 64, part=(48, 32))
    text, notes = adapted(packet, change)
    assert notes == []
    (tmp_path / "a.xmp").write_text(text)
    tags = tags_of(tmp_path / "a.xmp")
    assert tags["XMP-GPano:FullPanoWidthPixels"] == 1200
    assert tags["XMP-GPano:CroppedAreaLeftPixels"] == 99
    assert tags["XMP-GPano:PoseHeadingDegrees"] == 33
    assert (tags["XMP-tiff:ImageWidth"], tags["XMP-tiff:Orientation"]) == (144, 1)
    assert tags["XMP-exif:ExifImageHeight"] == 64
    assert tags["XMP-exif:FocalPlaneXResolution"] == 3001.5
    assert tags["XMP-exif:SubjectArea"] == [30, 40, 12]
    assert tags["XMP-mwg-rs:RegionAppliedToDimensionsW"] == 144
    assert tags["XMP-mwg-rs:RegionAppliedToDimensionsH"] == 64
    assert tags["XMP-mwg-rs:RegionAreaX"] == 0.5
    for moved in (Change(96, 64, (24, 16), cropped=True), Change(96, 64, (48, 32), turned=True)):
        text, notes = adapted(packet, moved)
        assert len(notes) == 2
        assert "Regions" not in text
        assert "SubjectArea" not in text
        assert "PoseHeading" not in text


def test_areas_in_pixels_and_a_drones_calibration() -> None:
    iptc = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    packet = packet_of(
        f'<rdf:Description xmlns:i="{iptc}" xmlns:d="http://www.dji.com/drone-dji/1.0/" '
        'd:CalibratedOpticalCenterX="24.5" d:CalibratedOpticalCenterY="16">'
        '<i:ImageRegion><rdf:Bag><rdf:li rdf:parseType="Resource"><i:RegionBoundary '
        'i:rbUnit="pixel" i:rbShape="polygon"><i:rbVertices><rdf:Seq>'
        '<rdf:li i:rbX="10" i:rbY="20"/><rdf:li rdf:parseType="Resource"><i:rbX>11</i:rbX>'
        "<i:rbY>21</i:rbY></rdf:li></rdf:Seq></i:rbVertices></i:RegionBoundary></rdf:li>"
        "</rdf:Bag></i:ImageRegion></rdf:Description>"
    )
    text, notes = adapted(packet, Change(144, 64, part=(48, 32)))
    assert notes == []
    for words in (
        'i:rbX="30" i:rbY="40"', "<i:rbX>33</i:rbX><i:rbY>42</i:rbY>",
        'CenterX="73.500000" d:CalibratedOpticalCenterY="32"',
    ):  # fmt: skip
        assert words in text
    text, _ = adapted(packet, Change(96, 64, (24, 16), cropped=True))
    assert "Calibrated" not in text
    assert "ImageRegion" not in text


@pytest.mark.parametrize(("form", "kind"), [("png", "image/png"), ("avif", "image/avif")])
def test_the_format_is_that_of_the_result(tmp_path: Path, form: str, kind: str) -> None:
    source = tmp_path / "a.jpg"
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(source)
    exiftool("-overwrite_original", "-XMP-dc:Format=image/jpeg", source)
    doubled(source, tmp_path / "b", form)
    assert tags_of(tmp_path / "b")["XMP-dc:Format"] == kind


def test_what_is_not_changed_stays_byte_for_byte() -> None:
    packet = packet_of(
        "<!-- a > b --><rdf:Description rdf:about=''\n xmlns:dc = "
        '"http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">'
        "<![CDATA[<서울> & ]]></rdf:li></rdf:Alt></dc:title></rdf:Description>"
    )
    assert adapt_xmp(packet, Change(9, 9), gps=False) == (packet, [])


def test_thumbnails_and_claims_about_the_files_other_parts_go() -> None:
    camera = "http://ns.google.com/photos/1.0/camera/"
    packet = packet_of(
        '<rdf:Description xmlns:xap="http://ns.adobe.com/xap/1.0/" '
        'xmlns:i="http://ns.adobe.com/xap/1.0/g/img/"><xap:Thumbnails><rdf:Alt><rdf:li '
        'rdf:parseType="Resource"><i:image>/9j/SECRET</i:image></rdf:li></rdf:Alt>'
        "</xap:Thumbnails></rdf:Description>",
        f'<rdf:Description xmlns:c="{camera}" c:MotionPhoto="1" c:MicroVideoOffset="99" '
        'c:MotionPhotoVersion="1" c:CameraBurstID="7"/>',
        '<rdf:Description xmlns:d="http://ns.google.com/photos/1.0/depthmap/" d:Format="RangeLin" '
        'd:Data="SECRET"/>',
        '<rdf:Description xmlns:g="http://ns.google.com/photos/1.0/image/" g:Data="SECRET"/>',
    )
    text, notes = adapted(packet, Change(9, 9))
    assert notes == [
        "the depth map is left out", "the video of the motion photo is left out",
    ]  # fmt: skip
    assert "SECRET" not in text
    assert "Thumbnails" not in text
    assert 'c:CameraBurstID="7"' in text
    assert "Motion" not in text
    assert "MicroVideo" not in text


def test_a_gain_maps_claims_go(tmp_path: Path) -> None:
    doubled(case("ultrahdr.jpg"), tmp_path / "a.jpg", "jpeg")
    names = " ".join(tags_of(tmp_path / "a.jpg"))
    assert "hdrgm" not in names
    assert "Container" not in names
    assert "MPImage" not in names


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_packets_in_other_codings(tmp_path: Path, coding: str) -> None:
    text = HEAD.replace("\ufeff", "") + (
        '<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" tiff:ImageWidth="48" xmp:Label="서울"/>'
    ) + TAIL  # fmt: skip
    source = tmp_path / "a.webp"
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(source, xmp=text.encode(coding))
    assert doubled(source, tmp_path / "b.jpg", "jpeg") == []
    tags = tags_of(tmp_path / "b.jpg")
    assert (tags["XMP-tiff:ImageWidth"], tags["XMP-xmp:Label"]) == (16, "서울")


def long_text() -> str:
    return random.Random(1).randbytes(45_000).hex()


def test_extended_xmp_is_joined_and_divided_again(tmp_path: Path) -> None:
    """ExifTool writes it, and reads it from the result."""
    source, text = tmp_path / "a.jpg", long_text()
    Image.fromarray(np.full((32, 48, 3), 90, np.uint8)).save(source)
    (tmp_path / "a.txt").write_text(text)
    exiftool(
        "-overwrite_original", f"-XMP-dc:Description<={tmp_path / 'a.txt'}", "-XMP-xmp:Label=red",
        f"-XMP-photoshop:Instructions<={tmp_path / 'a.txt'}", "-XMP-tiff:ImageWidth=48", source,
    )  # fmt: skip
    assert XMP_EXTENSION in source.read_bytes()
    assert doubled(source, tmp_path / "b.png", "png") == []
    assert doubled(tmp_path / "b.png", tmp_path / "c.jpg", "jpeg") == []
    assert b"HasExtendedXMP" not in (tmp_path / "b.png").read_bytes()
    for name, width in (("b.png", 96), ("c.jpg", 192)):
        tags = tags_of(tmp_path / name)
        assert tags["XMP-dc:Description"] == text
        assert tags["XMP-photoshop:Instructions"] == text
        assert tags["XMP-xmp:Label"] == "red"
        assert tags["XMP-tiff:ImageWidth"] == width
        assert not [name for name in tags if "Warning" in name]
    with open_picture(tmp_path / "c.jpg") as picture:
        assert text.encode() in (picture.metadata.xmp or b"")


def extension(data: bytes, size: int) -> list[bytes]:
    digest = hashlib.md5(data).hexdigest().upper().encode()
    return [
        digest + struct.pack(">II", len(data), at) + data[at : at + size]
        for at in range(0, len(data), size)
    ]


def test_parts_come_in_any_order_and_others_are_no_part() -> None:
    inner = packet_of('<rdf:Description xmlns:a="urn:a" a:text="there"/>')
    parts = extension(inner, 50)
    named = packet_of(
        '<rdf:Description xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        f'xmpNote:HasExtendedXMP="{parts[0][:32].decode()}"/>'
    )
    other = extension(b"<other/>", 50)
    joined, complete = joined_xmp(named, [*reversed(parts), *other])
    assert complete
    assert b'a:text="there"' in joined
    XmlPacket(joined)
    assert b"HasExtendedXMP" not in joined
    assert b"HasExtendedXMP" not in adapt_xmp(named, Change(1, 1))[0]
    assert joined_xmp(named, parts[1:]) == (named, False)
    assert joined_xmp(named, []) == (named, False)
    assert joined_xmp(inner, parts) == (inner, True)


def test_an_incomplete_extension_is_said(tmp_path: Path) -> None:
    parts = extension(packet_of('<rdf:Description xmlns:a="urn:a" a:text="there"/>'), 50)
    named = packet_of(
        '<rdf:Description xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        f'xmpNote:HasExtendedXMP="{parts[0][:32].decode()}"/>'
    )
    main = b"http://ns.adobe.com/xap/1.0/\0" + named
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
        for data in (main, *(XMP_EXTENSION + part for part in parts[:-1]))
    )
    plain = small_jpeg()
    (tmp_path / "a.jpg").write_bytes(plain[:2] + segments + plain[2:])
    notes = doubled(tmp_path / "a.jpg", tmp_path / "b.jpg", "jpeg")
    assert notes == ["the XMP's extension is incomplete and is left out"]
    assert b"HasExtendedXMP" not in (tmp_path / "b.jpg").read_bytes()


def test_what_cannot_be_divided_is_said(tmp_path: Path) -> None:
    packet = packet_of(*(f'<rdf:Description rdf:about="{n}"/>' for n in range(3000)))
    assert len(packet) > 70_000
    assert split_xmp(packet, 65_000, 65_533) == (packet, [])
    source = tmp_path / "a.webp"
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(source, xmp=packet)
    (note,) = doubled(source, tmp_path / "b.jpg", "jpeg")
    assert "XMP data" in note
    assert "64 KB" in note


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_xmp_is_refused_or_adapted(data: st.DataObject) -> None:
    packet = bytearray(
        packet_of(
            '<rdf:Description xmlns:e="http://ns.adobe.com/exif/1.0/" e:PixelXDimension="4">'
            "<e:GPSLatitude>37,33N</e:GPSLatitude><e:a><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></e:a>"
            "</rdf:Description>"
        )
    )
    for _ in range(data.draw(st.integers(0, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    for cut in (bytes(packet), bytes(packet[: data.draw(st.integers(0, len(packet)))])):
        try:
            left, _ = adapt_xmp(cut, Change(8, 8), gps=False)
        except ValueError:
            continue
        XmlPacket(left)


@pytest.mark.parametrize(
    "packet",
    [
        b"<a>" * 200 + b"</a>" * 200,
        b"".join(b'<a%d xmlns:b%d="c">' % (n, n) for n in range(70_000)),
        b"<a>" + b"<b/>" * 100_001 + b"</a>",
        b"<a " + b" ".join(b'a%d="1"' % n for n in range(100_001)) + b"/>",
    ],
    ids=["deep", "prefixes", "elements", "attributes"],
)
def test_documents_that_would_take_all_memory_are_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r"nested more than 100 deep|more than 100,000 elements"):
        adapt_xmp(packet, Change(1, 1))
