"""Command-line options: what several commands share, and the options generated from `Settings`.

A command declares its options as a frozen dataclass. Each field is annotated with `option()`, and
the command's function takes the dataclass with `FLAT`, so that its fields become options:

    @dataclass(frozen=True, kw_only=True)
    class ExportOptions:
        tile: Annotated[int | None, option("Fix the side of the input.", metavar="PIXELS")] = None

    DEFAULTS = ExportOptions()

    def export(checkpoint: str, /, options: Annotated[ExportOptions, FLAT] = DEFAULTS) -> None:

Annotations are texts that only the parser evaluates, so it is not loaded with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_origin, get_type_hints

from enlarge.checks import rectangle
from enlarge.errors import OptionError
from enlarge.settings import Settings

if TYPE_CHECKING:
    from cyclopts import Parameter

T = TypeVar("T")


def option(
    text: str, *, group: str | None = None, metavar: str | None = None, **more: Any
) -> Parameter:
    """An option of a command: its help, its group there, and what stands for its value.

    `more`: other arguments of `cyclopts.Parameter`. A switch gets no `--no-NAME` beside it.
    """
    from cyclopts import Parameter

    if group is not None:
        more["group"] = group
    return Parameter(help=text, metavar=metavar, negative="", **more)


PROTOCOL = "Protocol"
"""The group of the options about how pictures are compared."""
VERBOSE = ("--verbose", "-v")
"""The names of the option for more output."""


def settings_options(*names: str) -> Callable[[type[T]], type[T]]:
    """A decorator that makes a class a frozen dataclass with the options of `Settings` that are
    named (default: all), as the command line's parser reads them.

    Numbers and choices are converted by the parser. Every other value stays text, which `Settings`
    parses. A switch that is on by default becomes `no_NAME`.
    """

    def decorate(cls: type[T]) -> type[T]:
        hints = get_type_hints(Settings)
        annotations: dict[str, Any] = {}
        for entry in fields(Settings):
            if names and entry.name not in names:
                continue
            name, hint, default = entry.name, hints[entry.name], entry.default
            if hint is bool:
                name, default = f"no_{name}" if default else name, False
            elif get_origin(hint) is not Literal and hint != float | None:
                hint, default = str | None, None
            parameter = option(
                entry.metadata["help"],
                group=entry.metadata["group"],
                metavar=entry.metadata["metavar"] or None,
                allow_leading_hyphen=entry.metadata["check"] is rectangle,  # -1,0,4,4
            )
            annotations[name] = Annotated[hint, parameter]
            setattr(cls, name, default)
        cls.__annotations__ = annotations
        return dataclass(frozen=True, kw_only=True)(cls)

    return decorate


def build_settings(arguments: Any) -> Settings:
    """The settings of a command line, from a class made by `settings_options`; options that were
    not given have their defaults. Raises `OptionError`.
    """
    given: dict[str, Any] = {}
    for entry in fields(arguments):
        value = getattr(arguments, entry.name)
        if value == entry.default:
            continue
        if entry.name.startswith("no_"):
            given[entry.name.removeprefix("no_")] = not value
        else:
            given[entry.name] = value
    return Settings(**given)


def refuse_both(quiet: bool, verbose: bool) -> None:
    """Raise `OptionError` for --quiet with --verbose."""
    if quiet and verbose:
        raise OptionError("--quiet and --verbose contradict each other; use one of them")


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
