"""Names of any bytes that the file system allows reach every writer."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from enlarge import open_model
from enlarge.media.stored_zip import write_stored_zip
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

NAMES = [b"latin\xe9", b"\xff\xfe", "caf\u00e9 \uc11c\uc6b8".encode(), b"a\nb[1]", b"\xe9" * 120]
NOISE = np.random.default_rng(2).integers(0, 256, (300, 400, 3), dtype=np.uint8)

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="names are text on this system"
)


def names_in(folder: Path) -> list[bytes]:
    return sorted(os.fsencode(path.name) for path in folder.iterdir())


def write(target: Path, form: str, **options: Any) -> None:
    spec = PictureSpec(400, 300, 3, np.dtype(np.uint8))
    with create_picture(target, spec, WriteOptions(form, **options)) as sink:
        sink.write(NOISE)
        sink.finish()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["png", "jpeg", "tiff", "webp", "avif"])
def test_every_format_is_written(tmp_path: Path, name: bytes, form: str) -> None:
    target = tmp_path / os.fsdecode(name)
    write(target, form)
    assert names_in(tmp_path) == [name]
    with Image.open(io.BytesIO(target.read_bytes())) as image:
        assert image.size == (400, 300)


@pytest.mark.parametrize("folder", [b"plain", b"f\xe9\xff"])
@pytest.mark.parametrize("name", NAMES)
def test_a_pyramid(tmp_path: Path, name: bytes, folder: bytes) -> None:
    place = tmp_path / os.fsdecode(folder)
    place.mkdir()
    write(place / os.fsdecode(name + b".tif"), "tiff", pyramid=True)
    assert names_in(place) == [name + b".tif"]
    data = (place / os.fsdecode(name + b".tif")).read_bytes()
    assert pyvips.Image.new_from_buffer(data, "").get("n-pages") >= 2


@pytest.mark.parametrize("folder", [b"plain", b"f\xe9\xff"])
@pytest.mark.parametrize("name", NAMES)
def test_deep_zoom(tmp_path: Path, name: bytes, folder: bytes) -> None:
    place = tmp_path / os.fsdecode(folder)
    place.mkdir()
    write(place / os.fsdecode(name + b".dzi"), "dzi")
    assert sorted(names_in(place)) == sorted([name + b".dzi", name + b"_files"])
    tiles = place / os.fsdecode(name + b"_files") / "9"
    assert sorted(path.name for path in tiles.iterdir()) == [
        "0_0.png",
        "0_1.png",
        "1_0.png",
        "1_1.png",
    ]
    with Image.open(io.BytesIO((tiles / "0_0.png").read_bytes())) as image:
        np.testing.assert_array_equal(np.asarray(image), NOISE[:255, :255])


def unzipped(archive: Path, folder: Path) -> None:
    program = shutil.which("unzip")
    if program is None:
        pytest.skip("unzip is not installed")
    subprocess.run([program, "-q", os.fsencode(archive), "-d", folder], check=True)


@pytest.mark.parametrize("name", [NAMES[0], NAMES[2], b"\xe9\xfc\xdf"])
def test_a_zip_gives_back_the_same_bytes(tmp_path: Path, name: bytes) -> None:
    write(tmp_path / os.fsdecode(name + b".szi"), "szi")
    (tmp_path / "out").mkdir()
    unzipped(tmp_path / os.fsdecode(name + b".szi"), tmp_path / "out")
    assert names_in(tmp_path / "out") == [name]
    inside = names_in(tmp_path / "out" / os.fsdecode(name))
    assert sorted(inside) == sorted([name + b".dzi", name + b"_files"])


def test_names_in_a_zip_are_marked_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"content")
    names = ["plain.png", "caf\u00e9.png", os.fsdecode(b"latin\xe9.png")]
    out = io.BytesIO()
    write_stored_zip(out, [(name, tmp_path / "x") for name in names])
    with zipfile.ZipFile(out) as archive:
        found = archive.infolist()
        assert archive.testzip() is None
    assert [bool(info.flag_bits & 0x800) for info in found] == [False, True, False]
    assert [info.filename for info in found[:2]] == names[:2]
    assert found[2].filename.encode("cp437") == b"latin\xe9.png"


def test_a_picture_of_such_a_name_through_the_model(tmp_path: Path) -> None:
    source = tmp_path / os.fsdecode(b"latin\xe9.png")
    with source.open("wb") as file:
        Image.fromarray(NOISE[:20, :20]).save(file, "PNG")
    model = open_model("fast")
    for suffix, options in ((".tif", {"pyramid": True}), (".dzi", {}), (".szi", {})):
        target = source.with_suffix(suffix)
        model.upscale_file(source, target, scale=2, **options)  # type: ignore[arg-type]
        assert target.exists()


def test_a_batch_into_a_zip_and_out_of_it_again(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = [b"latin\xe9.png", "caf\u00e9.png".encode(), b"plain.png"]
    for name in names:
        with (tmp_path / "in" / os.fsdecode(name)).open("wb") as file:
            Image.fromarray(NOISE[:20, :20]).save(file, "PNG")

    def enlarge(*arguments: str) -> None:
        command = [sys.executable, "-m", "enlarge", *arguments, "--model", "fast", "--scale", "2"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    enlarge("in", "-o", "x.zip")
    unzipped(tmp_path / "x.zip", tmp_path / "out")
    assert names_in(tmp_path / "out") == sorted(names)
    enlarge("x.zip", "-o", "again")
    made = [name for name in names_in(tmp_path / "again") if name.endswith(b".png")]
    assert made == sorted(names)
