from __future__ import annotations

import xml.etree.ElementTree as Xml

import pytest

from enlarge.media.metadata.metadata import Metadata
from enlarge.media.metadata.provenance import NAMESPACE, provenance_of, with_provenance

FACTS = {"model": "fast <b>&\"'", "scale": "4", "tile": "64x48"}
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
CAMERA = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="' + RDF + '">'
    '<r:Description r:about="uuid:1" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Make="Ö"/>'
    "</r:RDF></x:xmpmeta>"
).encode()


def descriptions(packet: bytes) -> list[dict[str, str]]:
    return [element.attrib for element in Xml.fromstring(packet).iter(f"{{{RDF}}}Description")]


@pytest.mark.parametrize("packet", [None, CAMERA])
@pytest.mark.parametrize("text", [False, True])
def test_it_stands_beside_what_was_there(packet: bytes | None, text: bool) -> None:
    before = Metadata(xmp=packet, text=(("Title", "Café"),))
    after = with_provenance(before, FACTS, text=text)
    assert provenance_of(before) is None
    assert provenance_of(after) == FACTS
    assert after.xmp is not None
    *others, ours = descriptions(after.xmp)
    assert {
        k.removeprefix(f"{{{NAMESPACE}}}"): v for k, v in ours.items() if NAMESPACE in k
    } == FACTS
    assert len(others) == (packet is not None)
    if others:
        assert ours[f"{{{RDF}}}about"] == "uuid:1"
    assert after.text[0] == ("Title", "Café")
    assert len(after.text) == 1 + text


def test_an_enlargement_of_an_enlargement_says_only_the_last() -> None:
    once = with_provenance(Metadata(xmp=CAMERA), FACTS, text=True)
    twice = with_provenance(once, {"scale": "2"}, text=True)
    assert provenance_of(twice) == {"scale": "2"}
    assert twice.xmp is not None
    assert len(descriptions(twice.xmp)) == 2
    assert len(twice.text) == 1
    none = with_provenance(twice, None, text=True)
    assert provenance_of(none) is None
    assert none == Metadata(xmp=CAMERA)
    assert (
        with_provenance(with_provenance(Metadata(), FACTS, text=True), None, text=True)
        == Metadata()
    )


def test_the_text_alone_is_enough() -> None:
    for value, expected in (('{"scale": 4}', {"scale": "4"}), ("no json", None), ("[1]", None)):
        assert provenance_of(Metadata(text=(("enlarge", value),))) == expected


def test_a_packet_that_is_none_is_left_alone() -> None:
    broken = with_provenance(Metadata(xmp=b"\xff\xfe<"), FACTS, text=True)
    assert broken.xmp == b"\xff\xfe<"
    assert provenance_of(broken) == FACTS
