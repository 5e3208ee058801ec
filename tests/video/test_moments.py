"""Frames where they are looked for, turned as they are shown, and times that begin again."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import enlarge
from enlarge.cli import run
from enlarge.errors import OutputError
from enlarge.media.colour.colour import Cicp, MasteringDisplay
from enlarge.media.reading import open_picture
from enlarge.settings import Settings
from enlarge.video.ahead import WriteBehind
from enlarge.video.clocks import Clock
from enlarge.video.probing import probe
from enlarge.video.still import frame_at, still_picture
from tests.video.material import Recipe, make, payloads, scene, times_of

av = pytest.importorskip("av")


@pytest.mark.parametrize(("at", "shown"), [(0, 0), (12, 0), (14, 0), (15, 15), (44, 30), (45, 45)])
def test_a_frame_that_began_long_before(tmp_path: Path, at: int, shown: int) -> None:
    recipe = Recipe("ffv1", options={}, base=Fraction(1), times=(0, 15, 30, 45))
    slides = make(tmp_path / "slides.mkv", recipe)
    facts = probe(slides)
    assert frame_at(slides, facts, Fraction(at)).time * facts.time_base == shown


def test_a_frame_of_ten_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tape = make(tmp_path / "tape.mkv", Recipe("ffv1", "yuv420p10le", {}))
    assert run(["tape.mkv", "--at", "0.1", "--scale", "1", "--model", "fast"]) == 0
    found = enlarge.upscale(tmp_path / "tape_at0.1_x1.png", scale=1, model="fast")
    wanted = next(iter(enlarge.frames(tape, scale=1, model="fast", start=0.08)))
    assert found.dtype == wanted.dtype == np.uint16
    assert np.abs(found.astype(int) - wanted).mean() < 655  # it went through the network twice


@pytest.mark.parametrize(("tags", "wanted"), [
    ((9, 9, 16), Cicp(9, 16)), ((9, 9, 18), Cicp(9, 18)), ((9, 9, 14), Cicp(9, 14)),
    ((1, 1, 1), None), (None, None),
])  # fmt: skip
def test_a_frame_says_what_its_colours_are(
    tmp_path: Path, tags: tuple[int, int, int] | None, wanted: Cicp | None
) -> None:
    tape = make(tmp_path / "tape.mkv", Recipe("ffv1", "yuv420p10le", {}, tags=tags))
    assert run([str(tape), "--at", "0", "--scale", "1", "-o", str(tmp_path / "made.png")]) == 0
    with open_picture(tmp_path / "made.png") as picture:
        colour = picture.metadata.colour
    assert (colour.cicp if colour else None) == wanted


def test_a_frame_keeps_the_light_of_hdr10(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    options = {"x265-params": f"master-display={display}:max-cll=1000,400:log-level=none"}
    recipe = Recipe("libx265", "yuv420p10le", options, tags=(9, 9, 16))
    tape = make(tmp_path / "tape.mkv", recipe)
    with open_picture(still_picture(tape, Settings(at=Fraction(0)))) as picture:
        colour = picture.metadata.colour
    assert colour is not None
    assert colour.hdr == "PQ"
    assert colour.light == (10_000_000, 4_000_000)
    assert colour.mastering == MasteringDisplay(
        (34000, 16000), (13250, 34500), (7500, 3000), (15635, 16450), 10_000_000, 1
    )


MATRICES = {
    (-1, 0, 0, 1): lambda image: image[:, ::-1],
    (1, 0, 0, -1): lambda image: image[::-1],
    (0, 1, 1, 0): lambda image: image.transpose(1, 0, 2),
    (0, -1, -1, 0): lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    (0, 1, -1, 0): lambda image: np.rot90(image, -1),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_mirrored(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    """As cameras that face the user mark their videos."""
    path = make(tmp_path / "selfie.mp4", Recipe())
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 4 + 20 + 16
    a, b, c, d = (number << 16 for number in matrix)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    shown = next(iter(enlarge.frames(path, scale=1, model="fast")))
    wanted = MATRICES[matrix](scene(0).astype(int))
    assert shown.shape == wanted.shape
    assert np.abs(shown - wanted).mean() < 8


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_recordings_that_were_joined_byte_by_byte(tmp_path: Path, suffix: str) -> None:
    one = make(tmp_path / "one.ts", Recipe(audio=1, times=range(40)))
    both, made = tmp_path / "both.ts", tmp_path / f"made.{suffix}"
    both.write_bytes(one.read_bytes() * 2)
    done = enlarge.upscale_video(both, made, scale=1, model="fast")
    assert any("its times begin again once" in note for note in done.notes)
    times = times_of(made)
    assert len(times) == 80
    assert all(abs(after - before - Fraction(1, 25)) < 0.002 for before, after in pairwise(times))
    (sound,) = payloads(made).values()
    starts = [time for time, _ in sound]
    assert all(after > before for before, after in pairwise(starts))
    half = len(starts) // 2
    assert sound[0][1] == sound[half][1]
    assert abs((starts[half] - starts[0]) - (times[40] - times[0])) < 0.002


def test_joined_recordings_of_less_than_a_second(tmp_path: Path) -> None:
    one = make(tmp_path / "one.ts", Recipe(audio=1, times=range(9)))
    many, made = tmp_path / "many.ts", tmp_path / "made.mp4"
    many.write_bytes(one.read_bytes() * 3)
    done = enlarge.upscale_video(many, made, scale=1, model="fast")
    assert any("its times begin again 2 times" in note for note in done.notes)
    times = times_of(made)
    assert len(times) == 27
    assert all(after - before == Fraction(1, 25) for before, after in pairwise(times))
    (sound,) = payloads(made).values()
    starts = [time for time, _ in sound]
    third = len(starts) // 3
    for number in (1, 2):
        assert sound[0][1] == sound[number * third][1]
        moved = starts[number * third] - starts[0]
        late = moved - (times[number * 9] - times[0])
        assert abs(late) < Fraction(1024, 48000), "it waits for the last packet before it"


def test_subtitles_that_overlap_stay_where_they_are(tmp_path: Path) -> None:
    """Two people speak: the second line begins while the first one is shown."""
    tape = tmp_path / "tape.mkv"
    plain = make(tmp_path / "plain.mkv", Recipe(times=range(200)))
    with av.open(str(plain)) as given, av.open(str(tape), "w") as file:
        pictures = file.add_stream_from_template(given.streams.video[0])
        texts = file.add_mux_stream("subrip")
        for number, (begin, length) in enumerate(((0, 6000), (2000, 1000), (4000, 500))):
            packet = av.Packet(f"line {number}".encode())
            packet.stream, packet.time_base = texts, Fraction(1, 1000)
            packet.pts = packet.dts = begin
            packet.duration = length
            file.mux(packet)
        for packet in given.demux():
            if packet.size:
                packet.stream = pictures
                file.mux(packet)
    made = tmp_path / "made.mkv"
    enlarge.upscale_video(tape, made, scale=1, model="fast")
    (lines,) = payloads(made).values()
    assert lines == [(Fraction(n), f"line {n // 2}".encode()) for n in (0, 2, 4)]


def test_the_input_is_no_output(tmp_path: Path) -> None:
    tape = make(tmp_path / "tape.mp4", Recipe())
    content = tape.read_bytes()
    with pytest.raises(OutputError, match="is the input; choose another one"):
        enlarge.upscale_video(tape, tape, model="fast", overwrite=True)
    assert tape.read_bytes() == content


def test_nothing_is_written_after_a_piece_that_failed() -> None:
    done: list[int] = []

    def fail() -> None:
        raise MemoryError

    with WriteBehind() as writing:
        writing.add(fail)
        writing.add(lambda: done.append(1))
        writing._waiting[-1].result()  # its turn has come
        with pytest.raises(MemoryError):
            writing.finish()
    assert not done


def test_times_that_do_not_rise_are_moved() -> None:
    """By a tick of the container, whose muxer refuses them."""
    clock, found = Clock(()), []
    for time in (0, 1000, 1000, 400, 5000):
        packet: Any = SimpleNamespace(
            dts=time, pts=time, duration=0, time_base=Fraction(1, 90000),
            stream=SimpleNamespace(type="audio"),
        )  # fmt: skip
        clock.move(packet)
        clock.steady(packet, Fraction(1, 44100))
        found.append((packet.dts, packet.pts))
    assert found == [(at, at) for at in (0, 1000, 1003, 1006, 5000)]


def test_a_video_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "tape.mp4", Recipe(audio=1, tags=(1, 1, 1), full_range=False))
    assert run(["inspect", "tape.mp4"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    wanted = {"codec": "h264", "width": "96", "frames": "8", "streams": "audio, aac"}
    assert lines | wanted == lines
    assert lines["colour"] == "BT.709, limited range"


def test_a_folder_without_pyav_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    from enlarge.video import missing

    folder = tmp_path / "both"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        make(folder / name, Recipe())
    monkeypatch.setattr(missing, "has_av", lambda: False)
    said = 'a.mp4 and 1 more left out: videos need PyAV; install it: pip install "enlarge[video]"'
    options = ["--scale", "1", "--model", "fast", "-o", str(tmp_path / "made")]
    assert run([str(folder), *options]) == 1
    assert said in (failed := capsys.readouterr().err)
    assert "no pictures in this folder" in failed
    Image.fromarray(scene(0)).save(folder / "photo.png")
    assert run([str(folder), *options]) == 0
    assert said in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "made").glob("*.*") if path.is_file()] == [
        "photo.png"
    ]
