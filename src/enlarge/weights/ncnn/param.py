"""The text format of ncnn: a list of layers, each with its inputs, outputs and parameters.

    7767517
    LAYERS BLOBS
    TYPE NAME INPUTS OUTPUTS input… output… key=value…

A key is a number, and the value a whole number if it has neither a point nor an exponent. A list
has the key -23300 - key, and its length before its values: -23310=2,0.0,6.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from enlarge.errors import WeightsError
from enlarge.weights.ncnn.heads import MAGIC

_LARGEST = 16 << 20
_LISTS = -23300
_MOST = 65536
"""Entries of a list, and blobs of a layer."""


class UnknownLayerError(WeightsError):
    """A layer, or a parameter of one, that enlarge does not know. ncnn itself may know it."""


Value = int | float | str | list[int | float]


@dataclass(frozen=True)
class NcnnLayer:
    """A layer, and the names of the blobs that it reads and writes."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: dict[int, Value]

    def __str__(self) -> str:
        return f"its layer {self.name[:80]} ({self.kind[:40]})"

    def whole(self, key: int, default: int = 0) -> int:
        """A parameter that is a whole number. Raises `WeightsError` if it is none."""
        value = self.values.get(key, default)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if not isinstance(value, int):
            raise WeightsError(f"{self} has {key}={value}, expected a whole number")
        return value

    def number(self, key: int, default: float = 0.0) -> float:
        """A parameter that is a number. Raises `WeightsError` if it is none."""
        value = self.values.get(key, default)
        if not isinstance(value, int | float):
            raise WeightsError(f"{self} has {key}={value}, expected a number")
        return float(value)

    def numbers(self, key: int) -> list[float]:
        """A parameter that is a list; empty if it is missing."""
        value = self.values.get(key, [])
        if isinstance(value, str):
            raise WeightsError(f"{self} has {key}={value}, expected a list of numbers")
        return [float(one) for one in (value if isinstance(value, list) else [value])]

    def wholes(self, key: int) -> list[int]:
        """The same for whole numbers."""
        return [int(one) for one in self.numbers(key)]

    def refuse(self, *keys: int) -> None:
        """Raise `UnknownLayerError` if one of these parameters is there and not zero."""
        for key in keys:
            if self.values.get(key, 0) not in (0, 0.0, []):
                raise UnknownLayerError(
                    f"{self} has {key}={self.values[key]}, which enlarge does not know"
                )


def read_layers(path: Path) -> list[NcnnLayer]:
    """The layers of a `.param` file, in the order in which they run.

    Raises `WeightsError`, without the file's name, if it is damaged: by what is missing, or by the
    first line that is wrong.
    """
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise WeightsError(f"has more than {_LARGEST >> 20} MB, expected the text of a few layers")
    lines = content.decode("utf-8", "replace").splitlines()
    counts = lines[1].split() if len(lines) > 1 else []
    if not lines or lines[0].strip() != str(MAGIC) or not _are_counts(counts):
        raise WeightsError(
            f"expected {MAGIC} in its first line and two counts in its second; download it again"
        )
    listed = [(number, line) for number, line in enumerate(lines[2:], 3) if line.strip()]
    if len(listed) != int(counts[0]):
        raise WeightsError(
            f"has {len(listed)} layers, and its second line says {counts[0]}; download it again"
        )
    layers = [_layer(number, line) for number, line in listed]
    _check_blobs(layers, int(counts[1]))
    return layers


def _are_counts(words: list[str]) -> bool:
    return len(words) == 2 and all(re.fullmatch(r"\d{1,7}", word) for word in words)


def _layer(number: int, line: str) -> NcnnLayer:
    words = line.split()
    if len(words) < 4 or not _are_counts(words[2:4]):
        raise WeightsError(
            f"its line {number} is no layer: {line.strip()[:60]!r}; download it again"
        )
    first, second = int(words[2]), int(words[3])
    names, pairs = words[4 : 4 + first + second], words[4 + first + second :]
    if len(names) < first + second or max(first, second) > _MOST:
        raise WeightsError(
            f"its line {number} names {len(names)} blobs, expected {first} + {second}; download it "
            "again"
        )
    values = dict(_entry(number, pair) for pair in pairs)
    return NcnnLayer(words[0], words[1], tuple(names[:first]), tuple(names[first:]), values)


def _entry(number: int, pair: str) -> tuple[int, Value]:
    """A parameter: its key and its value."""
    key, equals, text = pair.partition("=")
    try:
        if not equals:
            raise ValueError(pair)
        if text.startswith('"'):
            return int(key), text.strip('"')
        if int(key) > _LISTS:
            return int(key), _number(text)
        length, *rest = text.split(",")
        if int(length) != len(rest):
            raise ValueError(pair)
        return _LISTS - int(key), [_number(one) for one in rest]
    except ValueError as error:
        raise WeightsError(
            f"its line {number} has the parameter {pair[:60]!r}, expected KEY=NUMBER or "
            f"{_LISTS}-KEY=LENGTH,NUMBER,…; download it again"
        ) from error


def _number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?\d{1,10}", text):
        return int(text)
    value = float(text)
    if not -3.5e38 < value < 3.5e38:
        raise ValueError(text)
    return value


def _check_blobs(layers: list[NcnnLayer], count: int) -> None:
    made: set[str] = set()
    for layer in layers:
        for name in layer.inputs:
            if name not in made:
                raise WeightsError(
                    f"{layer} reads {name[:80]}, which no layer before it makes; download it again"
                )
        for name in layer.outputs:
            if name in made:
                raise WeightsError(
                    f"{layer} makes {name[:80]}, as a layer before it does; download it again"
                )
            made.add(name)
    if len(made) > count:
        raise WeightsError(
            f"makes {len(made)} blobs, and its second line says {count}; download it again"
        )
