"""Edit XMP (ISO 16684-1): what it says about the picture stays true for the result.

Properties are known by their namespaces, whatever their prefixes, and as attributes or elements.
Everything that is not changed stays byte for byte.

Compared before this was written on the standard library's expat: python-xmp-toolkit needs Exempi's
shared library and is no longer kept; exiv2 and pyexiv2 bring 8 MB of a library under the GPL; lxml
(5 MB) and defusedxml (DTDs are refused here) parse XML, which expat does, and lose its bytes.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from enlarge.media.metadata.change import Change
from enlarge.media.metadata.positions import holds_coordinates, names_position
from enlarge.media.metadata.xml_packet import (
    Attribute,
    ByteRange,
    Element,
    XmlPacket,
    is_declaration,
)

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns"
_PREFIXES = {
    _RDF: "rdf",
    "http://purl.org/dc/elements/1.1": "dc",
    "http://ns.adobe.com/tiff/1.0": "tiff",
    "http://ns.adobe.com/exif/1.0": "exif",
    "http://ns.adobe.com/photoshop/1.0": "photoshop",
    "http://ns.adobe.com/xap/1.0": "xmp",
    "http://ns.adobe.com/xap/1.0/g/img": "xmpGImg",
    "http://ns.adobe.com/xmp/note": "xmpNote",
    "http://ns.adobe.com/camera-raw-settings/1.0": "crs",
    "http://ns.adobe.com/hdr-gain-map/1.0": "hdrgm",
    "http://ns.apple.com/HDRGainMap/1.0": "HDRGainMap",
    "http://ns.apple.com/pixeldatainfo/1.0": "apdi",
    "http://www.metadataworkinggroup.com/schemas/regions": "mwg-rs",
    "http://ns.adobe.com/xmp/sType/Area": "stArea",
    "http://ns.adobe.com/xap/1.0/sType/Dimensions": "stDim",
    "http://ns.acdsee.com/regions": "acdsee-rs",
    "http://ns.microsoft.com/photo/1.2": "MP",
    "http://ns.microsoft.com/photo/1.2/t/RegionInfo": "MPRI",
    "http://ns.microsoft.com/photo/1.2/t/Region": "MPReg",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29": "Iptc4xmpExt",
    "http://ns.google.com/photos/1.0/panorama": "GPano",
    "http://ns.google.com/photos/1.0/camera": "GCamera",
    "http://ns.google.com/photos/1.0/image": "GImage",
    "http://ns.google.com/photos/1.0/depthmap": "GDepth",
    "http://ns.google.com/photos/1.0/focus": "GFocus",
    "http://ns.google.com/photos/1.0/container": "Container",
    "http://ns.google.com/photos/1.0/container/item": "Item",
    "http://ns.google.com/photos/dd/1.0/device": "Device",
    "http://ns.xiaomi.com/photos/1.0/camera": "MiCamera",
    "http://www.dji.com/drone-dji/1.0": "drone-dji",
    "http://www.w3.org/2003/01/geo/wgs84_pos": "geo",
    "http://developer.sonyericsson.com/cell/1.0": "cell",
}
_EARLIER = {"xap": "xmp", "xapGImg": "xmpGImg"}
_PREVIEW = re.compile(r"thumbnail|preview", re.IGNORECASE)
_MOTION = re.compile(r"MotionPhoto|MicroVideo|OLivePhoto|VideoLength")
_DEPTH = frozenset({"GDepth", "GFocus", "Device"})
_PARTS_OF_FILE = frozenset({"hdrgm", "HDRGainMap", "apdi", "Container", "Item"})
_REGIONS = frozenset({
    ("mwg-rs", "Regions"), ("mwg-rs", "RegionInfo"), ("MP", "RegionInfo"), ("MPRI", "Regions"),
    ("acdsee-rs", "Regions"), ("Iptc4xmpExt", "ImageRegion"),
})  # fmt: skip
_WIDTHS = frozenset({
    ("tiff", "ImageWidth"), ("exif", "PixelXDimension"), ("exif", "ExifImageWidth"),
})  # fmt: skip
_HEIGHTS = frozenset({
    ("tiff", "ImageLength"), ("tiff", "ImageHeight"), ("exif", "PixelYDimension"),
    ("exif", "ExifImageHeight"),
})  # fmt: skip
_ACROSS = frozenset({
    *(("GPano", name) for name in (
        "FullPanoWidthPixels", "CroppedAreaImageWidthPixels", "CroppedAreaLeftPixels",
        "LargestValidInteriorRectLeft", "LargestValidInteriorRectWidth",
    )),
    ("exif", "FocalPlaneXResolution"),
    ("drone-dji", "CalibratedFocalLength"), ("drone-dji", "CalibratedOpticalCenterX"),
})  # fmt: skip
_DOWN = frozenset({
    *(("GPano", name) for name in (
        "FullPanoHeightPixels", "CroppedAreaImageHeightPixels", "CroppedAreaTopPixels",
        "LargestValidInteriorRectTop", "LargestValidInteriorRectHeight",
    )),
    ("exif", "FocalPlaneYResolution"), ("drone-dji", "CalibratedOpticalCenterY"),
})  # fmt: skip
_POINTS = frozenset({
    ("exif", "SubjectArea"), ("exif", "SubjectLocation"),
    ("drone-dji", "CalibratedOpticalCenterX"), ("drone-dji", "CalibratedOpticalCenterY"),
})  # fmt: skip
_AREAS = {"x": 0, "w": 0, "d": 0, "rbX": 0, "rbW": 0, "rbRx": 0, "y": 1, "h": 1, "rbY": 1, "rbH": 1}
"""Parts of a region's area: 0 along the width, 1 along the height."""
_PIXELS = "pixel"
_LINES = {
    "panorama": "the panorama's position is left out: it describes the whole picture",
    "regions": "regions (faces and the like) are left out: they describe the whole picture",
    "motion": "the video of the motion photo is left out",
    "depth": "the depth map is left out",
}


