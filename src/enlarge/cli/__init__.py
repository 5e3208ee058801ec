"""The command line. One small file per command; heavy imports stay inside the functions."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from enlarge.cli.console import (
    FAILED,
    INTERRUPTED,
    USAGE,
    describe_bug,
    hide_hyphens,
    one_line,
    quote_hyphens,
    restore_hyphens,
    say,
)
from enlarge.cli.starting import flush_streams, importing


def main() -> NoReturn:
    """The `enlarge` command. Exit status: 0 done, 1 failed, 2 a wrong command line, 3 some of
    several inputs failed, 130 interrupted.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes that are no text, and a terminal may know no ×.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # see `enlarge.__main__`
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        say("enlarge: interrupted; no unfinished files are left", sys.stderr)
        status = INTERRUPTED
    flush_streams()
    sys.exit(status)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit status. Every error is one line on stderr."""
    with importing():
        from enlarge.cli.common import read_common
        from enlarge.errors import DataError, EnlargeError, OptionError

    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    asked = [text for text in ("--help", "-h", "--version") if text in options]
    try:
        if asked:
            with importing():
                from enlarge.cli.commands import help_text, version_text

            say(version_text() if asked == ["--version"] else help_text(arguments[0]))
            return 0
        if (line := read_common(arguments)) is None:
            return _parse_and_run(arguments)
        with importing():
            from enlarge.cli.enlarge import enlarge_pictures

        return enlarge_pictures(*line)
    except OptionError as error:
        say(f"enlarge: {one_line(quote_hyphens(str(error)))}", sys.stderr)
        return USAGE
    except DataError as error:
        lines = [f"enlarge: {error.message}", *(f"  {line}" for line in error.details)]
        say("\n".join(one_line(quote_hyphens(line)) for line in lines), sys.stderr)
        return FAILED
    except EnlargeError as error:
        say(f"enlarge: {one_line(quote_hyphens(str(error)))}", sys.stderr)
        return FAILED
    except Exception as error:
        verbose = "-v" in options or "--verbose" in options
        say(f"enlarge: {describe_bug(error, verbose=verbose)}", sys.stderr)
        return FAILED


def _parse_and_run(arguments: Sequence[str]) -> int:
    with importing():
        from cyclopts import CycloptsError

        from enlarge.cli.commands import app

    try:
        result = app(
            hide_hyphens(arguments),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        say(f"enlarge: {_plain(error)} (see enlarge --help){_hint(arguments)}", sys.stderr)
        return USAGE
    return result if isinstance(result, int) else 0


def _plain(error: Exception) -> str:
    from cyclopts.exceptions import UnusedCliTokensError

    unused = getattr(error, "unused_tokens", None)
    if isinstance(error, UnusedCliTokensError) and unused:
        return f"unexpected {' '.join(restore_hyphens(unused))!r}"
    text = quote_hyphens(" ".join(str(error).split()).rstrip("."))
    return text[:1].lower() + text[1:]


def _hint(arguments: Sequence[str]) -> str:
    """Where a file is named like the command that was understood."""
    from enlarge.cli.table import COMMANDS

    name = arguments[0] if arguments else ""
    is_file = name in COMMANDS and os.path.isfile(name)  # noqa: PTH113 - as text
    return f"; for a file named {name}, write ./{name}" if is_file else ""
