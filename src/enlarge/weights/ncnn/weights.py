"""The weights of ncnn: a file of arrays without names, in the order in which the layers read them.

    tagged   four bytes say how it is stored: float16, int8, float32, or a table of 256 values and
             a byte for each weight. Those of one and two bytes end at a multiple of four.
    raw      float32 (biases, slopes, scales)

Everything is little-endian. The file ends with the last array.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import WeightsError
from enlarge.weights.ncnn.heads import F16, F32, INT8, PLAIN
from enlarge.weights.tensors import non_finite

_TABLE = 256


class WeightFile:
    """A `.bin` file, read from its beginning. Arrays are views of the file where that is possible.

    Raises `WeightsError`, without the model's name, where less is there than is read, and for
    values that are not finite; `OSError` if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._name, size = path.name, path.stat().st_size
        self._content: NDArray[np.uint8] = (
            np.memmap(path, np.uint8, "r") if size else np.zeros(0, np.uint8)
        )
        self._at = 0

    def tagged(self, count: int, what: str) -> NDArray[Any]:
        """An array of `count` values: float16, int8 or float32. `what` names it in errors."""
        tag = int(self._take(4, what).view("<u4")[0])
        if tag == F16:
            return self._finite(self._padded(count, 2, what).view("<f2"), what, "F16")
        if tag == INT8:
            return self._padded(count, 1, what).view("i1")
        if tag in (F32, PLAIN):
            return self.raw(count, what)
        table = self._finite(self._take(_TABLE * 4, what).view("<f4"), what, "F32")
        return table[self._padded(count, 1, what)]

    def raw(self, count: int, what: str) -> NDArray[np.float32]:
        """An array of `count` values of float32. `what` names it in errors."""
        return self._finite(self._take(4 * count, what).view("<f4"), what, "F32")

    def check_end(self) -> None:
        """Raise `WeightsError` if there is more in the file than was read."""
        if self._at != self._content.size:
            raise WeightsError(
                f"its weights, {self._name}, have {self._content.size} bytes, but its layers read "
                f"{self._at}; the two files do not belong together, or one is damaged: download "
                "both again"
            )

    def _padded(self, count: int, width: int, what: str) -> NDArray[np.uint8]:
        """`count` values of `width` bytes, without the bytes that fill up to a multiple of four."""
        return self._take(-(-count * width // 4) * 4, what)[: count * width]

    def _take(self, size: int, what: str) -> NDArray[np.uint8]:
        if size < 0 or self._at + size > self._content.size:
            raise WeightsError(
                f"its weights, {self._name}, end too early: {what} need {size} bytes, and "
                f"{self._content.size - self._at} are left; download both files again"
            )
        part = self._content[self._at : self._at + size]
        self._at += size
        return part

    def _finite(self, values: NDArray[Any], what: str, kind: str) -> NDArray[Any]:
        if found := non_finite(what, kind, values.view(np.uint8)):
            raise WeightsError(found.message())
        return values
