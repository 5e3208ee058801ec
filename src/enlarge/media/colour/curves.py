"""From the numbers of a picture to light: the transfer functions of ITU-T H.273, table 3."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.media.colour.colour import HLG, PQ, UNSPECIFIED

SDR_WHITE = 203.0
"""cd/m² of diffuse white in HDR (ITU-R BT.2408): what a display without HDR shows as its white."""
HLG_PEAK = 1000.0
"""cd/m² of the display that HLG is rendered for (ITU-R BT.2100), whose system gamma is 1.2."""
_HLG_GAMMA = 1.2
_ALPHA, _BETA = 1.09929682680944, 0.018053968510807  # of BT.709 and BT.2020
PARAMETRIC: dict[int, tuple[float, ...]] = {
    13: (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    **dict.fromkeys(
        (1, 6, 11, 12, 14, 15),
        (1 / 0.45, 1 / _ALPHA, (_ALPHA - 1) / _ALPHA, 1 / 4.5, 4.5 * _BETA),
    ),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
}
"""Those that ICC's parametric curves of type 0 (gamma) and 3 (g, a, b, c, d) describe."""
PARAMETRIC[UNSPECIFIED] = PARAMETRIC[13]


def to_light(transfer: int, values: NDArray[Any]) -> NDArray[np.float64]:
    """Light in [0, 1] from numbers in [0, 1].

    Of HDR, 1 is diffuse white (`SDR_WHITE`), and what is brighter is clipped to it. HLG's system
    gamma is applied to each channel by itself, which is exact for grays.
    """
    v = np.asarray(values, np.float64)
    if transfer in PARAMETRIC:
        return parametric(PARAMETRIC[transfer], v)
    if transfer == 7:
        light = np.where(v < 4 * 0.0228, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))
    elif transfer in (9, 10):
        light = np.where(v > 0, 10 ** ((v - 1) * (2 if transfer == 9 else 2.5)), 0)
    elif transfer == PQ:
        light = pq_to_light(v) / SDR_WHITE
    elif transfer == 17:
        light = 52.37 / 48 * v**2.6
    elif transfer == HLG:
        light = hlg_to_scene(v) ** _HLG_GAMMA * HLG_PEAK / SDR_WHITE
    else:
        raise ValueError(f"transfer function {transfer} is not defined by H.273")
    return np.clip(light, 0, 1)


def parametric(parameters: tuple[float, ...], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """ICC's parametric curve of type 0 or 3 (ICC.1:2022, 10.18)."""
    if len(parameters) == 1:
        return v ** parameters[0]
    g, a, b, c, d = parameters
    return np.where(v >= d, (a * v + b) ** g, c * v)


def pq_to_light(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """cd/m² from numbers in [0, 1] (SMPTE ST 2084)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = v ** (1 / m2)
    return 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)


def hlg_to_scene(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light of the scene in [0, 1] from numbers in [0, 1] (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12)