class Property(NamedTuple):
    """What an attribute or an element says: the namespace's usual prefix, its name there, its text,
    and the element that it is or belongs to.
    """

    prefix: str
    name: str
    text: str
    element: Element

    @property
    def key(self) -> tuple[str, str]:
        """Prefix and name."""
        return self.prefix, self.name


def adapt_xmp(packet: bytes, change: Change, *, gps: bool = True) -> tuple[bytes, list[str]]:
    """The packet for the result of a change, in UTF-8, and a line for each thing that goes with it.

    Orientation, format and sizes in pixels become those of the result; embedded previews go, and so
    do claims about other parts of the file. Without positions unless `gps`. Raises `ValueError` if
    it is not well-formed XML.
    """
    document = XmlPacket(packet)
    edits: dict[ByteRange, bytes] = {}
    lines: set[str] = set()
    gone = -1
    for element in document.elements:
        if element.span.start < gone:
            continue
        about = property_of(element, element.name, element.text)
        line = _reason_to_go(about, change, gps=gps)
        if line is not None:
            edits[element.span] = b""
            lines.add(line)
            gone = element.span.end
            continue
        if not element.children and (value := _adapted(about, change)) is not None:
            edits[element.inside] = value
        for attribute in element.attributes:
            if is_declaration(attribute.name):
                continue
            about = property_of(element, attribute.name, attribute.value)
            line = _reason_to_go(about, change, gps=gps)
            if line is not None:
                edits[attribute.span] = b""
                lines.add(line)
            elif (value := _adapted(about, change)) is not None:
                edits[attribute.inside] = value
    edits |= _emptied(document, edits)
    return document.edited(edits), [_LINES[line] for line in sorted(lines & _LINES.keys())]


def _emptied(document: XmlPacket, edits: dict[ByteRange, bytes]) -> dict[ByteRange, bytes]:
    """The edits that remove properties whose lists have lost all their items."""
    more = {}
    for element in document.elements:
        items, holder = element.children, element.parent
        if not items or holder is None or element.local not in ("Seq", "Bag", "Alt"):
            continue
        if all(edits.get(item.span) == b"" for item in items):
            more[holder.span] = b""
    return more


def property_of(element: Element, name: str, text: str) -> Property:
    """A property by its name in the document."""
    prefix, _, local = name.rpartition(":")
    uri = element.uri_of(prefix)
    if uri is None:
        known = _EARLIER.get(prefix, prefix)
    else:
        uri = uri.rstrip("/#")
        known = _PREFIXES.get(uri, uri)
    if known.startswith("http://ns.google.com/photos/dd/"):
        known = "Device"
    return Property(known, local, text, element)


