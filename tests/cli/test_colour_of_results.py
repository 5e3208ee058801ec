"""Colour through the command: archives, pyramids, tiles, kept bands, notes and provenance."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from threading import Event
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from enlarge.cli import run
from enlarge.errors import Cancelled
from enlarge.keywords import FileOptions
from enlarge.media.colour.colour import Cicp, Colour
from enlarge.media.colour.profile_making import profile_of
from enlarge.media.formats.gain_map import NOTE
from enlarge.media.parts import count_parts
from enlarge.picture import outlook
from enlarge.upscaler import open_model
from tests.media.colour_files import CLLI, MDCV, PQ_CHUNK, chunks_of, gama, png, png16, profile_in
from tests.media.exiftool import CASES

Said = pytest.CaptureFixture[str]
HDR = [PQ_CHUNK, (b"mDCV", MDCV), (b"cLLI", CLLI)]
LINEAR = profile_of(Colour(gamma=100_000), 3)


def _hdr(path: Path, height: int = 24) -> Path:
    pixels = np.random.default_rng(6).integers(0, 2**16, (height, 32, 3), np.uint16)
    return png16(path, pixels, *HDR)


def _linear(path: Path) -> Path:
    pixels = np.random.default_rng(6).integers(0, 256, (24, 32, 3), np.uint8)
    return png(path, Image.fromarray(pixels), gama(100_000))


def test_hdr_is_said_and_kept(here: Path, capsys: Said) -> None:
    _hdr(here / "a.png")
    assert run(["a.png", "-o", "b.webp", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert len([note for note in result["notes"] if "HDR" in note]) == 1
    assert run(["a.png", "-o", "c.jpg"]) == 0
    assert "holds no HDR" in capsys.readouterr().err
    assert run(["a.png", "-o", "d.png"]) == 0
    assert "HDR" not in capsys.readouterr().err
    kept = chunks_of((here / "d.png").read_bytes())
    assert all(kept[kind] == data for kind, data in HDR)
    assert run(["inspect", "d.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["colour"].startswith("BT.2100 PQ (HDR)")


def test_an_archive_of_results(here: Path) -> None:
    (here / "in").mkdir()
    _hdr(here / "in" / "a.png")
    _linear(here / "in" / "b.png")
    assert run(["in", "-o", "out.zip"]) == 0
    with zipfile.ZipFile("out.zip") as archive:
        names = {Path(name).name: archive.read(name) for name in archive.namelist()}
    kept = chunks_of(names["a.png"])
    assert all(kept[kind] == data for kind, data in HDR)
    assert chunks_of(names["b.png"])[b"gAMA"] == gama(100_000)[1]


def test_pyramids_and_tiles_have_the_profile(here: Path) -> None:
    _linear(here / "a.png")
    assert run(["a.png", "-o", "b.tif", "--pyramid"]) == 0
    assert profile_in(here / "b.tif") == LINEAR
    for name, quality in (("c.dzi", "100"), ("d.dzi", "90")):
        assert run(["a.png", "-o", name, "--quality", quality]) == 0
        tiles = [path for path in here.glob(f"{name[0]}_files/*/*") if path.suffix != ".json"]
        assert len(tiles) > 3
        for tile in tiles:
            assert profile_in(tile) == LINEAR
    assert run(["a.png", "-o", "e.szi"]) == 0
    with zipfile.ZipFile("e.szi") as archive:
        name = next(name for name in archive.namelist() if name.endswith("/0_0.png"))
        with Image.open(io.BytesIO(archive.read(name))) as image:
            assert image.info["icc_profile"] == LINEAR


@pytest.mark.parametrize("colour", ["keep", "srgb"])
def test_a_resumed_result(
    here: Path, monkeypatch: pytest.MonkeyPatch, colour: Literal["keep", "srgb"]
) -> None:
    """The same, byte for byte, as without an interruption."""
    monkeypatch.setattr(outlook, "RESUMABLE", 1)
    source = _hdr(here / "a.png", 200)
    model = open_model("fast")
    options: FileOptions = {"tile": 60, "colour": colour}
    model.upscale_file(source, here / "whole.png", **options)
    cancel = Event()
    with pytest.raises(Cancelled):
        model.upscale_file(
            source, here / "b.png", cancel=cancel, **options,
            progress=lambda progress: cancel.set() if progress.done > 2 else None,
        )  # fmt: skip
    assert count_parts(here / "b.png") > 0
    model.upscale_file(source, here / "b.png", **options)
    data = (here / "b.png").read_bytes()
    assert data == (here / "whole.png").read_bytes()
    assert (b"cICP" in chunks_of(data)) == (colour == "keep")
    assert (b"sRGB" in chunks_of(data)) == (colour == "srgb")


def test_a_conversion_is_recorded(here: Path, capsys: Said) -> None:
    image = Image.new("RGB", (16, 12), (200, 40, 30))
    png(here / "a.png", image, icc_profile=profile_of(Colour(Cicp(12, 13)), 3))
    assert run(["a.png", "-o", "b.png", "--colour", "srgb", "--metadata", "none"]) == 0
    with Image.open("b.png") as large:
        assert np.abs(np.asarray(large)[20, 20].astype(int) - [218, 0, 4]).max() <= 2
    capsys.readouterr()
    assert run(["inspect", "b.png", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["provenance"]["colour"] == "srgb"
    assert (facts["colour"], facts["profile"]) == ("sRGB", None)
    assert run(["a.png", "-o", "c.png", "--metadata", "none"]) == 0
    assert profile_in(here / "c.png") == profile_of(Colour(Cicp(12, 13)), 3)
    assert run(["a.png", "-o", "d.png", "--colour", "p3"]) == 2


@pytest.mark.skipif(not CASES.is_dir(), reason=f"needs {CASES}")
def test_reported_pictures(here: Path, capsys: Said) -> None:
    assert run([str(CASES / "ultrahdr.jpg"), "-o", "u.jpg"]) == 0
    assert NOTE in capsys.readouterr().err
    assert run([str(CASES / "png_gama10.png"), "-o", "g.png"]) == 0
    assert chunks_of((here / "g.png").read_bytes())[b"gAMA"] == gama(100_000)[1]
    assert run([str(CASES / "png_cicp_pq.png"), "-o", "p.avif"]) == 0
    assert "HDR" not in capsys.readouterr().err
