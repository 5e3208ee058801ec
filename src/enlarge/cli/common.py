"""The command line `enlarge INPUT… [options]` in its common form, read without the parser.

To load the parser takes longer than to load all that opens a picture. In the common form each
option is spelled out, given once, and followed by its value as an argument of its own. Any other
line, and any line with a mistake, is left to the parser, which understands these lines the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from enlarge.cli.invocation import Invocation
from enlarge.cli.table import COMMANDS
from enlarge.errors import OptionError
from enlarge.settings import Settings

_OUTPUT = ("--output", "-o")
_SWITCHES = {
    "--overwrite": "overwrite",
    "--json": "json",
    "--quiet": "quiet",
    "--verbose": "verbose",
    "-v": "verbose",
}
"""The switches of `Invocation` in the common form. Of its other options it has `_OUTPUT`."""


class CommonLine(NamedTuple):
    """What a line asks for: see `enlarge_pictures`."""

    inputs: list[str]
    settings: Settings
    options: Invocation


def read_common(arguments: Sequence[str]) -> CommonLine | None:
    """The line, if it has the common form and no mistake."""
    if not all(arguments) or any(text in COMMANDS for text in arguments):
        return None
    valued, switches = _options_of_settings()
    inputs: list[str] = []
    given: dict[str, Any] = {}
    options: dict[str, Any] = {}
    rest = iter(arguments)
    for text in rest:
        if not text.startswith("-"):
            inputs.append(text)
            continue
        known, name = options, _SWITCHES.get(text)
        value: str | bool = True
        if text in switches:
            known, (name, value) = given, switches[text]
        elif text in valued or text in _OUTPUT:
            known, name = (given, valued[text]) if text in valued else (options, "output")
            value = follows = next(rest, "-")
            if follows.startswith("-"):
                return None
        if name is None or name in known:
            return None
        known[name] = value
    if not inputs or {"quiet", "verbose"} <= options.keys():
        return None
    try:
        return CommonLine(inputs, Settings(**given), Invocation(**options))
    except OptionError:
        return None


def _options_of_settings() -> tuple[dict[str, str], dict[str, tuple[str, bool]]]:
    """Options with a value, and switches with the value that they stand for, of `Settings`."""
    valued: dict[str, str] = {}
    switches: dict[str, tuple[str, bool]] = {}
    for entry in fields(Settings):
        name = entry.name.replace("_", "-")
        if isinstance(entry.default, bool):
            switches[f"--no-{name}" if entry.default else f"--{name}"] = (
                entry.name,
                not entry.default,
            )
        else:
            valued[f"--{name}"] = entry.name
    return valued, switches