def _reason_to_go(about: Property, change: Change, *, gps: bool) -> str | None:
    """Why a property does not stand in the result: a key of `_LINES`, or another word if nothing is
    said about it; None: it stays.
    """
    prefix, name = about.key
    if prefix in ("rdf", "xml", "") or name == "xmpmeta":
        listed = prefix == "rdf" and name == "li" and not about.element.children
        return "position" if listed and not gps and holds_coordinates(about.text) else None
    if prefix in ("xmpGImg", "GImage") or about.key == ("xmp", "PageInfo") or _PREVIEW.search(name):
        return "preview"
    if prefix in _DEPTH:
        return "depth"
    if _MOTION.match(name):
        return "motion"
    if prefix in _PARTS_OF_FILE or about.key == ("xmpNote", "HasExtendedXMP"):
        return "part"
    if not gps and (names_position(name, prefix) or holds_coordinates(about.text)):
        return "position"
    return _reason_by_change(about, change)


def _reason_by_change(about: Property, change: Change) -> str | None:
    """The same for what depends on where the picture's parts are."""
    if not change.moved:
        return None
    if about.prefix == "GPano":
        return "panorama"
    if about.key in _REGIONS:
        return "regions"
    if about.prefix == "crs" and (about.name.startswith("Crop") or about.name == "HasCrop"):
        return "crop"
    if about.key in _POINTS:
        return "point"
    return None


def _adapted(about: Property, change: Change) -> bytes | None:
    """A property's new value; None if it stays."""
    if about.key == ("tiff", "Orientation"):
        return str(change.orientation).encode()
    if about.key == ("dc", "format") and change.media_type and about.text:
        return change.media_type.encode()
    if about.key in _WIDTHS:
        return str(change.width).encode()
    if about.key in _HEIGHTS:
        return str(change.height).encode()
    if about.key in _ACROSS:
        return scaled(about.text, change.across)
    if about.key in _DOWN:
        return scaled(about.text, change.down)
    return _adapted_area(about, change)


def _adapted_area(about: Property, change: Change) -> bytes | None:
    """The same for sizes and areas whose place in the document says what they are."""
    name, element = about.name, about.element
    if name in ("w", "h") and any(
        around.local == "AppliedToDimensions" for around in _from(element)
    ):
        return str(change.width if name == "w" else change.height).encode()
    if about.prefix in ("stArea", "Iptc4xmpExt") and name in _AREAS and _in_pixels(element):
        return scaled(about.text, (change.across, change.down)[_AREAS[name]])
    if name == "li" and (seq := element.parent) and seq.parent:
        if seq.parent.local not in ("SubjectArea", "SubjectLocation"):
            return None
        place = seq.children[:4].index(element) if element in seq.children[:4] else 0
        return scaled(about.text, change.down if place % 2 else change.across)
    if about.key in (("crs", "CropWidth"), ("crs", "CropHeight")):
        in_pixels = _sibling(about.element, "CropUnits") in (None, "0", "pixels")
        return scaled(about.text, change.across if "W" in name else change.down) if (
            in_pixels
        ) else None  # fmt: skip
    return None


def _from(element: Element) -> list[Element]:
    return [element, *element.ancestors()]


def _in_pixels(element: Element) -> bool:
    """Whether the area that a property belongs to is given in pixels."""
    for around in _from(element)[:6]:
        unit = _sibling(around, "unit") or _sibling(around, "rbUnit")
        if unit is not None:
            return unit == _PIXELS
    return False


def _sibling(element: Element, name: str) -> str | None:
    """The value of a property beside one that is an attribute or a child of `element`, or it."""
    for holder in (element, element.parent):
        if holder is None:
            continue
        for attribute in holder.attributes:
            if attribute.name.rpartition(":")[2] == name:
                return attribute.value
        for child in holder.children:
            if child.local == name:
                return child.text.strip()
    return None


def scaled(text: str, factor: float) -> bytes | None:
    """A number (whole, decimal, or a fraction) times a factor, written as it was; None if it is no
    number.
    """
    text = text.strip()
    try:
        if "/" in text:
            fraction = Fraction(text) * Fraction(factor).limit_denominator(1 << 16)
            return f"{fraction.numerator}/{fraction.denominator}".encode()
        value = float(text) * factor
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    if value != value or abs(value) > 1e15:
        return None
    return (f"{value:.6f}" if "." in text else str(round(value))).encode()


def own_attributes(element: Element) -> list[Attribute]:
    """The attributes that are properties: no declarations, and nothing of RDF itself."""
    return [
        attribute
        for attribute in element.attributes
        if not is_declaration(attribute.name)
        and property_of(element, attribute.name, "").prefix not in ("rdf", "xml", "")
    ]
