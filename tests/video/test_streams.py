"""What is beside the pictures: sound, subtitles, chapters, tags, covers; and odd timestamps."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import enlarge
from tests.video.material import (
    Recipe,
    add_tone,
    make,
    packets_of,
    payloads,
    scene,
    times_of,
    turn,
)

av = pytest.importorskip("av")
TITLE = {"title": "테이프 3", "comment": "digitised by hand"}
TICKS = Fraction(1, 1000)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(scene(0)).save(file, "png")
    return file.getvalue()


def add_pictures(file: Any, count: int = 12) -> Any:
    stream = file.add_stream("libx264", rate=25, options={"crf": "8", "bf": "2"})
    stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
    stream.metadata["language"] = "kor"
    return stream


def encode(file: Any, stream: Any, count: int = 12) -> None:
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(scene(number), format="rgb24")
        frame.pts = number
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def add_text(file: Any, stream: Any, text: bytes, start: int, length: int) -> None:
    packet = av.Packet(text)
    packet.stream, packet.time_base = stream, TICKS
    packet.pts = packet.dts = start
    packet.duration = length
    file.mux(packet)


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Matroska file with everything that one can hold."""
    path = tmp_path_factory.mktemp("rich") / "rich.mkv"
    with av.open(str(path), "w") as file:
        file.metadata.update(TITLE)
        pictures = add_pictures(file)
        sounds = [file.add_stream("aac", rate=48000) for _ in range(2)]
        for sound, language in zip(sounds, ("kor", "eng"), strict=True):
            sound.metadata.update({"language": language, "title": f"in {language}"})
        sounds[0].disposition = av.stream.Disposition.default
        sounds[1].disposition = av.stream.Disposition.comment
        texts = file.add_mux_stream("subrip")
        texts.metadata["language"] = "eng"
        texts.disposition = av.stream.Disposition.forced
        file.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font" * 9)
        file.add_attachment("cover.png", "image/png", png())
        file.set_chapters(
            [
                {"id": 1, "start": 0, "end": 200, "time_base": TICKS, "metadata": {"title": "one"}},
                {
                    "id": 2,
                    "start": 200,
                    "end": 480,
                    "time_base": TICKS,
                    "metadata": {"title": "둘"},
                },
            ]
        )
        encode(file, pictures)
        for number, sound in enumerate(sounds):
            add_tone(file, sound, 0.48, 220 * (number + 1))
        add_text(file, texts, b"hello", 40, 100)
        add_text(file, texts, b"<i>world</i>", 240, 150)
    return path


def about(path: Path) -> dict[str, Any]:
    """Tags, chapters and streams of a file, without what names its writer."""
    writers = {"ENCODER", "encoder", "handler_name", "DURATION", "PROCESSED_BY", "vendor_id"}
    writers |= {"NUMBER_OF_BYTES", "major_brand", "minor_version", "compatible_brands"}
    with av.open(str(path)) as file:
        streams = [
            (
                one.type,
                one.codec_context.name if one.codec_context else None,
                int(one.disposition),
                {key: text for key, text in one.metadata.items() if key not in writers},
            )
            for one in file.streams
        ]
        chapters = [
            (one["start"] * one["time_base"], one["end"] * one["time_base"], one["metadata"])
            for one in file.chapters()
        ]
        attachments = [bytes(one.data) for one in file.streams if one.type == "attachment"]
        tags = {key: text for key, text in file.metadata.items() if key not in writers}
    return {
        "tags": tags, "streams": streams, "chapters": chapters, "attachments": attachments
    }  # fmt: skip


