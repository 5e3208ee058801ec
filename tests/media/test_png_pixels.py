"""PNGs compressed in strips: read back by another decoder, chunk by chunk."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from enlarge.errors import OutputError
from enlarge.media.formats import png
from enlarge.media.formats.png_chunks import chunks_of
from enlarge.media.metadata.metadata import Metadata
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

WIDE = (1 << 19) + 3
"""Pixels of a row that is longer than a strip."""


@pytest.fixture(params=["isal", "libvips"])
def encoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of compressing."""
    name: str = request.param
    if name == "isal":
        pytest.importorskip("isal")
    else:
        monkeypatch.setattr(png, "find_spec", lambda name: None)
    return name


def written(path: Path, pixels: NDArray[Any], step: int, **metadata: Any) -> bytes:
    height, width, channels = pixels.shape
    spec = PictureSpec(width, height, channels, pixels.dtype)
    options, about = WriteOptions("png"), Metadata(**metadata)
    with create_picture(path, spec, options, metadata=about) as sink:
        for top in range(0, height, step):
            sink.write(pixels[top : top + step])
        sink.finish()
    return path.read_bytes()


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    file = io.BytesIO(data)
    return [(kind, data[at : at + length]) for kind, at, length in chunks_of(file)]


def random(height: int, width: int, channels: int, kind: str) -> NDArray[Any]:
    top = np.iinfo(kind).max
    slope = np.linspace(0, top - 99, width * height).reshape(height, width, 1)
    noise = np.random.default_rng(5).integers(0, 99, (height, width, channels))
    return (slope + noise).astype(kind)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (700, 811), (2, WIDE)], ids=str)
def test_pixels_are_those_that_were_written(
    tmp_path: Path, encoder: str, height: int, width: int, kind: str, channels: int
) -> None:
    pixels = random(height, width, channels, kind)
    data = written(tmp_path / "a.png", pixels, 97)
    with open_picture(tmp_path / "a.png") as picture:
        assert picture.facts.dtype == kind
        np.testing.assert_array_equal(picture.rows().read(height), pixels)
    if kind == "uint8" or channels == 1:  # Pillow has no 16-bit colour
        with Image.open(io.BytesIO(data)) as image:
            found = np.asarray(image).reshape(pixels.shape)
        np.testing.assert_array_equal(found, pixels)
    names = [kind for kind, _ in chunks(data)]
    assert (names[0], names[-1]) == (b"IHDR", b"IEND")


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_strips_are_one_stream_with_its_checksum(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("isal")
    pixels = random(1500, 700, 3, kind)
    found = chunks(written(tmp_path / "a.png", pixels, 1500))
    strips = [data for name, data in found if name == b"IDAT"]
    assert len(strips) >= 4  # 3.1 MB, and the end
    stream = zlib.decompressobj()
    raw = stream.decompress(b"".join(strips))
    assert stream.eof  # so the checksum is right
    assert not stream.unused_data
    rows = np.frombuffer(raw, np.uint8).reshape(1500, -1)
    assert (rows[:, 0] == 2).all()  # the filter of every row is "up"
    wide = pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(1500, -1)
    np.testing.assert_array_equal(np.add.accumulate(rows[:, 1:], axis=0, dtype=np.uint8), wide)


def test_profile_and_density_are_written_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("isal")
    profile = pytest.importorskip("PIL.ImageCms")
    icc = profile.ImageCmsProfile(profile.createProfile("sRGB")).tobytes()
    pixels = random(9, 7, 3, "uint8")
    about = {"icc": icc, "density": (11.8111, 5.9), "text": (("Title", "a word"),)}
    ours = dict(chunks(written(tmp_path / "a.png", pixels, 9, **about)))
    monkeypatch.setattr(png, "find_spec", lambda name: None)
    theirs = dict(chunks(written(tmp_path / "b.png", pixels, 9, **about)))
    assert set(ours) == set(theirs)
    for name in (b"IHDR", b"pHYs", b"tEXt"):
        assert ours[name] == theirs[name]
    both = [zlib.decompress(found[b"iCCP"].partition(b"\0")[2][1:]) for found in (ours, theirs)]
    assert both == [icc, icc]


def test_a_full_disk_ends_the_compression(tmp_path: Path, encoder: str) -> None:
    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    spec = PictureSpec(900, 4000, 3, np.dtype(np.uint8))
    band = random(1000, 900, 3, "uint8")

    def write() -> None:
        target: Any = Full()
        with create_picture(target, spec, WriteOptions("png")) as sink:
            for _ in range(4):
                sink.write(band)
            sink.finish()

    with pytest.raises(OutputError, match="No space left"):
        write()


def test_an_aborted_picture_leaves_nothing(tmp_path: Path, encoder: str) -> None:
    spec = PictureSpec(900, 4000, 3, np.dtype(np.uint8))
    with create_picture(tmp_path / "a.png", spec, WriteOptions("png")) as sink:
        sink.write(random(1000, 900, 3, "uint8"))
    assert list(tmp_path.iterdir()) == []
