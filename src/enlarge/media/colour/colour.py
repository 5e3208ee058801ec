"""What the numbers of a picture mean, where its file says it otherwise than with an ICC profile.

Code points, chromaticities and curves are those of ITU-T H.273; what PNG's chunks mean and which
of them prevails is in the PNG specification (third edition), 4.3 and 11.3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNSPECIFIED = 2
PQ, HLG = 16, 18
_HDR = {PQ: "PQ", HLG: "HLG"}
_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_BT_601_525 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))

Point = tuple[float, float]
Chromaticities = tuple[Point, Point, Point, Point]
"""(x, y) of red, green, blue and white."""

SRGB: Chromaticities = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
ADOBE_RGB: Chromaticities = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65)
PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", SRGB),
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C)),
    5: ("BT.601 (625 lines)", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65)),
    6: ("BT.601 (525 lines)", (*_BT_601_525, _D65)),
    7: ("SMPTE 240M", (*_BT_601_525, _D65)),
    8: ("film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C)),
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65)),
    10: ("XYZ", ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), (1 / 3, 1 / 3))),
    11: ("DCI-P3", (*_P3, (0.314, 0.351))),
    12: ("Display P3", (*_P3, _D65)),
    22: ("EBU 3213", ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65)),
}
TRANSFERS = {
    1: "BT.709", 4: "gamma 2.2", 5: "gamma 2.8", 6: "BT.601", 7: "SMPTE 240M", 8: "linear",
    9: "log 100:1", 10: "log 316:1", 11: "xvYCC", 12: "BT.1361", 13: "sRGB", 14: "BT.2020",
    15: "BT.2020", 16: "PQ", 17: "SMPTE 428", 18: "HLG",
}  # fmt: skip
_NAMED = [("sRGB", SRGB), ("Adobe RGB", ADOBE_RGB), *(PRIMARIES[code] for code in (12, 9))]
_PAIRS = {
    (1, 1): "BT.709", (1, 13): "sRGB", (9, 16): "BT.2100 PQ", (9, 18): "BT.2100 HLG",
    (12, 13): "Display P3", (12, 16): "Display P3 PQ", (9, 14): "BT.2020", (9, 15): "BT.2020",
}  # fmt: skip
_USUAL_GAMMA = 45_455
"""1/2.2 in PNG's units, with which programs mark sRGB."""


@dataclass(frozen=True)
class Cicp:
    """Code points of H.273 for a picture whose rows are RGB or gray, so that no matrix is needed:
    `primaries`, `transfer`, and whether the numbers use the full range.
    """

    primaries: int
    transfer: int
    full_range: bool = True

    @property
    def is_specified(self) -> bool:
        """Whether they say anything: code point 2 leaves it open."""
        return (self.primaries, self.transfer) != (UNSPECIFIED, UNSPECIFIED)

    @property
    def is_known(self) -> bool:
        """Whether H.273 defines both code points; what one of them leaves open is sRGB's."""
        return (self.primaries == UNSPECIFIED or self.primaries in PRIMARIES) and (
            self.transfer == UNSPECIFIED or self.transfer in TRANSFERS
        )

    @property
    def hdr(self) -> str | None:
        """PQ or HLG; None for another transfer."""
        return _HDR.get(self.transfer)

    @property
    def is_srgb(self) -> bool:
        """Whether it is plain sRGB, which pictures without any mark are taken for."""
        return (self.primaries, self.transfer, self.full_range) == (1, 13, True)

    def __str__(self) -> str:
        primaries = {code: name for code, (name, _) in PRIMARIES.items()}
        first = _code_name(self.primaries, primaries)
        second = _code_name(self.transfer, TRANSFERS)
        text = _PAIRS.get((self.primaries, self.transfer), f"{first} primaries, {second} transfer")
        text += " (HDR)" if self.hdr else ""
        return text if self.full_range else f"{text}, narrow range"


def _code_name(code: int, names: Mapping[int, str]) -> str:
    return "unspecified" if code == UNSPECIFIED else names.get(code, f"unknown ({code})")


