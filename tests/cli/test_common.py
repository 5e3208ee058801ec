"""A line in the common form means what the parser understands, and other lines are left to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import enlarge.cli.enlarge
from enlarge.cli import run
from enlarge.cli.common import CommonLine, _options_of_settings, read_common
from enlarge.cli.invocation import Invocation
from enlarge.settings import Settings

VALUED, SWITCHES = _options_of_settings()
VALUES = {
    **dict.fromkeys(("--width", "--height", "--page", "--quality", "--threads"), ("7", "1_0", "0")),
    "--scale": ("2", "2.5", "1e0", "17", "nan"),
    "--strength": ("0.5", "1", "x"),
    "--crop": ("0,0,4,4", "1,2,3"),
    "--format": ("jpg", ".png", "xyz"),
    "--colour": ("keep", "srgb", "SRGB"),
    "--metadata": ("keep", "no-gps", "no_gps", "none"),
    "--engine": ("auto", "openvino", "Torch"),
    "--precision": ("f32", "int8", "F32"),
    "--device": ("cpu", "cuda:0"),
    "--model": ("photo", "./m.onnx", "train", ""),
    "--memory": ("1.5GB", "600MB", "much"),
    "--start": ("1.5", "0:01:02", "soon"),
    "--end": ("3", "01:02"),
    "--at": ("2", "x"),
    "--deinterlace": ("auto", "on", "ON"),
    "--codec": ("h264", "H264", "none"),
    "--crf": ("20", "99"),
    "--tile": ("auto", "256", "0"),
    "--output": ("out", "b.png", "-", "-x"),
    "-o": ("out/", ""),
}
OTHERS = (
    *("a.png", "b c.jpg", "ü.png", "*.png", "-", "--", "", "models", "4", "a=b"),
    *("--overwrite", "--json", "--quiet", "-v", "--verbose", "--dry-run", "--watch", "--no-json"),
    *("-vv", "-ov", "--scale=2", "--over", "--no-such", "-1", "--suffix", "--report", "r.json"),
)
ARGUMENTS = st.lists(
    st.one_of(
        st.sampled_from([[text] for text in (*OTHERS, "a.png", "b.png", *SWITCHES)]),
        st.sampled_from([[name, value] for name, values in VALUES.items() for value in values]),
    ),
    max_size=5,
).map(lambda parts: [text for part in parts for text in part])


def parsed(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> CommonLine | int:
    """What the parser makes of a line, or the status of a mistake."""
    found: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(enlarge.cli.enlarge, "enlarge_pictures", lambda *line: found.extend(line))
        patch.setattr("enlarge.cli.common.read_common", lambda arguments: None)
        status = run(arguments)
    return CommonLine(*found) if found else status


def test_every_option_of_settings_is_known() -> None:
    flags = {name for name in VALUES if name not in ("--output", "-o")}
    assert flags == VALUED.keys()


@settings(deadline=None, max_examples=300)
@given(ARGUMENTS)
def test_it_is_read_as_the_parser_does(arguments: list[str]) -> None:
    line = read_common(arguments)
    if line is not None:
        with pytest.MonkeyPatch.context() as patch:
            assert parsed(arguments, patch) == line


@pytest.mark.parametrize(
    "arguments",
    [
        ["a.png"],
        ["a.png", "-o", "out.png", "--overwrite"],
        ["--model", "photo", "a.png", "b.png", "--scale", "3", "--no-provenance", "-v"],
        ["a.png", "--exact", "--crop", "1,2,30,40", "--memory", "1.5GB", "--quiet"],
    ],
)
def test_common_lines(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = read_common(arguments)
    assert line is not None
    assert parsed(arguments, monkeypatch) == line


def test_what_a_common_line_asks_for() -> None:
    line = read_common(["a.png", "--scale", "2", "-o", "b.png", "--no-resume", "c.png", "--json"])
    wanted = Settings(scale=2, resume=False), Invocation(output="b.png", json=True)
    assert line == (["a.png", "c.png"], *wanted)


@pytest.mark.parametrize(
    "arguments",
    [
        *([], ["--overwrite"], ["-"], ["a.png", "-o", "-"], ["a.png", "-o"], ["a.png", ""]),
        *(["models"], ["a.png", "--scale=2"], ["a.png", "--scale", "x"], ["a.png", "--sc", "2"]),
        *(["a.png", "--", "-b.png"], ["a.png", "-v", "--quiet"], ["a.png", "-vo", "b.png"]),
        ["a.png", "--model", "fast", "--model", "photo"],
        ["a.png", "--crop", "-1,0,4,4"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_left_to_the_parser(arguments: list[str]) -> None:
    assert read_common(arguments) is None
