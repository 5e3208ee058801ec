"""Broken videos: what there is of them, counted; and one line for what is no video."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import enlarge
from enlarge.cli import run
from enlarge.errors import InputError
from enlarge.video.ending import is_cut_off
from enlarge.video.probing import probe
from enlarge.video.reading import Excerpt, FrameReader
from tests.video.material import Recipe, make, times_of

av = pytest.importorskip("av")
SMALL = Recipe(times=range(50), options={"crf": "20", "preset": "ultrafast", "g": "10"})


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi", "ts"])
def test_a_video_that_is_cut_off_gives_what_there_is(tmp_path: Path, suffix: str) -> None:
    whole = make(tmp_path / f"whole.{suffix}", SMALL)
    if suffix == "mp4":
        whole = at_front(whole)
    content = whole.read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(content[: len(content) * 6 // 10])
    done = enlarge.upscale_video(cut, tmp_path / "made.mkv", scale=2)
    assert done.frames is not None
    assert 10 < done.frames < 50
    assert len(times_of(tmp_path / "made.mkv")) == done.frames
    assert done.broken is not None
    if suffix == "ts":  # whose header promises nothing
        assert f"it was cut off at {done.frames / 25:.2f} s" in done.broken
    else:
        assert f"it ends at {done.frames / 25:.2f} of 2.00 s" in done.broken
    if suffix == "mkv":  # whose header counts no frames
        assert f"about {50 - done.frames} frames early" in done.broken


def test_a_few_frames_that_were_cut_off_are_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = make(tmp_path / "whole.mkv", SMALL).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(content[: len(content) * 9 // 10])
    assert run([str(cut), "--scale", "1", "-o", str(tmp_path / "made.mp4")]) == 3
    assert "of 2.00 s, about " in capsys.readouterr().err


def test_a_recording_that_was_stopped_is_cut_off(tmp_path: Path) -> None:
    """Its header has neither a length nor a duration, as by programs that were killed."""
    whole = tmp_path / "live.mkv"
    copied(make(tmp_path / "whole.mkv", SMALL), whole, {"live": "1"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[:-100])
    assert not enlarge.upscale_video(whole, tmp_path / "whole.mp4", scale=1).broken
    done = enlarge.upscale_video(cut, tmp_path / "cut.mp4", scale=1)
    assert "it was cut off at" in (done.broken or "")


@pytest.mark.parametrize(
    "suffix", ["mkv", "webm", "mp4", "mov", "avi", "ts", "m2ts", "front", "live"]
)
def test_a_file_says_whether_it_was_cut_off(tmp_path: Path, suffix: str) -> None:
    """Wherever it was cut, but between packets of a transport stream or elements."""
    if suffix == "webm":
        path = make(tmp_path / "a.webm", Recipe("libvpx-vp9", options={"crf": "30", "b": "0"}))
    elif suffix in ("front", "live"):
        names = {"front": ("a.mp4", {"movflags": "+faststart"}), "live": ("a.mkv", {"live": "1"})}
        name, options = names[suffix]
        path = copied(make(tmp_path / f"of_{name}", SMALL), tmp_path / name, options)
    else:
        path = make(tmp_path / f"a.{suffix}", SMALL)
    with av.open(str(path)) as file:
        container = file.format.name
    content = path.read_bytes()
    assert not is_cut_off(path, container)
    for share in (0.5, 0.9, 0.999):
        at = int(len(content) * share)
        at += suffix.endswith("ts") and at % {"ts": 188, "m2ts": 192}[suffix] == 0
        path.write_bytes(content[:at])
        assert is_cut_off(path, container), share
    if suffix in ("mkv", "mp4", "avi"):
        path.write_bytes(content + b"\0\0\x12\x34more than a video")
        assert not is_cut_off(path, container)


def at_front(path: Path) -> Path:
    """An MP4 with its index before the pictures, by copying it."""
    return copied(path, path.with_name("front.mp4"), {"movflags": "+faststart"})


def copied(path: Path, made: Path, options: dict[str, str]) -> Path:
    """A file with the same packets, by FFmpeg's muxer with these options."""
    with av.open(str(path)) as given, av.open(str(made), "w", container_options=options) as file:
        copies = {one.index: file.add_stream_from_template(one) for one in given.streams}
        for packet in given.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                file.mux(packet)
    return made


def test_frames_in_the_decoder_are_kept_where_reading_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk with a bad sector; a decoder holds a few frames back."""
    path = make(tmp_path / "tape.mp4", Recipe(times=range(30), options={"preset": "medium"}))
    with FrameReader(path, probe(path), Excerpt()) as reader:
        packets = islice(reader._container.demux(reader._stream), 20)

        def demux(_: Any) -> Iterator[Any]:
            yield from packets
            raise av.error.InvalidDataError(1, "bad sector")

        monkeypatch.setattr(reader, "_container", SimpleNamespace(demux=demux))
        assert len(list(reader.frames())) == 20
        assert reader.damage.missing == 10


def test_damaged_frames_are_counted_and_named(tmp_path: Path) -> None:
    given = make(tmp_path / "given.mkv", SMALL)
    content = bytearray(given.read_bytes())
    with av.open(str(given)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size > 100]
        target = max(packets[5:15], key=lambda packet: packet.size)
        place = content.index(bytes(target)) + target.size // 3
    content[place : place + target.size // 2] = bytes(target.size // 2)
    given.write_bytes(content)
    done = enlarge.upscale_video(given, tmp_path / "made.mp4", scale=2)
    assert done.broken is not None
    assert "damaged frame" in done.broken or "missing" in done.broken


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as file:
        from tests.video.material import add_tone

        add_tone(file, file.add_stream("aac", rate=48000), 0.3, 440)


def test_no_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    audio_only(path)
    with pytest.raises(InputError, match=r"song\.mp4: has no video stream, only audio"):
        probe(path)


def test_no_length(tmp_path: Path) -> None:
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.start_encoding()
    with pytest.raises(InputError, match=r"empty\.mkv: (has no frames|cannot be read as a video)"):
        probe(path)


def test_no_index(tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", SMALL).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut\.mp4: cannot be read as a video: .*"):
        probe(path)


def test_encrypted(tmp_path: Path) -> None:
    path = make_encrypted(tmp_path / "film.mp4")
    with pytest.raises(InputError, match=r"film\.mp4: is encrypted \(DRM\)"):
        probe(path)


def make_encrypted(path: Path) -> Path:
    """By FFmpeg's muxer, under common encryption."""
    plain = make(path.with_name("plain.mp4"), SMALL)
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    return copied(plain, path, options)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = make(tmp_path / "tape.mp4", SMALL)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r'pip install "enlarge\[video\]"'):
        probe(path)
