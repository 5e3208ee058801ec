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
from enlarge.errors import InputError
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
    if suffix != "ts":  # whose header promises nothing
        assert done.broken is not None
        assert "missing" in done.broken or "it ends at" in done.broken


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
