"""The parser of the command line, and its help."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from cyclopts import App

from enlarge.cli.table import COMMANDS, MODULES
from enlarge.cli.upscale import upscale
from enlarge.version import __version__

WIDTH, COLUMN = 79, 24
GROUPS = ("Inputs", "Size", "Output", "Model", "Machine")
"""The order of the groups in the help of the default command. Other groups come in the order of
their first option, and the general options last.
"""

# Help and version are our own: the library's own ones load twice as much.
app = App(name="enlarge", help_flags=(), version_flags=(), suppress_keyboard_interrupt=False)
app.default(upscale)
for _name in COMMANDS:
    _module = MODULES.get(_name, _name)
    app.command(f"enlarge.cli.{_module}:{_module}", name=_name)


def version_text() -> str:
    """What `--version` prints."""
    return f"enlarge {__version__}"


def help_text(name: str) -> str:
    """The help of a command, or of the default one where no command is called `name`."""
    lines = list(_help_of_command(name) if name in COMMANDS else _help_of_enlarge())
    return "\n".join(lines)


def _help_of_enlarge() -> Iterator[str]:
    yield "enlarge INPUT... [-o OUT] [options]"
    yield "enlarge COMMAND ...        enlarge COMMAND --help shows more"
    yield ""
    yield "Enlarge photographs with a trained network: photo.jpg becomes photo_x4.png."
    yield ""
    yield from _parameters(app)
    yield "Commands"
    for name, summary in COMMANDS.items():
        yield from _entry(name, summary)
    yield ""
    yield from textwrap.wrap(
        "For a file named like a command, write ./train. Exit status: 0 all done, "
        "1 failed, 2 wrong command line, 3 some of several inputs failed, 130 interrupted.",
        WIDTH,
    )


def _help_of_command(name: str) -> Iterator[str]:
    arguments = " ".join(
        _label(argument) for argument in _collected(app[name]) if not argument.name.startswith("-")
    )
    yield f"enlarge {name} {arguments}".rstrip() + " [options]"
    yield ""
    yield from textwrap.wrap(COMMANDS[name], WIDTH)
    yield ""
    yield from list(_parameters(app[name]))[:-1]


def _collected(command: App) -> list[Any]:
    arguments = command.assemble_argument_collection(parse_docstring=False)
    return [argument for argument in arguments if argument.name != "*"]  # not the dataclasses


def _parameters(command: App) -> Iterator[str]:
    """Every group of parameters with its entries, each group followed by an empty line."""
    groups: dict[str, list[Any]] = {}
    for argument in _collected(command):
        (group,) = argument.parameter.group
        title = "Options" if group.name == "Parameters" else group.name
        groups.setdefault(title, []).append(argument)
    order = {title: place for place, title in enumerate(GROUPS)}
    for title in sorted(groups, key=lambda title: (title == "Options", order.get(title, 0))):
        yield title
        for argument in groups[title]:
            yield from _entry(_label(argument), " ".join(str(argument.parameter.help).split()))
        if title == "Options":
            yield from _entry("-h, --help", "Show this help.")
            yield from _entry("--version", "Show the version.")
        yield ""


def _label(argument: Any) -> str:
    """`-o, --output OUT`, or `RECIPE` for what is given by its place."""
    if not argument.name.startswith("-"):
        many = argument.field_info.kind is argument.field_info.VAR_POSITIONAL
        single = str(argument.name).removesuffix("S") if many else str(argument.name)
        return f"{single}..." if many else single
    names = ", ".join(sorted(argument.names, key=len))
    return f"{names} {_value(argument)}".rstrip()


def _value(argument: Any) -> str:
    """What an option takes: its choices, its metavar or its type; nothing for a switch."""
    if argument.parameter.metavar:
        return str(argument.parameter.metavar)
    if get_origin(argument.hint) is Literal:
        return "|".join(map(str, get_args(argument.hint)))
    return "" if argument.hint is bool else "TEXT"


def _entry(label: str, text: str) -> Iterator[str]:
    """A label and its text beside it, or below it where the label is long."""
    lines = textwrap.wrap(text, WIDTH - COLUMN)
    if len(label) + 4 > COLUMN:
        yield f"  {label}"
    elif lines:
        yield f"  {label}".ljust(COLUMN) + lines.pop(0)
    for line in lines:
        yield " " * COLUMN + line
