"""DeepZoom: the tiles put together are the picture; all of it is there, or nothing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray

from enlarge.errors import InputError, OptionError, OutputError
from enlarge.media.formats import estimate_bytes
from enlarge.media.formats.deep_zoom import OVERLAP, TILE, describe_deep_zoom
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.temporary import sweep, temporary_name
from enlarge.media.writing import PictureSpec, Sink, WriteOptions, create_picture
from tests.media.test_writing import COPY, peak

SPACE = {"d": "http://schemas.microsoft.com/deepzoom/2008"}


def noise(
    width: int = 700, height: int = 530, channels: int = 3, dtype: Any = np.uint8
) -> NDArray[Any]:
    top = np.iinfo(dtype).max
    return np.random.default_rng(3).integers(0, top + 1, (height, width, channels), dtype=dtype)


def begin(target: Path, pixels: NDArray[Any], quality: int | None = None, **rest: Any) -> Sink:
    height, width, channels = pixels.shape
    spec = PictureSpec(width, height, channels, pixels.dtype)
    return create_picture(target, spec, WriteOptions(target.suffix[1:], quality), **rest)


def write(target: Path, pixels: NDArray[Any], **options: Any) -> list[str]:
    with begin(target, pixels, **options) as sink:
        for start in range(0, len(pixels), 50):
            sink.write(pixels[start : start + 50])
        sink.finish()
    return sink.notes


def joined(described: Path, tiles: Path, level: int | None = None) -> NDArray[Any]:
    """The picture at a level (default: the full size), put together by the description."""
    root = ElementTree.fromstring(described.read_text())
    size = root.find("d:Size", SPACE)
    assert size is not None
    full = (int(size.attrib["Width"]), int(size.attrib["Height"]))
    side, lap = int(root.attrib["TileSize"]), int(root.attrib["Overlap"])
    assert (side, lap) == (TILE, OVERLAP)
    top = (max(full) - 1).bit_length()
    level = top if level is None else level
    width, height = (-(-length // (1 << (top - level))) for length in full)
    out: NDArray[Any] | None = None
    names = {path.name for path in (tiles / str(level)).iterdir()}
    for row in range(-(-height // side)):
        for column in range(-(-width // side)):
            name = f"{column}_{row}.{root.attrib['Format']}"
            names.remove(name)
            image = pyvips.Image.new_from_file(str(tiles / str(level) / name))
            tile = np.asarray(image.numpy()).reshape(image.height, image.width, image.bands)
            if out is None:
                out = np.zeros((height, width, tile.shape[2]), tile.dtype)
            x, y = column * side - lap * (column > 0), row * side - lap * (row > 0)
            there = out[y : y + tile.shape[0], x : x + tile.shape[1]]
            assert there.shape == tile.shape
            there[:] = tile
    assert not names
    assert out is not None
    return out


@pytest.mark.parametrize(
    ("channels", "dtype"), [(3, np.uint8), (4, np.uint8), (1, np.uint8), (3, np.uint16)]
)
def test_tiles_put_together_are_the_picture(tmp_path: Path, channels: int, dtype: Any) -> None:
    pixels = noise(channels=channels, dtype=dtype)
    target = tmp_path / "a.dzi"
    assert write(target, pixels) == []
    np.testing.assert_array_equal(joined(target, tmp_path / "a_files"), pixels)
    levels = sorted(int(path.name) for path in (tmp_path / "a_files").iterdir() if path.is_dir())
    assert levels == list(range(11))
    if channels == 3:
        half = joined(target, tmp_path / "a_files", 9).astype(float)
        mean = pixels.reshape(265, 2, 350, 2, 3).mean((1, 3))
        assert np.abs(half - mean).max() <= 1
    assert joined(target, tmp_path / "a_files", 0).shape[:2] == (1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dzi", "a_files"]


def test_one_file_holds_the_same(tmp_path: Path) -> None:
    pixels = noise()
    facts = {"model": "fast", "scale": "4"}
    write(tmp_path / "사진 1.dzi", pixels, provenance=facts)
    write(tmp_path / "사진 1.szi", pixels, provenance=facts)
    with zipfile.ZipFile(tmp_path / "사진 1.szi") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name == "사진 1"
    for path in folder.rglob("*"):
        if path.is_file():
            other = tmp_path / path.relative_to(folder)
            assert path.read_bytes() == other.read_bytes(), path
    assert json.loads((folder / "사진 1_files/enlarge.json").read_text()) == facts
    np.testing.assert_array_equal(joined(folder / "사진 1.dzi", folder / "사진 1_files"), pixels)


@pytest.mark.parametrize("form", ["dzi", "szi"])
def test_the_same_bytes_every_time(tmp_path: Path, form: str) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / f"a.{form}", noise())
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two
    pixels = noise()
    pixels[0, 0, 0] ^= 1
    write(tmp_path / f"other.{form}", pixels)
    described = (tmp_path / f"other.{form}").read_bytes()
    assert described != (tmp_path / "one" / f"a.{form}").read_bytes(), "it names its tiles"


def test_below_100_tiles_are_jpegs(tmp_path: Path) -> None:
    notes = write(tmp_path / "a.dzi", noise(channels=4), quality=90)
    assert notes == ["DeepZoom holds no transparency: the picture is composited over white"]
    assert 'Format="jpg"' in (tmp_path / "a.dzi").read_text()
    smooth = np.linspace(0, 255, 600 * 400 * 3).reshape(400, 600, 3).astype(np.uint8)
    write(tmp_path / "b.dzi", smooth, quality=95)
    back = joined(tmp_path / "b.dzi", tmp_path / "b_files").astype(int)
    assert np.abs(back - smooth).max() <= 3


def test_what_it_does_not_keep(tmp_path: Path) -> None:
    metadata = Metadata(xmp=b"<x:xmpmeta/>", density=(3.0, 3.0))
    notes = write(tmp_path / "a.dzi", noise(), metadata=metadata, provenance={"model": "fast"})
    assert notes == ["not kept in DeepZoom: XMP data, resolution"]
    usual = Metadata(density=(72 / 25.4, 2.834))
    assert write(tmp_path / "a.dzi", noise(), metadata=usual) == []


def test_nothing_before_all_of_it(tmp_path: Path) -> None:
    pixels = noise()
    for form in ("dzi", "szi"):
        target = tmp_path / f"a.{form}"
        with begin(target, pixels) as sink:
            sink.write(pixels[:400])
            assert not target.exists()
        assert list(tmp_path.iterdir()) == []
        with begin(target, pixels) as sink:
            sink.write(pixels)
            with pytest.raises(RuntimeError, match="mine"):
                sink.finish(refuse)
        assert list(tmp_path.iterdir()) == []


def refuse(file: Any) -> None:
    assert file.read(2) in (b"<?", b"PK")
    raise RuntimeError("mine")


def test_a_second_one_takes_the_first_ones_place(tmp_path: Path) -> None:
    target = tmp_path / "a.dzi"
    write(target, noise())
    small = noise(300, 200)
    write(target, small)
    np.testing.assert_array_equal(joined(target, tmp_path / "a_files"), small)
    target.unlink()  # as a kill between the two names leaves it
    write(target, small)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dzi", "a_files"]


def test_a_folder_that_is_not_of_tiles_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "a_files"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    for with_target in (False, True):
        if with_target:
            (tmp_path / "a.dzi").write_text("<Image/>")
        with pytest.raises(OutputError, match=r"a_files: is needed for the tiles of a\.dzi"):
            begin(tmp_path / "a.dzi", noise())
    assert (folder / "letter.txt").read_text() == "mine"
    (folder / "letter.txt").rename(tmp_path / "letter.txt")
    (folder / "12").mkdir()  # another program's tiles: with their description they are replaced
    write(tmp_path / "a.dzi", noise())
    (folder / "enlarge.json").unlink()
    (tmp_path / "a.dzi").unlink()
    with pytest.raises(OutputError, match="a_files"):
        begin(tmp_path / "a.dzi", noise())


def test_a_sweep_removes_what_a_dead_process_left(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; import numpy as np\n"
        "from enlarge.media.writing import PictureSpec, WriteOptions, create_picture\n"
        "spec = PictureSpec(900, 900, 3, np.dtype(np.uint8))\n"
        "sink = create_picture(Path(sys.argv[1]), spec, WriteOptions('dzi'))\n"
        "sink.write(np.zeros((800, 900, 3), np.uint8)); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.dzi")], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    empty = tmp_path / temporary_name("b.dzi~tiles")
    empty.mkdir()
    pixels = noise()
    with begin(tmp_path / "c.dzi", pixels) as sink:
        sink.write(pixels)
        assert len(sweep(tmp_path)) == 3
        sink.finish()
    np.testing.assert_array_equal(joined(tmp_path / "c.dzi", tmp_path / "c_files"), pixels)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="szi cannot be written to a stream"):
        create_picture(io.BytesIO(), PictureSpec(9, 9, 3, np.dtype(np.uint8)), WriteOptions("szi"))
    with pytest.raises(OutputError, match="does not exist"):
        begin(tmp_path / "none" / "a.dzi", noise())


@pytest.mark.parametrize("form", ["dzi", "szi"])
def test_the_estimate_holds_for_noise(tmp_path: Path, form: str) -> None:
    pixels = noise(600, 600)
    write(tmp_path / f"a.{form}", pixels)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size <= estimate_bytes(form, 600, 600, 3, 1) / (2 if form == "szi" else 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_height(tmp_path: Path) -> None:
    peaks = []
    band = np.repeat(noise(20, 64), 100, axis=1)
    for height in (2048, 8192):
        pixels = np.broadcast_to(band, (height // 64, *band.shape)).reshape(-1, 2000, 3)
        source = tmp_path / f"{height}.tif"
        pyvips.Image.new_from_array(pixels).write_to_file(str(source))
        peaks.append(peak(COPY, source, tmp_path / f"out{height}.dzi", "dzi"))
    # The pixels that were added are 37 MB.
    assert peaks[1] < peaks[0] + 12e6, peaks
    assert peaks[1] < 250e6


@pytest.mark.parametrize("form", ["dzi", "szi"])
def test_what_inspect_says(tmp_path: Path, form: str) -> None:
    target = tmp_path / f"a.{form}"
    write(target, noise(), provenance={"model": "fast"})
    facts = describe_deep_zoom(target)
    assert (facts["width"], facts["height"]) == (700, 530)
    assert facts["tiles"] == "png, 254 with overlap 1"
    assert facts["provenance"] == {"model": "fast"}
    write(target, noise())
    assert describe_deep_zoom(target)["provenance"] is None
    for data in (b"", b"<html/>", b"PK\x03\x04"):
        target.write_bytes(data)
        with pytest.raises(InputError, match="does not describe a DeepZoom picture"):
            describe_deep_zoom(target)
