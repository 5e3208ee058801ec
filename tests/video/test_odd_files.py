"""Names, headers and targets that are out of the ordinary."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import enlarge
from enlarge.cli import run
from enlarge.errors import InputError
from tests.video.material import Recipe, make, times_of

pytest.importorskip("av")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("tape") / "tape.mp4", Recipe())


@pytest.mark.parametrize(
    "name",
    ["file:x.mp4", "concat:a|b.mp4", "http:x.mp4", "pipe:0.mp4", "a%d b'\"$.mp4", "영상.mp4"],
)
def test_a_name_is_no_protocol(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(tape.read_bytes())
    assert run([name, "--model", "fast", "--scale", "2"]) == 0
    made = Path(f"{Path(name).stem}_x2.mp4")
    assert len(times_of(made.absolute())) == 8
    assert sorted(path.name for path in Path().iterdir()) == sorted([name, made.name])


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    recipe = Recipe(codec="mpeg4", options={})
    return make(tmp_path_factory.mktemp("avi") / "tape.avi", recipe).read_bytes()


def rate(scale: int, per: int) -> Callable[[bytearray], None]:
    """AVISTREAMHEADER's dwScale and dwRate; AVIMAINHEADER's dwMicroSecPerFrame 0."""

    def change(data: bytearray) -> None:
        struct.pack_into("<II", data, data.index(b"strh") + 28, scale, per)
        struct.pack_into("<I", data, data.index(b"avih") + 8, 0)

    return change


def length(data: bytearray) -> None:
    struct.pack_into("<I", data, data.index(b"strh") + 40, 0x7FFFFFFF)
    struct.pack_into("<I", data, data.index(b"avih") + 24, 0x7FFFFFFF)


def size(data: bytearray) -> None:
    struct.pack_into("<II", data, data.index(b"strf") + 12, 60000, 60000)


@pytest.mark.parametrize(
    "change",
    [rate(1, 0), rate(0, 25), rate(1, 1_000_000), rate(1, 0xEE6B2800), rate(2_000_000_000, 1),
     length, size],
)  # fmt: skip
def test_a_header_that_lies_stops_nothing(
    header: bytes, tmp_path: Path, change: Callable[[bytearray], None]
) -> None:
    data = bytearray(header)
    change(data)
    source, made = tmp_path / "tape.avi", tmp_path / "made.mkv"
    source.write_bytes(data)
    done = enlarge.upscale_video(source, made, model="fast", scale=2)
    assert (done.frames, done.width, done.height) == (8, 192, 128)
    assert len(times_of(made)) == 8
    assert sorted(tmp_path.iterdir()) == [made, source]


def solid(number: int, width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 90 + number, np.uint8)


@pytest.mark.parametrize("side", [(1, 1), (15, 17)])
def test_tiny_frames(tmp_path: Path, side: tuple[int, int]) -> None:
    recipe = Recipe(codec="ffv1", options={}, size=side, picture=solid)
    source = make(tmp_path / "tiny.mkv", recipe)
    for name in ("made.mp4", "made.mkv"):
        done = enlarge.upscale_video(source, tmp_path / name, model="fast", scale=2)
        assert (done.frames, done.width, done.height) == (8, 2 * side[0], 2 * side[1])


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("made.avi", "for a video, .mp4, .m4v, .mkv, .mov, .webm"),
        ("made.png", "is no video file; choose .mp4, .mkv, .mov or .webm"),
        ("-", "a video is written to a file or a folder, not to standard output"),
        ("made.zip", "a video is written to a file or a folder, not to"),
    ],
)
def test_where_a_video_cannot_go(
    tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    target: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run([str(tape), "-o", target]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_without_its_index_says_what_to_do(tape: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(tape.read_bytes()[:-200])
    with pytest.raises(InputError, match="if it was cut off or damaged, copy or download it again"):
        enlarge.upscale_video(cut, tmp_path / "made.mp4", model="fast")
