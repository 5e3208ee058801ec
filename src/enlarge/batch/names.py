"""Names of files: as ledgers hold them, within a file system's limit, and compared as
systems do that ignore case.
"""

from __future__ import annotations

import re
import unicodedata

from enlarge.media.temporary import shortened

_ESCAPE = re.compile(r"\\(\\|x([0-9a-f]{2}))")
_LOOKS_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
_LONGEST_ENDING = 100


def encodable_name(name: str) -> str:
    r"""A file name that SQLite can hold, even if its bytes are not text: those are
    written as `\xe9`. Different names stay different.
    """
    data = name.encode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "backslashreplace")
    if text == name and not _LOOKS_ESCAPED.search(name):
        return name
    return data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def decoded_name(text: str) -> str:
    """The file name of which `encodable_name` made `text`."""
    if not _LOOKS_ESCAPED.search(text):
        return text
    parts, end = [], 0
    for match in _ESCAPE.finditer(text):
        parts += [text[end : match.start()].encode(), b"\\"]
        if match[2]:
            parts[-1] = bytes.fromhex(match[2])
        end = match.end()
    return b"".join([*parts, text[end:].encode()]).decode("utf-8", "surrogateescape")


def fitting_name(stem: str, ending: str) -> str:
    """`stem` and `ending` in at most 255 bytes: a long stem is cut and gets a digest. An ending
    that leaves no room for a stem is not shortened.
    """
    if len(ending) > _LONGEST_ENDING:
        return stem + ending
    if not ending.lower().endswith(".dzi"):
        return shortened(stem, ending)
    beside = "_files"  # the folder of its tiles, whose name is longer
    return shortened(stem, ending[:-4] + beside).removesuffix(beside) + ending[-4:]


def folded_name(name: str) -> str:
    """The same for names that Windows and macOS take for one: upper and lower case, and composed
    and decomposed accents.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
