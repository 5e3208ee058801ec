"""Printing, exit statuses, and arguments that look like options to the parser."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

FAILED, USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130
"""Exit statuses; 0 is success."""
STREAM = "-"
"""Standard input or output on the command line."""
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\udc80-\udcff]")
"""Controls of terminals, ends of lines, controls of the direction of writing, and what Python makes
of bytes that are no text."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_HYPHEN = "\0-"
"""A lone `-` while the parser handles it, which would take it for an option. No argument can hold a
zero byte, so nothing else is spelled like this."""


def say(text: str, stream: TextIO | None = None) -> OSError | None:
    """Print a line and flush it. Returns the error where the stream cannot be written (a closed
    pipe, a full disk); what is printed afterwards is then discarded, and the work continues.
    """
    stream = sys.stdout if stream is None else stream
    try:
        try:
            print(text, file=stream, flush=True)
        except UnicodeEncodeError:  # a stream that `main` has not made tolerant
            encoding = stream.encoding or "ascii"
            known = text.encode(encoding, "backslashreplace").decode(encoding)
            print(known, file=stream, flush=True)
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None


def one_line(text: str) -> str:
    r"""Text that stays on one line and does not control the terminal, whatever names it holds:
    bytes that are no text are printed as `\xe9`, control characters as `\n`.
    """
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else repr(match[0])[1:-1]


def json_text(document: Any) -> str:
    """A document as JSON that standard output can hold."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower()
    is_unicode = encoding.replace("-", "").replace("_", "") == "utf8"
    text = json.dumps(document, ensure_ascii=not is_unicode, indent=2)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def hide_hyphens(arguments: Sequence[str]) -> list[str]:
    """Arguments for the parser: a lone `-` replaced by text that it does not take for an option."""
    return [_HYPHEN if text == STREAM else text for text in arguments]


def restore_hyphens(arguments: Sequence[str]) -> list[str]:
    """Arguments as they were typed, back from the parser."""
    return [STREAM if text == _HYPHEN else text for text in arguments]


def quote_hyphens(message: str) -> str:
    """A message with its lone hyphens as they were typed."""
    return message.replace(_HYPHEN, STREAM).replace(repr(_HYPHEN)[1:-1], STREAM)


def describe_bug(error: Exception, *, verbose: bool) -> str:
    """The line about an unexpected exception; with `verbose`, its traceback follows."""
    import traceback

    (frame,) = traceback.extract_tb(error.__traceback__, limit=-1)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119 - as text
    line = f"this is a bug in enlarge, please report it: {what} ({place})"
    if verbose:
        return line + "\n" + "".join(traceback.format_exception(error)).rstrip()
    return line + "; use -v for the traceback"
