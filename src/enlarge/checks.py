"""Checks of options: each parses a value, given as text or as a Python value, or refuses it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, get_args

from enlarge.errors import OptionError

Check = Callable[[str, Any], Any]
"""Given an option's name as on the command line and its value, as text or as a Python value:
returns the parsed value, or raises `OptionError`."""


def about(
    help: str,  # noqa: A002 - the key that cyclopts reads
    *,
    group: str,
    metavar: str = "",
    check: Check | None = None,
    recorded: bool = True,
) -> dict[str, Any]:
    """The metadata of a field of `Settings`.

    `group` and `metavar` are for the help. `check` parses and checks the value; without one, the
    field's type says it all. `recorded`: ledgers record the option, because it can change a
    result's bytes. On the command line, a switch that is on by default is written `--no-NAME`, and
    its help describes that form.
    """
    return {
        "help": help,
        "group": group,
        "metavar": metavar,
        "check": check,
        "recorded": recorded,
    }


def parse_whole(value: Any) -> int:
    """A whole number, given as text, as an integer or as a float such as 2e9 or 256.0. Nothing is
    rounded. Raises `TypeError` or `ValueError` for anything else.
    """
    if isinstance(value, str):
        return int(value)
    is_integer = getattr(value, "is_integer", None)  # of Python's floats and of numpy's
    return int(value) if is_integer is not None and is_integer() else operator.index(value)


def whole_number(least: int, most: int | None = None) -> Check:
    """A check for whole numbers from `least` to `most`. 1.5 is not rounded."""

    def check(name: str, value: Any) -> int:
        try:
            number = parse_whole(value)
        except (TypeError, ValueError):
            number = least - 1
        if number < least:
            raise OptionError(f"{name} must be a whole number from {least} on, got {value!r}")
        if most is not None and number > most:
            raise OptionError(f"{name} must be between {least} and {most}, got {number}")
        return number

    return check


def page_number(name: str, value: Any) -> int | str:
    """A check for one of several pictures in a file: a whole number from 1 on, or "all"."""
    if value == "all":
        return "all"
    try:
        number = parse_whole(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise OptionError(f"{name} must be a whole number from 1 on, or all, got {value!r}")
    return number


def number_between(low: float, high: float, words: str = "") -> Check:
    """A check for numbers from `low` to `high`. `words`: the bounds as the message names them."""
    words = words or f"{low:g} and {high:g}"

    def check(name: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise OptionError(f"{name} must be a number between {words}, got {value!r}") from None
        if not low <= number <= high:
            raise OptionError(f"{name} must be between {words}, got {number:g}")
        return number

    return check


def one_of(choices: Any) -> Check:
    """A check for the words of a `Literal`."""
    words = get_args(choices)

    def check(name: str, value: Any) -> Any:
        if value not in words:
            raise OptionError(f"{name} is one of {', '.join(words)}, got {value!r}")
        return value

    return check


def rectangle(name: str, value: Any) -> tuple[int, int, int, int]:
    """A check for a rectangle, as "X,Y,WIDTH,HEIGHT" or as four integers."""
    try:
        x, y, width, height = (
            parse_whole(part) for part in (value.split(",") if isinstance(value, str) else value)
        )
    except (TypeError, ValueError):
        x = y = width = height = -1
    if min(x, y) < 0 or min(width, height) < 1:
        raise OptionError(
            f"{name} must be X,Y,WIDTH,HEIGHT in input pixels, four whole numbers, got {value!r}"
        )
    return x, y, width, height


def tile_side(name: str, value: Any) -> int | None:
    """A check for a side in input pixels; "auto" is None."""
    if value == "auto":
        return None
    try:
        side = parse_whole(value)
    except (TypeError, ValueError):
        side = 0
    if side < 1:
        raise OptionError(f"{name} must be auto or a side in input pixels, got {value!r}")
    return side


def memory_size(name: str, value: Any) -> int:
    """A check for a size in bytes, or as text such as "1.5GB"."""
    from enlarge.memory import parse_size

    if isinstance(value, str):
        return parse_size(value, name)
    try:
        return parse_whole(value)
    except (TypeError, ValueError):
        raise OptionError(f"{name} must be a size like 1.5GB or 600MB, got {value!r}") from None


def file_format(name: str, value: Any) -> str:
    """A check for a format by its name or its extension: "jpg" and ".jpg" are "jpeg"; mp4, mkv, mov
    and webm are for videos.
    """
    from enlarge.media.formats import CONTAINERS, format_of

    text = str(value).lower().removeprefix(".")
    return CONTAINERS.get(text) or format_of(f".{text}")


def time_of_day(name: str, value: Any) -> Fraction:
    """A check for a time in a video: seconds, as a number or as text, or HH:MM:SS, MM:SS."""
    parts = value.split(":") if isinstance(value, str) else [value]
    try:
        numbers = [Fraction(str(part).strip()) for part in parts]
    except (ValueError, ZeroDivisionError):
        numbers = []
    is_clock = all(number < 60 for number in numbers[1:]) and len(numbers) <= 3
    if not numbers or min(numbers) < 0 or not is_clock or (isinstance(value, str) and "/" in value):
        raise OptionError(f"{name} must be a time like 83.5 or 00:01:23.5, got {value!r}")
    seconds = Fraction(0)
    for number in numbers:
        seconds = seconds * 60 + number
    return seconds


def model_name(name: str, value: Any) -> str:
    """A check for a model's name, or the path of its file."""
    return str(value)
