"""What others reach: the numbers that ours stand beside.

"measured": run from the authors' own weights on our machine, on the same files, by the protocol of
`docs/results.md`. "published": the authors' own figures.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Anchor:
    """`scores`: data set → PSNR in dB, SSIM (None where it was not published)."""

    name: str
    parameters: str
    kind: str
    scores: dict[str, tuple[float, float | None]]


def _anchor(
    name: str, parameters: str, kind: str, set5: tuple[float, ...], set14: tuple[float, ...]
) -> Anchor:
    pairs = {"Set5": set5, "Set14": set14}
    return Anchor(
        name,
        parameters,
        kind,
        {key: (value[0], value[1] if len(value) > 1 else None) for key, value in pairs.items()},
    )


BICUBIC: dict[int, list[Anchor]] = {
    4: [
        _anchor("FSRCNN", "12 K", "published", (30.71,), (27.59,)),
        _anchor("LapSRN", "813 K", "published", (31.54,), (28.19,)),
        _anchor("SPANF (NTIRE 2025)", "148 K", "measured", (31.77, 0.890), (28.37, 0.777)),
        _anchor("ESPAN (NTIRE 2025)", "192 K", "measured", (31.94, 0.892), (28.52, 0.780)),
        _anchor("EECNet (NTIRE 2025)", "210 K", "measured", (32.05, 0.893), (28.58, 0.781)),
        _anchor("EFDN", "276 K", "measured", (32.08, 0.893), (28.59, 0.781)),
        _anchor("PAN", "272 K", "measured", (32.14, 0.895), (28.62, 0.782)),
        _anchor("EDSR-baseline", "1,518 K", "published", (32.09, 0.894), (28.58, 0.781)),
        _anchor("IMDN", "715 K", "measured", (32.21, 0.895), (28.59, 0.781)),
        _anchor("SwinIR-light", "897 K", "published", (32.44, 0.898), (28.77, 0.786)),
        _anchor("PFT-light (CVPR 2025)", "792 K", "published", (32.63, 0.900), (28.97, 0.790)),
        _anchor("EDSR", "43 M", "published", (32.46,), (28.80,)),
        _anchor("SwinIR (DF2K)", "11.9 M", "published", (32.92,), (29.09,)),
        _anchor("HAT", "20.8 M", "published", (33.04,), (29.23,)),
    ],
    2: [
        _anchor("FSRCNN", "–", "published", (37.00,), (32.63,)),
        _anchor("LapSRN", "–", "published", (37.52,), (33.08,)),
        _anchor("IMDN", "–", "published", (38.00,), (33.63,)),
        _anchor("EDSR-baseline", "–", "published", (37.99,), (33.57,)),
        _anchor("SwinIR-light", "–", "published", (38.14,), (33.86,)),
    ],
}
