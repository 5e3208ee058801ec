"""The tables of docs/formats.md are those of the code."""

from __future__ import annotations

from enlarge.media.formats import READABLE, WRITERS
from enlarge.media.formats.format import Format, Writer
from enlarge.media.repair.boxes import BoxedRepair
from enlarge.media.repair.opening import repair_of
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "formats.md"
BITS = {"uint8": "8", "uint10": "10", "uint16": "16", "float32": "32 (float)"}
METADATA = {
    "icc": "ICC profile",
    "cicp": "HDR",
    "exif": "EXIF",
    "xmp": "XMP",
    "iptc": "IPTC",
    "text": "texts",
    "density": "resolution",
    "geo": "GeoTIFF",
}
"""The columns of the second table that say which metadata is written."""


def table(*rows: list[str]) -> str:
    head, *others = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *others])


def mark(is_so: bool) -> str:
    return "yes" if is_so else "–"


def read_row(name: str, entry: Format) -> list[str]:
    suffixes = " ".join(f"`{suffix}`" for suffix in entry.suffixes + entry.read_suffixes)
    salvage = not isinstance(repair_of(name), BoxedRepair)
    return [entry.label, suffixes, "`[formats]`" if entry.needs_extra else "", mark(salvage)]


def written_row(name: str, writer: Writer) -> list[str]:
    content = writer.content
    bits = ", ".join(BITS[depth] for depth in content.depths)
    side = "–" if writer.max_side == 2**31 - 1 else f"{writer.max_side:,}"
    held = [mark(kind in content.metadata) for kind in METADATA]
    return [f"`{name}`", bits, mark(content.alpha), *held, side]


def test_the_table_of_what_is_read() -> None:
    rows = [read_row(name, entry) for name, entry in READABLE.items()]
    expected = table(["format", "extensions", "requires", "`--salvage`"], *rows)
    assert expected in PAGE.read_text(encoding="utf-8"), f"docs/formats.md needs\n{expected}"


def test_the_table_of_what_is_written() -> None:
    rows = [written_row(name, writer) for name, writer in WRITERS.items()]
    columns = ["`--format`", "bits", "alpha", *METADATA.values(), "longest side"]
    expected = table(columns, *rows)
    assert expected in PAGE.read_text(encoding="utf-8"), f"docs/formats.md needs\n{expected}"