@dataclass(frozen=True)
class MasteringDisplay:
    """The display on which a picture was graded (SMPTE ST 2086): red, green, blue and white as
    (x, y) in units of 0.00002, the largest and the smallest luminance in 0.0001 cd/m².
    """

    red: tuple[int, int]
    green: tuple[int, int]
    blue: tuple[int, int]
    white: tuple[int, int]
    largest: int
    smallest: int


@dataclass(frozen=True)
class Colour:
    """What the numbers mean. None: the file does not say.

    `srgb_intent`: the rendering intent, 0 to 3, of a picture in sRGB. `gamma`: the exponent with
    which light was encoded, in units of 1/100,000 (45455 is 1/2.2). `chromaticities`: x and y of
    white, red, green and blue in the same units. `light`: the largest luminance of a pixel and the
    mean luminance of the picture (CTA-861.3), in 0.0001 cd/m².
    """

    cicp: Cicp | None = None
    srgb_intent: int | None = None
    gamma: int | None = None
    chromaticities: tuple[int, ...] | None = None
    mastering: MasteringDisplay | None = None
    light: tuple[int, int] | None = None

    def names(self) -> frozenset[str]:
        """The parts that are there: of cicp, gamma, mastering and light."""
        found = {
            "cicp": self.cicp,
            "gamma": self.gamma or self.chromaticities or self.srgb_intent is not None,
            "mastering": self.mastering,
            "light": self.light,
        }
        return frozenset(name for name, value in found.items() if value)

    @property
    def hdr(self) -> str | None:
        """PQ or HLG; None for a picture that is not HDR."""
        return self.cicp.hdr if self.cicp else None

    @property
    def points(self) -> Chromaticities:
        """`chromaticities` as fractions, sRGB's if the file does not say."""
        if self.chromaticities is None:
            return SRGB
        white, red, green, blue = (
            (self.chromaticities[at] / 1e5, self.chromaticities[at + 1] / 1e5)
            for at in range(0, 8, 2)
        )
        return red, green, blue, white

    @property
    def has_srgb_curve(self) -> bool:
        """Whether numbers are encoded as in sRGB. Programs mark that as a gamma of 1/2.2, within
        the 5 % by which libpng takes gammas for the same.
        """
        if self.srgb_intent is not None or self.gamma is None:
            return True
        near = abs(self.gamma - _USUAL_GAMMA) <= 0.05 * _USUAL_GAMMA
        return near and same_points(self.points, SRGB)

    @property
    def is_srgb(self) -> bool:
        """Whether chunks other than cICP say sRGB, which is what no mark means as well."""
        plain = self.srgb_intent is not None or same_points(self.points, SRGB)
        return plain and self.has_srgb_curve

    def __str__(self) -> str:
        parts = [str(self.cicp)] if self.cicp else []
        if not self.cicp and self.srgb_intent is not None:
            parts.append("sRGB")
        elif not self.cicp:
            if self.gamma:
                parts.append(f"gamma {1e5 / self.gamma:.4g}")
            if self.chromaticities:
                parts.append(f"{points_name(self.points)} primaries")
        if self.mastering and self.mastering.largest:
            low, high = self.mastering.smallest / 1e4, self.mastering.largest / 1e4
            parts.append(f"mastered on a display of {low:g} to {high:g} cd/m²")
        if self.light and self.light[0]:
            parts.append(f"light up to {self.light[0] / 1e4:g} cd/m²")
        return ", ".join(parts)


def same_points(one: Chromaticities, other: Chromaticities) -> bool:
    """Whether two sets of chromaticities differ by rounding only."""
    pairs = zip(one, other, strict=True)
    return all(
        abs(a - b) < 0.0015 for left, right in pairs for a, b in zip(left, right, strict=True)
    )


def points_name(points: Chromaticities) -> str:
    """The name of a set of chromaticities, "custom" if it has none."""
    names = (name for name, known in _NAMED if same_points(points, known))
    return next(names, "custom")
