"""An XML document whose parts know where they stand, so that it is edited byte for byte.

The standard library's expat finds the elements; it resolves no external entities, and a document
that declares a DTD is refused. Namespaces are resolved here, leniently: XMP in the wild uses
prefixes that it does not declare.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

_ATTRIBUTE = re.compile(rb"\s+([^\s=<>/]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_NAME = re.compile(rb"<([^\s/>]+)")
_TEXT_KEPT = 1 << 16
"""Bytes of an element's text that are kept; longer ones are embedded files."""
_MOST_PARTS, _MOST_DEPTH = 100_000, 100
"""Elements and attributes of a document that is parsed, and elements around one: more would take
seconds and 100 MB.
"""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True)
class Attribute:
    """An attribute: its name as written, its value, its span (with the space before it) and
    where its value does (without the quotes).
    """

    name: str
    value: str
    span: ByteRange
    inside: ByteRange


@dataclass(eq=False)
class Element:
    """An element: its name as written, its attributes, the prefixes that it declares, its text
    (without that of its children), its children, and where it and what is in it stand.
    """

    name: str
    parent: Element | None
    attributes: list[Attribute]
    prefixes: Mapping[str, str]
    span: ByteRange
    inside: ByteRange
    children: list[Element] = field(default_factory=list)
    text: str = ""

    @property
    def local(self) -> str:
        """Its name without the prefix."""
        return self.name.rpartition(":")[2]

    def uri_of(self, prefix: str) -> str | None:
        """The namespace that a prefix stands for; None if it is not declared."""
        around: Element | None = self
        while around is not None:
            if prefix in around.prefixes:
                return around.prefixes[prefix]
            around = around.parent
        return None

    def ancestors(self) -> Iterator[Element]:
        """The elements around it, from the nearest."""
        around = self.parent
        while around is not None:
            yield around
            around = around.parent


class XmlPacket:
    """A parsed document. `data`: it in UTF-8, up to the end of its outermost element and what
    comments or instructions follow; `elements` in their order, the outermost first.

    Raises `ValueError` if it is not well formed or declares a DTD.
    """

    def __init__(self, data: bytes) -> None:
        self.data = _in_utf8(data)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self._parts = 0
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            parser.Parse(self.data, True)
        except expat.ExpatError as error:
            if self._open or not self.elements:
                raise ValueError(f"it is not well-formed XML ({error})") from error
            self.data = self.data[: self.elements[0].span.end]  # what follows is not XML

    @property
    def root(self) -> Element:
        """The outermost element."""
        return self.elements[0]

    def source(self, span: ByteRange) -> bytes:
        """The bytes of a span."""
        return self.data[span.start : span.end]

    def edited(self, edits: Mapping[ByteRange, bytes]) -> bytes:
        """The document with spans replaced; those inside a replaced one are not looked at."""
        out, at = [], 0
        for span in sorted(edits, key=lambda span: (span.start, -span.end)):
            if span.start >= at:
                out += [self.data[at : span.start], edits[span]]
                at = max(at, span.end)
        return b"".join([*out, self.data[at:]])

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type")

    def _start(self, name: str, values: list[str]) -> None:
        self._parts += 1 + len(values) // 2
        if self._parts > _MOST_PARTS:
            raise ValueError(f"it has more than {_MOST_PARTS:,} elements and attributes")
        if len(self._open) > _MOST_DEPTH:
            raise ValueError(f"its elements are nested more than {_MOST_DEPTH} deep")
        start = self._parser.CurrentByteIndex
        match = _NAME.match(self.data, start)
        assert match is not None
        at, attributes = match.end(), []
        for number in range(0, len(values), 2):
            found = _ATTRIBUTE.match(self.data, at)
            assert found is not None
            at = found.end()
            span, inside = ByteRange(found.start(), at), ByteRange(found.start(2) + 1, at - 1)
            attributes.append(Attribute(values[number], values[number + 1], span, inside))
        end = self.data.index(b">", at) + 1
        parent = self._open[-1] if self._open else None
        element = Element(
            name,
            parent,
            attributes,
            _declared(attributes),
            ByteRange(start, end),
            ByteRange(end, end),
        )
        if parent is not None:
            parent.children.append(element)
        self.elements.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        element = self._open.pop()
        if self.data[element.span.end - 2 : element.span.end] == b"/>":
            return
        at = self._parser.CurrentByteIndex
        element.inside = ByteRange(element.inside.start, at)
        element.span = ByteRange(element.span.start, self.data.index(b">", at) + 1)

    def _characters(self, text: str) -> None:
        if self._open and len(self._open[-1].text) < _TEXT_KEPT:
            self._open[-1].text += text[:_TEXT_KEPT]


def _declared(attributes: list[Attribute]) -> Mapping[str, str]:
    """The prefixes that attributes declare; the empty one is that of names without one."""
    return {
        a.name.removeprefix("xmlns").removeprefix(":"): a.value
        for a in attributes
        if is_declaration(a.name)
    }


def is_declaration(name: str) -> bool:
    """Whether an attribute of this name declares a prefix."""
    return name == "xmlns" or name.startswith("xmlns:")


def _in_utf8(data: bytes) -> bytes:
    """The document in UTF-8, without a byte order mark and zero bytes around it."""
    data = data.strip(b"\0") if data[:1] == b"<" and data[1:2] != b"\0" else data
    for mark, coding in _MARKS:
        if data.startswith(mark):
            try:
                text = data[: len(data) // 4 * 4 if "32" in coding else len(data)].decode(coding)
            except UnicodeDecodeError as error:
                raise ValueError(f"it is no {coding} text") from error
            data = text.lstrip("\ufeff").rstrip("\0").encode()
            break
    data = data.lstrip()
    return re.sub(rb"\A<\?xml\s[^>]*\?>\s*", b"", data)
