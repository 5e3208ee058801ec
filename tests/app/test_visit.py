"""Visits: what is taken and what is not, files, names, the end."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import enlarge
from enlarge.app.options import VARIABLE, Options, from_environment
from enlarge.app.queue import Queue
from enlarge.app.visit import Item, Visit, unique_names
from enlarge.app.work import Sentence, check_result_size, result_name, result_outlook
from enlarge.settings import Settings


def picture(width: int = 24, height: int = 18, kind: str = "PNG", **options: Any) -> bytes:
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def visit() -> Any:
    found = Visit(Queue(), Options(max_pixels=1_000_000, max_upload=2_000_000))
    yield found
    found.close()


def wait(item: Item) -> None:
    end = time.monotonic() + 60
    while item.job is not None and item.job.active:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (Settings(model="fast", format="png"), {}),
        (
            Settings(model="fast", scale=3.0, format="jpeg", quality=80),
            {"scale": 3.0, "quality": 80},
        ),
        (Settings(model="fast", width=50, format="webp", metadata="no-gps"), {"width": 50}),
    ],
)
def test_the_file_is_the_command_lines(
    visit: Visit, tmp_path: Path, settings: Settings, options: dict[str, Any]
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    content = picture(kind="JPEG", exif=exif, quality=90)
    item = visit.add("1", "holiday.jpeg", content)
    visit.start(item, settings, enlarge.open_model("fast"))
    wait(item)
    assert item.job is not None
    assert item.job.state == "done", item.job.problem
    (tmp_path / "holiday.jpeg").write_bytes(content)
    target = tmp_path / item.result_name
    if settings.metadata != "keep":
        options |= {"metadata": settings.metadata}
    enlarge.open_model("fast").upscale_file(tmp_path / "holiday.jpeg", target, **options)
    assert item.target.read_bytes() == target.read_bytes()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Settings(model="fast", format="png"), "a.b_x4.png"),
        (Settings(model="fast", scale=2.5, format="tiff"), "a.b_x2.5.tif"),
        (Settings(model="fast", width=48, format="jpeg"), "a.b_48x36.jpg"),
    ],
)
def test_results_are_named_as_on_the_command_line(
    visit: Visit, settings: Settings, name: str
) -> None:
    item = visit.add("1", "a.b.png", picture())
    outlook = result_outlook(settings, item.known())
    assert result_name(settings, item.name, outlook) == name


@pytest.mark.parametrize(
    ("content", "key", "said"),
    [
        (b"hello, this is no picture", "unreadable", "a text file"),
        (picture(kind="JPEG")[:40], "unreadable", "photo.png"),
        (b"", "unreadable", "empty"),
        (picture(1300, 900), "too_large", "3."),
    ],
)
def test_what_is_no_picture_of_ours_gets_a_sentence(
    visit: Visit, content: bytes, key: str, said: str
) -> None:
    item = visit.add("1", "photo.png", content)
    assert item.facts is None
    assert item.problem is not None
    assert item.problem.key == key
    assert said in str(item.problem.values)
    assert "photo.png" in str(item.problem.values)
    assert str(visit.folder) not in str(item.problem.values)
    assert not item.source.exists()


def test_200_megapixels_get_a_sentence(visit: Visit) -> None:
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    item = visit.add("1", "map.png", file.getvalue())
    assert item.problem is not None
    assert item.problem.key == "too_many_pixels"
    assert item.problem.values["pixels"] == "200"
    assert item.problem.values["limit"] == "1"


def test_a_picture_that_is_cut_off_is_refused_when_it_arrives(visit: Visit) -> None:
    whole = picture(300, 200, "PNG")
    item = visit.add("1", "cut.png", whole[: len(whole) // 2])
    assert item.problem is not None
    assert item.problem.key == "unreadable"
    assert "cut.png" in item.problem.values["reason"]
    assert "--salvage" not in item.problem.values["reason"]  # an option of the command line


def test_a_damaged_picture_is_refused_when_it_is_read(visit: Visit) -> None:
    whole = bytearray(picture(300, 200, "PNG"))
    middle = len(whole) // 2
    whole[middle : middle + 50] = bytes(50)
    item = visit.add("1", "cut.png", bytes(whole))
    assert item.facts is not None  # its structure is fine
    visit.start(item, Settings(model="fast", format="png"), enlarge.open_model("fast"))
    assert item.job is None
    assert item.problem is not None
    assert "cut.png" in item.problem.values["reason"]


def test_results_have_a_limit() -> None:
    options = Options(max_result=5_000_000)
    assert check_result_size(2000, 2500, options) is None
    found = check_result_size(2001, 2500, options)
    assert found == Sentence(
        "result_too_large", {"pixels": "5", "width": "2,001", "height": "2,500", "limit": "5"}
    )


def test_many_become_one_zip(visit: Visit) -> None:
    items = [visit.add(str(i), name, picture()) for i, name in enumerate(("a.jpg", "A.png", "b"))]
    for item in items:
        item.settings = Settings(model="fast", format="png")
        item.target.write_bytes(item.key.encode())
    assert list(unique_names(items)) == ["a_x4.png", "A_x4 (2).png", "b_x4.png"]
    with zipfile.ZipFile(io.BytesIO(visit.zip(items))) as archive:
        assert archive.read("A_x4 (2).png") == b"1"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\\b.png", "", "\0.png", "사진 ☃.png"])
def test_names_are_harmless(visit: Visit, name: str) -> None:
    item = visit.add("1", name, picture())
    assert item.source.resolve().is_relative_to(visit.folder.resolve())
    assert not set(item.name) & set("/\\\0")
    assert item.name


def test_nothing_is_left_when_the_visitor_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enlarge.app.visit.GRACE", 0.05)
    queue = Queue()
    visit, other = Visit(queue, Options()), Visit(queue, Options())
    item, kept = visit.add("1", "a.png", picture(400, 300)), other.add("1", "b.png", picture())
    visit.start(item, Settings(model="fast", format="png"), enlarge.open_model("fast"))
    folder = visit.folder
    visit.leave_soon()
    end = time.monotonic() + 60
    while folder.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert visit.closed
    assert item.job is not None
    assert not item.job.active
    assert kept.source.exists()
    other.close()


def test_a_visitor_who_comes_back_in_time_finds_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("enlarge.app.visit.GRACE", 0.3)
    visit = Visit(Queue(), Options())
    item = visit.add("1", "a.png", picture())
    visit.leave_soon()
    visit.stay()
    time.sleep(0.5)
    assert not visit.closed
    assert item.source.exists()
    visit.close()


def test_a_removed_picture_takes_its_files_along(visit: Visit) -> None:
    item = visit.add("1", "a.png", picture())
    visit.remove("1")
    end = time.monotonic() + 20
    while item.source.exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not visit.items


def test_options_travel_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert from_environment() == Options()
    options = Options(max_pixels=7, memory="1GB", model="fast")
    monkeypatch.setenv(VARIABLE, options.to_json())
    assert from_environment() == options


def test_a_full_disk_is_told_once(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    item = visit.add("1", "a.png", picture())
    assert item.problem == Sentence("no_room", {"name": "a.png"})
    assert visit.items["1"] is item
    assert not list(visit.folder.iterdir())
