"""ICC profiles (ICC.1:2022) of pictures whose colour is given by code points, gamma or
chromaticities: a matrix and curves, or a curve alone for gray.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.media.colour.colour import (
    PRIMARIES,
    SRGB,
    UNSPECIFIED,
    Chromaticities,
    Cicp,
    Colour,
    Point,
    points_name,
)
from enlarge.media.colour.curves import PARAMETRIC, to_light
from enlarge.media.colour.profile import profile_name, profile_tag

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""The linear Bradford transform (ICC.1:2022, annex E)."""
_SAMPLES = 4096
_DATE = (2000, 1, 1, 0, 0, 0)
_BLACK, _WHITE = 16 / 255, 235 / 255


def profile_of(colour: Colour, channels: int) -> bytes | None:
    """The profile of a picture with 1 or 2 channels (gray) or 3 or 4 (RGB); None where its code
    points are not defined or its chromaticities span no colours.

    Code points prevail over gamma and chromaticities. Of HDR, the curve shows what is up to the
    brightness of diffuse white, and the profile says PQ or HLG in its `cicp` tag.
    """
    cicp = colour.cicp
    if cicp is not None and cicp.is_specified:
        if not cicp.is_known:
            return None
        points = PRIMARIES[cicp.primaries][1] if cicp.primaries != UNSPECIFIED else SRGB
        curve, name = _cicp_curve(cicp), str(cicp)
    else:
        points = SRGB if colour.srgb_intent is not None else colour.points
        if colour.gamma is None or colour.has_srgb_curve:
            curve, name = _parametric_curve(PARAMETRIC[13]), "sRGB transfer"
        else:
            gamma = 1e5 / colour.gamma
            curve, name = _parametric_curve((gamma,)), f"gamma {gamma:.4g}"
        name = f"{points_name(points)} primaries, {name}"
        cicp = None
    return _profile(name, points, curve, gray=channels <= 2, cicp=cicp)


def rgb_profile_of_gray(icc: bytes) -> bytes | None:
    """A profile by which R = G = B is shown as a gray profile shows that gray; None where it has no
    curve.
    """
    curve = profile_tag(icc, b"kTRC")
    if not curve:
        return None
    return _profile(profile_name(icc), SRGB, curve, gray=False, cicp=None)


def chromaticities_are_valid(points: Chromaticities) -> bool:
    """Whether the primaries are colours of their own, around a white."""
    *primaries, white = points
    if white[1] <= 0:
        return False
    matrix = np.array([_xyz(point) for point in primaries])
    if abs(np.linalg.det(matrix)) < 1e-4:
        return False
    return bool((np.linalg.solve(matrix.T, _white(white)) > 0).all())


def _profile(
    name: str, points: Chromaticities, curve: bytes, *, gray: bool, cicp: Cicp | None
) -> bytes | None:
    if not chromaticities_are_valid(points):
        return None
    adapted = _adaptation(_white(points[3]))
    tags = [
        (b"desc", _text(name)),
        (b"cprt", _text("CC0")),
        (b"wtpt", _xyz_tag(_D50)),
        (b"chad", b"sf32\0\0\0\0" + _fixed(adapted.ravel())),
    ]
    if gray:
        tags.append((b"kTRC", curve))
    else:
        columns = adapted @ _to_xyz(points)
        tags += [
            (name, _xyz_tag(columns[:, at])) for at, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))
        ]
        tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    if cicp is not None and UNSPECIFIED not in (cicp.primaries, cicp.transfer):
        points_of_code = bytes([cicp.primaries, cicp.transfer, 0, cicp.full_range])
        tags.append((b"cicp", b"cicp\0\0\0\0" + points_of_code))
    return _assembled(tags, b"GRAY" if gray else b"RGB ")


def _cicp_curve(cicp: Cicp) -> bytes:
    if cicp.full_range and cicp.transfer in PARAMETRIC:
        return _parametric_curve(PARAMETRIC[cicp.transfer])
    values = np.linspace(0, 1, _SAMPLES)
    if not cicp.full_range:
        values = np.clip((values - _BLACK) / (_WHITE - _BLACK), 0, 1)
    light = np.round(to_light(cicp.transfer, values) * 65_535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", _SAMPLES) + light.tobytes()


def _parametric_curve(parameters: tuple[float, ...]) -> bytes:
    kind = 0 if len(parameters) == 1 else 3
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(parameters)


def _xyz(point: Point) -> tuple[float, float, float]:
    """A colour of any luminance."""
    x, y = point
    return x, y, 1 - x - y


def _white(point: Point) -> NDArray[np.float64]:
    return np.array(_xyz(point)) / point[1]


def _to_xyz(points: Chromaticities) -> NDArray[np.float64]:
    """The matrix from linear RGB to XYZ of the same white (SMPTE RP 177)."""
    *primaries, white = points
    columns = np.array([_xyz(point) for point in primaries]).T
    return columns * np.linalg.solve(columns, _white(white))


def _adaptation(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix that adapts XYZ from a white to D50."""
    scale = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.solve(_BRADFORD, scale[:, None] * _BRADFORD)
    return adapted


def _fixed(values: Any) -> bytes:
    """Numbers as s15Fixed16."""
    return b"".join(struct.pack(">i", round(float(value) * 65_536)) for value in values)


def _xyz_tag(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _text(text: str) -> bytes:
    """A text in English (multiLocalizedUnicodeType)."""
    data = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(data), 28) + data


def _assembled(tags: list[tuple[bytes, bytes]], space: bytes) -> bytes:
    """The file: header, table of tags, and their data, of which equal ones are stored once."""
    table, body, places = struct.pack(">I", len(tags)), b"", dict[bytes, int]()
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags:
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, places[data], len(data))
    size = start + len(body)
    version = 0x04400000 if any(name == b"cicp" for name, _ in tags) else 0x04300000
    head = struct.pack(">I4xI4s4s4s6H4s", size, version, b"mntr", space, b"XYZ ", *_DATE, b"acsp")
    head += bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + table + body
