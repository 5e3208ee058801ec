"""Provenance: how a result was made, by model, version, scale and settings.

Without time, host and path, so that the same input gives the same bytes. It is part of the XMP
packet in every format, and also a text in PNG.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html import escape, unescape

from enlarge.media.metadata.metadata import Metadata

KEY = "enlarge"
"""The keyword of the PNG text, and the prefix in XMP."""
NAMESPACE = "urn:enlarge:provenance:1:"

_OURS = re.compile(
    rb"<\w+:Description\b[^>]*\bxmlns:" + KEY.encode() + rb"\s*=\s*[\"']"
    + NAMESPACE.encode() + rb"[\"'][^>]*?(?:/>|>\s*</\w+:Description\s*>)"
)  # fmt: skip
_FACT = re.compile(KEY.encode() + rb":([\w-]+)\s*=\s*\"([^\"]*)\"")
_END = re.compile(rb"</(\w+):RDF\s*>")
_ABOUT = re.compile(rb"\w+:about\s*=\s*(\"[^\"]*\"|'[^']*')")
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    '</x:xmpmeta><?xpacket end="w"?>'
).encode()


def provenance_of(metadata: Metadata) -> dict[str, str] | None:
    """How a picture was made if enlarge made it, else None."""
    if metadata.xmp is not None and (found := _OURS.search(metadata.xmp)):
        return {
            key.decode(): unescape(value.decode(errors="replace"))
            for key, value in _FACT.findall(found[0])
        }
    for key, value in metadata.text:
        if key == KEY:
            try:
                facts = json.loads(value)
            except ValueError:
                continue
            if isinstance(facts, dict):
                return {str(name): str(fact) for name, fact in facts.items()}
    return None


def with_provenance(metadata: Metadata, facts: Mapping[str, str] | None, *, text: bool) -> Metadata:
    """The metadata with `facts` as its provenance (None: without any), replacing an earlier one.

    `text`: as a text too.
    """
    kept = tuple(pair for pair in metadata.text if pair[0] != KEY)
    packet = metadata.xmp
    if packet is not None and NAMESPACE.encode() in packet:
        packet = _OURS.sub(b"", packet)
        packet = None if packet == _EMPTY else packet
    if facts is not None:
        packet = _inserted(_EMPTY if packet is None else packet, facts)
        if text:
            kept = (*kept, (KEY, json.dumps(dict(facts), ensure_ascii=False)))
    return replace(metadata, xmp=packet, text=kept)


def _inserted(packet: bytes, facts: Mapping[str, str]) -> bytes:
    """The packet with a description of the provenance; unchanged if it holds no RDF."""
    ends = list(_END.finditer(packet))
    if not ends:
        return packet
    end = ends[-1]
    rdf, about = end[1], _ABOUT.search(packet)
    listed = "".join(f' {KEY}:{name}="{escape(fact)}"' for name, fact in facts.items())
    ours = b"<%b:Description %b:about=%b xmlns:%b=\"%b\"%b/>" % (
        rdf, rdf, about[1] if about else b'""', KEY.encode(), NAMESPACE.encode(), listed.encode(),
    )  # fmt: skip
    return packet[: end.start()] + ours + packet[end.start() :]
