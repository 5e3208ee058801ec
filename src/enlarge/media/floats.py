"""The range of float pixels: [0, 1], in files as in arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import InputError

_LEAST, _MOST = -0.25, 2.0
"""Filters overshoot: values a little outside of [0, 1] are accepted."""


def check_range(values: NDArray[Any], *, otherwise: str) -> None:
    """Raise `InputError` where floats cannot be meant as [0, 1].

    `otherwise`: what can be done instead of scaling them.
    """
    if not values.size:
        return
    least, most = float(values.min()), float(values.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise InputError("expected finite values in [0, 1], got NaN or infinity")
    if most > _MOST:
        raise InputError(
            f"expected values in [0, 1], got up to {most:g}; divide them by the value of white "
            f"(255 or 65535), or {otherwise}"
        )
    if least < _LEAST:
        raise InputError(
            f"expected values in [0, 1], got down to {least:g}; scale them to that range (from "
            f"[-1, 1]: add 1 and divide by 2), or {otherwise}"
        )
