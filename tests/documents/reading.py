"""The commands and the Python of the documents, as a reader copies them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

README = ROOT / "README.md"
_INDENT = "    "
_COMMENT = re.compile(r"\s+#\s.*$")
_ENDS = frozenset({"|", "||", "&&", ";", ">", ">>", "<"})


@dataclass(frozen=True)
class Example:
    """A line of shell, or a block of Python, of a document. `text` is what the lists in
    `listed.py` call it: the command without its comment, or the block's first line.
    """

    document: str
    line: int
    language: str
    source: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"

    def enlarge(self) -> Iterator[list[str]]:
        """The arguments of every `enlarge` in a line of shell."""
        if self.language != "sh":
            return
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _ENDS:
                command.append(word)
                continue
            if command[:1] == ["enlarge"]:
                yield command[1:]
            command = []


def documents() -> list[Path]:
    """README.md and the pages of docs/."""
    return [README, *sorted((ROOT / "docs").glob("*.md"))]


def examples(path: Path) -> Iterator[Example]:
    """The examples of one document, in its order. Raises `AssertionError` for a fenced block in
    another language: nothing would run it.
    """
    name = path.relative_to(ROOT).as_posix()
    fence, block, begun = "", [""], 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```") and fence:
            yield Example(name, begun + 1, fence, "\n".join(block), block[0])
            fence = ""
        elif line.startswith("```"):
            fence, block, begun = line.removeprefix("```").strip() or "none", [], number
            assert fence == "python", f"{name}:{number}: a block of {fence}; indent commands"
        elif fence:
            block.append(line)
        elif line.startswith(_INDENT) and line.strip():
            source = line.strip()
            text = " ".join(_COMMENT.sub("", source).split())
            yield Example(name, number, "sh", source, text)


def option_mentions(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, context and name of every `--option` in the text of a document, not in examples."""
    fenced = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fenced ^= line.startswith("```")
        if fenced or line.startswith(_INDENT):
            continue
        for code in re.findall(r"`([^`]+)`", line):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code):
                yield number, code, option
