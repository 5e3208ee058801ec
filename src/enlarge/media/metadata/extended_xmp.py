"""XMP that is too long for a segment of a JPEG: a packet, and an extension in several segments
(Adobe's XMP Specification, part 3, 1.1.3.1).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

from enlarge.media.metadata.prefixes import XMP_EXTENSION
from enlarge.media.metadata.xml_packet import ByteRange, Element, XmlPacket, is_declaration
from enlarge.media.metadata.xmp import own_attributes, property_of

_HEAD = struct.Struct(">32sII")
"""Before each part: the digest of the extension, its length, and the part's offset in it."""
_MOST = 1 << 28
_NOTE = b' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="%b"/>'
_RDF = b' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'


def joined_xmp(packet: bytes, parts: Sequence[bytes]) -> tuple[bytes, bool]:
    """The packet with the descriptions of its extension, and whether that was complete.

    `parts`: the segments' contents behind `XMP_EXTENSION`, in any order, and of any extension;
    those that the packet does not name are no part of it. A packet that is not XML stays as it is.
    """
    try:
        document = XmlPacket(packet)
    except ValueError:
        return packet, True
    named = _extension_named(document)
    if named is None:
        return packet, True
    span, digest = named
    data = _assembled(parts, digest)
    if data is None:
        return packet, False
    try:
        extension = XmlPacket(data)
    except ValueError:
        return packet, False
    main = _rdf(document)
    if main is None or main.inside.start == main.inside.end:
        return packet, False
    added = b"".join(_standing_alone(extension, element) for element in (_descriptions(extension)))
    end = ByteRange(main.inside.end, main.inside.end)
    return document.edited({span: b"", end: added}), True


def _extension_named(document: XmlPacket) -> tuple[ByteRange, bytes] | None:
    """Where a packet names its extension, and its digest."""
    for element in document.elements:
        values = [(element.span, element.name, element.text)]
        values += [(a.span, a.name, a.value) for a in element.attributes]
        for span, name, text in values:
            if property_of(element, name, text).key == ("xmpNote", "HasExtendedXMP"):
                return span, text.strip().encode()
    return None


def _assembled(parts: Sequence[bytes], named: bytes) -> bytes | None:
    """The extension of this digest; None if something is missing."""
    whole, covered = bytearray(), 0
    found = {}
    for part in parts:
        if len(part) < _HEAD.size:
            continue
        digest, total, offset = _HEAD.unpack_from(part)
        if digest.upper() == named.upper() and total <= _MOST:
            found[offset] = (part[_HEAD.size :], total)
    for offset in sorted(found):
        data, total = found[offset]
        if offset != covered:
            return None
        whole += data
        covered = len(whole)
        if covered >= total:
            return bytes(whole[:total])
    return None


def split_xmp(packet: bytes, most: int, segment: int) -> tuple[bytes, list[bytes]]:
    """A packet of at most `most` bytes and the segments of its extension (each at most `segment`
    bytes, with `XMP_EXTENSION`). The longest properties go into it first. The packet itself, and no
    segments, if it is short enough or cannot be divided so.
    """
    if len(packet) <= most:
        return packet, []
    try:
        document = XmlPacket(packet)
    except ValueError:
        return packet, []
    descriptions = list(_descriptions(document))
    if not descriptions:
        return packet, []
    edits: dict[ByteRange, bytes] = {}
    moved: list[bytes] = []
    tail = document.root.span.end
    edits[ByteRange(tail, len(document.data))] = b""  # what pads the packet
    head = _head(document, descriptions[0])
    left = tail + len(head) + len(_NOTE) + 32
    for span, alone in sorted(
        _properties(document), key=lambda pair: -len(document.source(pair[0]))
    ):
        if left <= most:
            break
        left -= span.end - span.start
        edits[span] = b""
        moved.append(alone)
    extension = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF%b>%b</rdf:RDF></x:xmpmeta>' % (
        _RDF, b"".join(moved),
    )  # fmt: skip
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()
    start = descriptions[0].span.start
    edits[ByteRange(start, start)] = head + _NOTE % digest
    step = segment - len(XMP_EXTENSION) - _HEAD.size
    segments = [
        XMP_EXTENSION + _HEAD.pack(digest, len(extension), at) + extension[at : at + step]
        for at in range(0, len(extension), step)
    ]
    short = document.edited(edits)
    return (short, segments) if len(short) <= most else (packet, [])


def _properties(document: XmlPacket) -> Iterator[tuple[ByteRange, bytes]]:
    """The place of each top-level property, and a description that holds nothing else."""
    for description in _descriptions(document):
        name = description.name.encode()
        head = _head(document, description) + _declarations(description)
        for attribute in own_attributes(description):
            yield attribute.span, head + document.source(attribute.span) + b"/>"
        for child in description.children:
            whole = document.source(child.span)
            yield child.span, head + b">" + whole + b"</" + name + b">"


def _head(document: XmlPacket, description: Element) -> bytes:
    """The beginning of a description of the same thing, without declarations."""
    about = b"".join(
        document.source(a.span)
        for a in description.attributes
        if property_of(description, a.name, "").key == ("rdf", "about")
    )
    return b"<" + description.name.encode() + about


def _rdf(document: XmlPacket) -> Element | None:
    for element in document.elements:
        if property_of(element, element.name, "").key == ("rdf", "RDF"):
            return element
    return None


def _descriptions(document: XmlPacket) -> list[Element]:
    """The top-level descriptions."""
    rdf = _rdf(document)
    return [] if rdf is None else rdf.children


def _standing_alone(document: XmlPacket, element: Element) -> bytes:
    """An element with the declarations of those around it."""
    start = element.span.start + 1 + len(element.name.encode())
    own = {a.name for a in element.attributes if is_declaration(a.name)}
    around = _declarations(element, own)
    source = document.source(element.span)
    at = start - element.span.start
    return source[:at] + around + source[at:]


def _declarations(element: Element, own: set[str] | frozenset[str] = frozenset()) -> bytes:
    """The declarations of the prefixes that are known at an element, but for its `own`."""
    known: dict[str, str] = {}
    for around in (*reversed(list(element.ancestors())), element):
        known |= around.prefixes
    out = b""
    for prefix, uri in known.items():
        name = f"xmlns:{prefix}" if prefix else "xmlns"
        if name not in own:
            escaped = uri.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
            out += f' {name}="{escaped}"'.encode()
    return out
