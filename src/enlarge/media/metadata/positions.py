"""What gives away where a picture was taken: names of properties, and coordinates in texts.

ExifTool's group "Location" is the measure: coordinates, and the names of places.
"""

from __future__ import annotations

import re
from functools import cache

_COORDINATES_NAME = re.compile(
    r"(?i:gps|lati?tude|longt?itude|geotag|geohash|coordinate|footprint|absolutealt|maidenhead"
    r"|georef|geodetic|elevationin|spatialfit|verbatimsrs|verticaldatum)"
    r"|UTM|AbsAlt|(?:^|[a-z])(?:Lat|Lon|Lng|Long)(?:Ref|Deg\w*)?$|^(?i:lat|lon|long|lng)$"
)
_PLACES = frozenset({
    "city", "contentlocationcode", "contentlocationname", "continent", "country",
    "country-code", "country-primarylocationcode", "country-primarylocationname", "countrycode",
    "countryname", "countryprimarylocationcode", "countryprimarylocationname", "county",
    "coverage", "dctermslocation", "earthpos", "highergeography", "highergeographyid", "island",
    "islandgroup",
    "landmark", "locality", "location", "locationaccordingto", "locationcode",
    "locationcreated", "locationid", "locationname", "locationremarks", "locationshown",
    "municipality", "placename", "province-state", "provinceorstate", "provincestate",
    "ratingregion", "shotlocation", "stateprovince", "sub-location", "sublocation",
    "verbatimlocality", "waterbody", "worldregion",
})  # fmt: skip
_PLACE_PREFIXES = {"photoshop": {"state"}, "exif": {"state"}, "iptc": {"state", "caption-location"}}
_TELLING, _MOST = re.compile(r"\d|https?:"), 1 << 16
_NUMBER = r"[-+]?\d{1,3}(?:[.,]\d+)?"
_DEGREES = rf"{_NUMBER}\s*(?:[°º˚]|deg\b)[^\n]{{0,24}}?"
_PARTS = r"\d{1,3}(?:[.,]\d+|(?:[\s°º˚'′:]{1,3}\d{1,2}(?:[.,]\d+)?){1,2})[°º˚'′\"″\s]{0,3}"
"""A number of degrees with a fraction, minutes or seconds."""
_PLUS = "[23456789CFGHJMPQRVWX]"
_COORDINATES = (
    rf"\bgeo:\s*{_NUMBER}\s*,\s*{_NUMBER}"  # RFC 5870
    rf"|\b(?:geo:)?(?:lat|lon|lng)\W{{0,3}}[=:]\W{{0,3}}{_NUMBER}"
    r"|\b(?:geo:)?long\W{0,3}[=:]\W{0,3}[-+]?\d{1,3}[.,]\d\d"
    rf"|(?:latitude|longt?itude|gps ?(?:pos\w*|coord\w*))(?:ref)?\W{{0,4}}[NSEW]?\s*{_NUMBER}"
    rf"|\bgps[\w ]*\W{{0,2}}[=:]\W{{0,3}}{_NUMBER}\W{{0,3}}\d"
    r"|(?<![\d.])[-+]\d{2}(?:\d{2}){0,2}\.\d+[-+]\d{3}(?:\d{2}){0,2}\.\d+"  # ISO 6709
    rf"|{_DEGREES}(?-i:[NS])\b.{{0,8}}{_DEGREES}(?-i:[EW])\b"
    rf"|\b(?-i:[NS])\s*{_DEGREES}\b(?-i:[EW])\s*{_NUMBER}"
    r"|(?<![\d.])[-+]?\d{2}\.\d{4,}\s*[,;]\s*[-+]?\d{1,3}\.\d{4,}"
    r"|(?<![\d.])[-+]?\d\.\d{4,}\s*[,;]\s*[-+]?\d{2,3}\.\d{4,}"
    r"|(?<![\d,])[-+]?\d{1,2},\d{4,}\s*;\s*[-+]?\d{1,3},\d{4,}"
    r"|(?<![\d.])[-+]?\d{1,2}\.\d{3,}\s*[°º˚]\s*[,;/]\s*[-+]?\d{1,3}\.\d{3,}\s*[°º˚]"
    rf"|(?<![\d.,])(?-i:{_PARTS}[NS])\b\W{{0,6}}(?-i:{_PARTS}[EW])\b"
    rf"|\b(?-i:[NS])\s?{_PARTS}\W{{0,6}}(?-i:[EW])\s?{_PARTS}"
    rf"|\blat\.?\s*{_NUMBER}\W{{1,6}}(?:lon|lng|long)\.?\s*{_NUMBER}"
    rf"|\bPOINT\s*(?:[ZM]{{1,2}}\s*)?\(\s*{_NUMBER}\s+{_NUMBER}"  # WKT
    r"|\"coordinates\"\s*:\s*\[\s*[-+]?\d"  # GeoJSON
    r"|\$G[A-Z](?:GGA|RMC|GLL),\d"  # NMEA 0183
    r"|\bUTM\b\W{0,3}\d{1,2}\s?[A-Z]?\W{1,3}\d{6}"
    rf"|(?-i:\b{_PLUS}{{8}}\+{_PLUS}{{2,3}}\b)"  # Open Location Code
    r"|https?://(?:www\.)?(?:goo\.gl/maps|maps\.app\.goo\.gl|what3words\.com|w3w\.co)/\S"
    r"|https?://\S{0,99}(?:\bmaps?\b|openstreetmap)\S{0,300}?\d\.\d{3,}"
)


def names_position(name: str, prefix: str = "") -> bool:
    """Whether a property or a keyword of this name, in the namespace that `prefix` stands for,
    holds coordinates or the name of a place.
    """
    word = name.lower().replace(" ", "")
    if _COORDINATES_NAME.search(name) or word in _PLACES or prefix in ("cell", "geo"):
        return True
    return word in _PLACE_PREFIXES.get(prefix, ())


def holds_coordinates(text: str) -> bool:
    """Whether a text gives coordinates: a geo URI, `lat=…`, ISO 6709, degrees with N, S, E or W,
    two decimal numbers of a degree, WKT, GeoJSON, NMEA, UTM, a plus code, or a link to a map.
    """
    return _TELLING.search(text) is not None and _coordinates().search(text[:_MOST]) is not None


@cache
def _coordinates() -> re.Pattern[str]:
    """Compiled when it is first needed, which takes some milliseconds."""
    return re.compile(_COORDINATES, re.IGNORECASE)