def test_matroska_keeps_everything(rich: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mkv"
    done = enlarge.upscale_video(rich, made, scale=2)
    assert about(made) == about(rich)
    before, after = payloads(rich), payloads(made)
    assert [len(packets) for packets in before.values()] == [
        len(packets) for packets in after.values()
    ]
    assert before == after
    assert not [note for note in done.notes if "left out" in note]


def test_what_mp4_cannot_hold_is_named(rich: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mp4"
    done = enlarge.upscale_video(rich, made, scale=2)
    lost = [note for note in done.notes if "left out" in note]
    assert len(lost) == 2, done.notes
    assert any("subtitle, srt" in note for note in lost)
    assert any("attachment" in note for note in lost)
    found = about(made)
    assert found["tags"] == TITLE
    assert [start for start, _, _ in found["chapters"]] == [0, Fraction(1, 5)]
    assert [one[0] for one in found["streams"]][:3] == ["video", "audio", "audio"]
    assert payloads(made)[1] == payloads(rich)[1]


def test_a_phone_video(tmp_path: Path) -> None:
    """Turned, with two sound tracks and subtitles, in MP4."""
    given = tmp_path / "phone.mp4"
    with av.open(str(given), "w") as file:
        pictures = add_pictures(file)
        sounds = [file.add_stream("aac", rate=48000) for _ in range(2)]
        texts = file.add_mux_stream("mov_text")
        encode(file, pictures)
        for number, sound in enumerate(sounds):
            add_tone(file, sound, 0.48, 220 * (number + 1))
        add_text(file, texts, struct.pack(">H", 5) + b"hello", 0, 200)
    turn(given, 90)
    made = tmp_path / "made.mp4"
    done = enlarge.upscale_video(given, made, scale=2)
    assert (done.width, done.height) == (128, 192)
    with av.open(str(made)) as file:
        assert next(file.decode(video=0)).rotation == 0
    assert times_of(made) == times_of(given)
    assert payloads(made) == payloads(given)
    assert about(made) == about(given)


def test_negative_first_times_stay(tmp_path: Path) -> None:
    """As a copied cut has them: pictures before zero, which the edit list shows."""
    given = tmp_path / "given.mov"
    with av.open(str(given), "w") as file:
        pictures = add_pictures(file)
        pictures.codec_context.max_b_frames = 2
        encode(file, pictures)
    moved = tmp_path / "moved.mov"
    options = {"use_editlist": "0", "avoid_negative_ts": "disabled"}
    with av.open(str(given)) as one, av.open(str(moved), "w", container_options=options) as file:
        copy = file.add_stream_from_template(one.streams.video[0])
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = copy
                packet.pts -= 1024
                packet.dts -= 1024
                file.mux(packet)
    made = tmp_path / "made.mov"
    enlarge.upscale_video(moved, made, scale=2)
    assert times_of(made) == times_of(moved)


def packed_avi(path: Path) -> Path:
    """Xvid's way to put B-frames into AVI: one chunk holds a P-frame and the B-frame before it, and
    the next one only says that nothing is coded.
    """
    plain = make(
        path.with_name("plain.avi"),
        Recipe(codec="mpeg4", options={"bf": "1", "b_strategy": "0", "q": "2", "g": "100"},
               times=range(11)),
    )  # fmt: skip
    with av.open(str(plain)) as file:
        coded = [bytes(packet) for packet in file.demux(video=0) if packet.size]
        extra = bytes(file.streams.video[0].codec_context.extradata or b"")
    mark = b"\x00\x00\x01\xb2DivX503b1393p"
    nothing = b"\x00\x00\x01\xb6\x52\x7f"
    head = extra if extra and not coded[0].startswith(b"\x00\x00\x01\xb0") else b""
    vop = (head + coded[0]).index(b"\x00\x00\x01\xb6")
    first = head + coded[0]
    chunks = [first[:vop] + mark + first[vop:]]
    rest = coded[1:]
    while len(rest) >= 2:
        chunks += [rest[0] + rest[1], nothing]
        rest = rest[2:]
    chunks += rest
    with av.open(str(plain)) as one, av.open(str(path), "w") as file:
        copy = file.add_stream_from_template(one.streams.video[0])
        for number, chunk in enumerate(chunks):
            packet = av.Packet(chunk)
            packet.stream, packet.time_base = copy, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            file.mux(packet)
    return path


def test_packed_b_frames(tmp_path: Path) -> None:
    given, made = packed_avi(tmp_path / "packed.avi"), tmp_path / "made.mp4"
    done = enlarge.upscale_video(given, made, scale=2)
    assert done.frames == 11
    times = times_of(made)
    assert [after - before for before, after in pairwise(times)] == [Fraction(1, 25)] * 10
    places = [
        np.flatnonzero(frame[20, :, 0] > 215).mean() for frame in enlarge.frames(given, scale=1)
    ]
    assert places == sorted(places)


def test_a_part_keeps_its_sound(rich: Path, tmp_path: Path) -> None:
    made = tmp_path / "part.mkv"
    enlarge.upscale_video(rich, made, scale=2, start=0.12, end="0.4")
    times = times_of(made)
    assert times == [Fraction(number, 25) for number in range(7)]
    whole, part = payloads(rich), payloads(made)
    for index in (1, 2):
        first = part[index][0]
        shift = next(time for time, data in whole[index] if data == first[1]) - first[0]
        assert abs(shift - Fraction(3, 25)) <= Fraction(1, 50)  # a packet before, at most
        assert {data for _, data in part[index]} <= {data for _, data in whole[index]}
        assert Fraction(27, 100) < len(part[index]) * Fraction(1024, 48000) < Fraction(1, 3)
    with av.open(str(made)) as file:
        spans = [
            (one["start"] * one["time_base"], one["metadata"]["title"]) for one in file.chapters()
        ]
    assert spans == [(0, "one"), (Fraction(2, 25), "둘")]


def test_packets_are_in_order(rich: Path, tmp_path: Path) -> None:
    """Decoding times rise in every stream, and no picture is shown before it is decoded."""
    made = tmp_path / "made.mkv"
    enlarge.upscale_video(rich, made, scale=2)
    last: dict[int, int] = {}
    for index, shown, decoded, _ in packets_of(made):
        if decoded is None:
            continue
        assert decoded >= last.get(index, decoded)
        assert shown >= decoded
        last[index] = decoded
    assert np.ptp(list(last.values())) < 400


def test_chapters_and_titles_from_mp4(rich: Path, tmp_path: Path) -> None:
    first, again, back = (tmp_path / name for name in ("first.mp4", "again.mp4", "back.mkv"))
    enlarge.upscale_video(rich, first, scale=2)
    done = enlarge.upscale_video(first, again, scale=1)
    assert not done.notes
    assert about(again) == about(first)
    assert payloads(again) == payloads(first)
    assert not enlarge.upscale_video(first, back, scale=1).notes
    assert about(back)["chapters"] == about(rich)["chapters"]
    assert about(back)["streams"][1] == about(rich)["streams"][1]


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_hevc_has_the_name_that_players_ask_for(rich: Path, tmp_path: Path, suffix: str) -> None:
    made = tmp_path / f"made.{suffix}"
    enlarge.upscale_video(rich, made, scale=1, codec="hevc", model="fast")
    with av.open(str(made)) as file:
        assert file.streams.video[0].codec_context.codec_tag == "hvc1"
        assert len(list(file.decode(video=0))) == 12
