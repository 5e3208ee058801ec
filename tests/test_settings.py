"""Settings: what is checked, parsed and recorded."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from enlarge.checks import about
from enlarge.engines import protocol
from enlarge.errors import OptionError
from enlarge.keywords import AllOptions, VideoOptions
from enlarge.media.metadata import metadata
from enlarge.settings import EngineName, Keep, Precision, Settings

NAMES = {entry.name for entry in fields(Settings)}


def test_python_and_the_command_line_have_the_same_options() -> None:
    taken = set(get_type_hints(AllOptions)) | set(get_type_hints(VideoOptions))
    assert taken == NAMES - {"at"}  # a frame as an array is the first of `frames(start=…)`


def test_the_words_are_those_of_the_packages_below() -> None:
    assert get_args(EngineName) == get_args(protocol.EngineName)
    assert get_args(Precision) == get_args(protocol.Precision)
    assert get_args(Keep) == get_args(metadata.Keep)


def test_every_option_has_its_help() -> None:
    for entry in fields(Settings):
        assert entry.metadata["help"].endswith("."), entry.name
        assert entry.metadata["group"] in ("Inputs", "Size", "Output", "Video", "Model", "Machine")


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"memory": "1.5GB"}, "memory", 1_500_000_000),
        ({"memory": 64}, "memory", 64),
        ({"tile": "auto"}, "tile", None),
        ({"tile": "128"}, "tile", 128),
        ({"tile": 96}, "tile", 96),
        ({"tile": 256.0}, "tile", 256),
        ({"page": 2.0}, "page", 2),
        ({"memory": 2e9}, "memory", 2_000_000_000),
        ({"memory": np.float32(2.0**31)}, "memory", 2**31),
        ({"width": 64.0}, "width", 64),
        ({"crop": [1.0, 2, 3, 4]}, "crop", (1, 2, 3, 4)),
        ({"crop": "1,2,3,4"}, "crop", (1, 2, 3, 4)),
        ({"crop": [1, 2, 3, 4]}, "crop", (1, 2, 3, 4)),
        ({"format": "jpg"}, "format", "jpeg"),
        ({"format": ".TIF"}, "format", "tiff"),
        ({"scale": 3}, "scale", 3.0),
        ({"width": "64"}, "width", 64),
        ({"threads": "2"}, "threads", 2),
        ({"format": "m4v"}, "format", "mp4"),
        ({"start": "83.5"}, "start", Fraction(167, 2)),
        ({"end": "01:02:03.25"}, "end", Fraction(14893, 4)),
        ({"at": 0.1}, "at", Fraction(1, 10)),
    ],
)
def test_values_are_parsed_once(given: dict[str, Any], name: str, value: Any) -> None:
    settings = Settings(**given)
    assert getattr(settings, name) == value
    assert settings == Settings(**{name: value})
    assert replace(settings, ensemble=True) == Settings(**{name: value}, ensemble=True)
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"scale": 17}, ["--scale must be between 1 and 16, got 17"]),
        ({"scale": float("nan")}, ["--scale", "got nan"]),
        ({"scale": "large"}, ["--scale", "number", "'large'"]),
        ({"scale": 2, "height": 9}, ["--scale and --height contradict each other"]),
        ({"width": 1.5}, ["--width", "whole number from 1 on", "1.5"]),
        ({"width": "1e3"}, ["--width", "whole number from 1 on", "'1e3'"]),
        ({"height": 0}, ["--height", "got 0"]),
        ({"crop": (1, 2, 3)}, ["--crop must be X,Y,WIDTH,HEIGHT", "(1, 2, 3)"]),
        ({"crop": (0, 0, 0, 3)}, ["--crop", "(0, 0, 0, 3)"]),
        ({"crop": 5}, ["--crop", "got 5"]),
        ({"tile": "big"}, ["--tile must be auto or a side in input pixels, got 'big'"]),
        ({"tile": 0}, ["--tile", "got 0"]),
        ({"memory": "much"}, ["--memory must be a size like 1.5GB", "'much'"]),
        ({"memory": 1.5}, ["--memory", "1.5"]),
        ({"memory": float("inf")}, ["--memory", "inf"]),
        ({"tile": 96.5}, ["--tile", "96.5"]),
        ({"threads": -1}, ["--threads", "whole number from 0 on", "-1"]),
        ({"quality": 101}, ["--quality must be between 1 and 100, got 101"]),
        ({"format": "psd"}, [".psd", ".png"]),
        ({"metadata": None}, ["--metadata is one of keep, no-gps, none, got None"]),
        ({"engine": "abacus"}, ["--engine is one of auto, openvino", "'abacus'"]),
        ({"precision": "f8"}, ["--precision", "bf16", "'f8'"]),
        ({"start": "-1"}, ["--start must be a time like 83.5 or 00:01:23.5, got '-1'"]),
        ({"end": "1:99"}, ["--end must be a time", "'1:99'"]),
        ({"at": "1/3"}, ["--at must be a time", "'1/3'"]),
        ({"start": 5, "end": "0:05"}, ["--start 5 is not before --end 5"]),
        ({"at": 1, "end": 2}, ["--at and --end contradict each other"]),
        ({"crf": 64}, ["--crf must be between 0 and 63, got 64"]),
        ({"codec": "vp9"}, ["--codec is one of h264", "'vp9'"]),
        ({"strength": 1.1}, ["--strength must be between 0 (photo) and 1 (photo-sharp), got 1.1"]),
    ],
)
def test_what_is_refused(given: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(OptionError) as refused:
        Settings(**given)
    assert all(part in str(refused.value) for part in parts), refused.value


def test_what_is_recorded_is_what_earlier_versions_recorded() -> None:
    """The text that a ledger of version 0.1.0 holds, but for what is chosen by the engine."""
    settings = Settings(scale=4.0, format="png", crop=(0, 0, 9, 9), memory=10**9, resume=False)
    assert json.dumps(settings.recorded(), sort_keys=True) == (
        '{"crop": [0, 0, 9, 9], "ensemble": false, "exact": false, "format": "png", '
        '"height": null, "metadata": "keep", "provenance": true, "pyramid": false, '
        '"quality": null, "scale": 4.0, "tile": "auto", "width": null}'
    )


def test_an_option_that_is_added_leaves_records_as_they_are() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Later(Settings):
        sharpen: float = field(default=0.0, metadata=about("Sharpen.", group="Model"))

    assert Later().recorded() == Settings().recorded()
    assert Later(sharpen=0.5).recorded() == Settings().recorded() | {"sharpen": 0.5}
    assert Later(sharpen=0.5).newer() == {"sharpen": 0.5}


def test_unknown_keywords_are_refused() -> None:
    with pytest.raises(TypeError, match=r"upscale\(\) got an unexpected .* 'scal'; .*ensemble"):
        Settings.from_keywords({"scal": 2}, AllOptions.__optional_keys__, "upscale")
