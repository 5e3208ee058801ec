"""What several commands take: the types of their options, and how their values are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from enlarge.errors import OptionError

Switch = Annotated[bool, Parameter(negative="")]
Verbose = Annotated[bool, Parameter(name=["--verbose", "-v"], negative="")]
Quiet = Switch
EngineWish = Literal["auto", "openvino", "onnxruntime", "torch"]
PrecisionWish = Literal["auto", "f32", "bf16", "f16", "int8"]
# As in engines.protocol, which --help must not load: a test holds them equal.


def refuse_both(quiet: bool, verbose: bool) -> None:
    """Raise `OptionError` for --quiet with --verbose."""
    if quiet and verbose:
        raise OptionError("--quiet and --verbose contradict each other; give one of them")


def check_report(report: Path | None) -> None:
    """Raise `OptionError` for a --report that cannot be written when the work is done."""
    if report is None:
        return
    if report.suffix.lower() not in (".json", ".html"):
        raise OptionError(f"--report writes .json or .html, got {report}")
    if not report.parent.is_dir():
        raise OptionError(f"--report {report}: there is no folder {report.parent}")
    if report.is_dir():
        raise OptionError(f"--report {report}: this is a folder; name a file")


def whole(least: int) -> Any:
    """A converter for whole numbers from `least` on: neither 1.5 nor 1e3 is rounded silently."""

    def convert(kind: Any, tokens: Sequence[Any]) -> int:
        (token,) = tokens
        try:
            number = int(token.value)
        except ValueError:
            number = least - 1
        if number < least:
            raise OptionError(
                f"{token.keyword} must be a whole number from {least} on, got {token.value!r}"
            )
        return number

    return convert


def rectangle(kind: Any, tokens: Sequence[Any]) -> tuple[int, int, int, int]:
    """A converter for X,Y,WIDTH,HEIGHT. Raises `OptionError`."""
    (token,) = tokens
    try:
        x, y, width, height = (int(part) for part in token.value.split(","))
    except ValueError:
        x = y = width = height = -1
    if min(x, y) < 0 or min(width, height) < 1:
        raise OptionError(
            f"{token.keyword} must be X,Y,WIDTH,HEIGHT in input pixels, four whole numbers, "
            f"got {token.value!r}"
        )
    return x, y, width, height
