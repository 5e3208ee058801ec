"""The network of a picture is loaded ahead, once, and what fails is reported where it is needed."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from enlarge.engines.openvino import OpenVinoEngine
from enlarge.errors import EngineError
from enlarge.media.reading import open_picture
from enlarge.picture.loading import load_ahead
from enlarge.picture.model import OpenModel, engine_options
from enlarge.picture.outlook import Outlook, plan_picture
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import enlarge_file
from enlarge.settings import Settings
from enlarge.weights.catalog import auto_weights, find_weights
from tests.conftest import ROOT


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def outlook_of(source: Path, name: str = "fast") -> Outlook:
    weights = auto_weights() if name == "auto" else find_weights(name)
    model = OpenModel(weights, engine_options(Settings(precision="f32")))
    with open_picture(source) as picture:
        return plan_picture(picture.facts, Settings(precision="f32"), model)


def loading() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "enlarge-load"]


@pytest.mark.parametrize("model", ["fast", "auto"])
def test_what_is_loaded_ahead_is_what_the_picture_needs(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "clean.png"
    with Image.open(ROOT / "samples" / "photo.jpg") as photograph:
        photograph.save(source)
    compiled: list[Any] = []
    by = OpenVinoEngine._compiled

    def counted(self: Any, spec: Any, *more: Any) -> Any:
        compiled.append(spec)
        return by(self, spec, *more)

    monkeypatch.setattr(OpenVinoEngine, "_compiled", counted)
    outlook = outlook_of(source, model)
    load_ahead(outlook)
    for thread in loading():
        thread.join()
    assert len(compiled) == 1
    target = tmp_path / "b.png"
    done = enlarge_file(Transfer(source, target), outlook.settings, outlook.model)
    assert done.model == "fast"
    assert len(compiled) == 1
    assert (compiled[0].width, compiled[0].height) == done.tile
    assert not loading()


def test_a_failure_waits_for_who_needs_the_network(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def fail(*about: Any) -> Any:
        raise EngineError("no such network")

    outlook = outlook_of(source)
    monkeypatch.setattr(OpenVinoEngine, "_compiled", fail)
    load_ahead(outlook)
    for thread in loading():
        thread.join()
    assert capfd.readouterr() == ("", "")
    with pytest.raises(EngineError, match="no such network"):
        enlarge_file(Transfer(source, tmp_path / "b.png"), outlook.settings, outlook.model)


def test_what_is_impossible_is_told_later_too(source: Path, capfd: Any) -> None:
    outlook = outlook_of(source)
    outlook = replace(outlook, settings=replace(outlook.settings, memory=1_000_000))
    load_ahead(outlook)
    for thread in loading():
        thread.join()
    assert capfd.readouterr() == ("", "")


def test_a_coarse_jpeg_is_expected_to_be_degraded(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    Image.new("RGB", (50, 40), (90, 120, 60)).save(source, quality=50)
    outlook = outlook_of(source, "auto")
    load_ahead(outlook)
    for thread in loading():
        thread.join()
    (loaded,) = outlook.model._chosen.values()
    done = enlarge_file(Transfer(source, tmp_path / "b.png"), outlook.settings, outlook.model)
    assert done.model == loaded.card.name == auto_weights().choices["degraded"].card.name
