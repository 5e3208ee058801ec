"""The command line. One small file per command; heavy imports stay inside the functions."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TextIO

FAILED, USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130
STREAM = "-"
"""What stands for standard input and output on the command line."""
_HYPHEN = "\0-"
"""A lone `-` on its way through the parser, which would take it for an option. No argument can
hold a zero byte, so nothing else is spelled like this."""


def main() -> None:
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
        status = run(sys.argv[1:])
    except KeyboardInterrupt:
        say("enlarge: interrupted; nothing half-written was left", sys.stderr)
        status = INTERRUPTED
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    sys.exit(status)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit status. Every error is one line on stderr."""
    from cyclopts import CycloptsError

    from enlarge.cli.commands import app, help_text, version_text
    from enlarge.errors import EnlargeError, OptionError

    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--help" in options or "-h" in options:
        say(help_text(arguments[0]))
        return 0
    if "--version" in options:
        say(version_text())
        return 0
    try:
        result = app(
            [_HYPHEN if text == STREAM else text for text in arguments],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        say(f"enlarge: {_plain(error)} (see enlarge --help){_hint(arguments)}", sys.stderr)
        return USAGE
    except OptionError as error:
        say(f"enlarge: {_with_stream(str(error))}", sys.stderr)
        return USAGE
    except EnlargeError as error:
        say(f"enlarge: {_with_stream(str(error))}", sys.stderr)
        return FAILED
    except Exception as error:
        say(f"enlarge: {bug(error, verbose='-v' in options or '--verbose' in options)}", sys.stderr)
        return FAILED
    return result if isinstance(result, int) else 0


def say(text: str, stream: TextIO | None = None) -> OSError | None:
    """Print a line at once. Work goes on in silence where nobody reads any more (`| head`) or a log
    is full: why is returned, for those to whom it matters.
    """
    stream = sys.stdout if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None


def words(texts: Sequence[str]) -> list[str]:
    """Arguments as they were written, back from the parser."""
    return [STREAM if text == _HYPHEN else text for text in texts]


def _with_stream(text: str) -> str:
    """A message with its lone hyphens as they were written."""
    return text.replace(_HYPHEN, STREAM).replace(repr(_HYPHEN)[1:-1], STREAM)


def bug(error: Exception, *, verbose: bool) -> str:
    """The line about an exception that nobody foresaw; with `verbose`, its traceback follows."""
    import traceback

    (frame,) = traceback.extract_tb(error.__traceback__, limit=-1)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119 - as text
    line = f"this is a bug in enlarge, please report it: {what} ({place})"
    if verbose:
        return line + "\n" + "".join(traceback.format_exception(error)).rstrip()
    return line + "; -v shows where"


def _plain(error: Exception) -> str:
    from cyclopts.exceptions import UnusedCliTokensError

    unused = getattr(error, "unused_tokens", None)
    if isinstance(error, UnusedCliTokensError) and unused:
        return f"unexpected {' '.join(words(unused))!r}"
    text = " ".join(str(error).split()).rstrip(".").replace(_HYPHEN, STREAM)
    return text[:1].lower() + text[1:]


def _hint(arguments: Sequence[str]) -> str:
    """Where a file is named like the command that was understood."""
    from enlarge.cli.commands import COMMANDS

    name = arguments[0] if arguments else ""
    is_file = name in COMMANDS and os.path.isfile(name)  # noqa: PTH113 - as text
    return f"; a file named {name} is given as ./{name}" if is_file else ""
