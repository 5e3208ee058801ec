"""`enlarge compare`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from enlarge.cli import run
from enlarge.metrics import comparison
from enlarge.metrics.pictures import read_pixels
from enlarge.networks.backbones import AlexNet
from tests.cli.conftest import Make

Said = pytest.CaptureFixture[str]


def test_two_pictures(picture: Make, capsys: Said) -> None:
    first = picture("a.png", 180, 170)
    pixels = read_pixels(first)
    changed = pixels.copy()
    changed[100:110, 50:60] = 0
    Image.fromarray(changed).save("b.png")
    assert run(["compare", "a.png", "b.png", "--against", "a.png", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["A and HR"] == {"psnr": "inf", "ssim": 1.0, "ms_ssim": 1.0}
    assert found["metrics"]["A and B"] == found["metrics"]["B and HR"]
    assert len(found["places"]) == 1
    assert found["niqe"] == {"A": None, "B": None, "HR": None}  # too small for it
    assert found["output"] == ["a_vs_b.png", "a_vs_b_difference.png"]
    assert read_pixels(Path("a_vs_b_difference.png")).shape == (170, 180, 3)
    assert run(["compare", "a.png", "b.png", "-o", "out", "--border", "4"]) == 0
    said = capsys.readouterr().out
    assert "a border of 4 px cropped" in said
    assert "MS-SSIM" in said
    assert "white is a difference of" in said
    assert Path("out/a_vs_b.png").exists()


def test_the_difference_is_drawn_once(picture: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    picture("a.png", 40, 40)
    drawn: list[Any] = []
    draw = comparison.heat_map

    def heat_map(found: Any) -> Any:
        drawn.append(found)
        return draw(found)

    monkeypatch.setattr(comparison, "heat_map", heat_map)
    assert run(["compare", "a.png", "a.png"]) == 0
    assert len(drawn) == 1


def test_equal_pictures(picture: Make, capsys: Said) -> None:
    picture("a.png", 40, 40)
    assert run(["compare", "a.png", "a.png"]) == 0
    said = capsys.readouterr().out
    assert "∞" in said
    assert "no difference" in said


def test_perceptual(picture: Make, capsys: Said) -> None:
    first = picture("a.png", 40, 40)
    Image.fromarray(255 - read_pixels(first)).save("b.png")
    torch.save(AlexNet().state_dict(), "alexnet-random.pth")
    command = ["compare", "a.png", "b.png", "--perceptual", "."]
    assert run(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert "; LPIPS 0.1 by AlexNet (" in said[0]
    assert said[3].split() == ["PSNR", "SSIM", "MS-SSIM", "LPIPS"]
    assert run([*command, "--against", "a.png", "--overwrite", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["metrics"]
    assert found["A and HR"]["lpips"] == 0.0
    assert said[4].split()[-1] == f"{found['A and B']['lpips']:.4f}"


def test_refusals(picture: Make, capsys: Said) -> None:
    picture("a.png", 40, 40)
    picture("b.png", 40, 41)
    assert run(["compare", "a.png", "b.png"]) == 1
    said = capsys.readouterr().err
    assert "expected two pictures of the same size; a.png is 40×40, b.png is 40×41" in said
    assert run(["compare", "a.png", "-"]) == 2
    assert "not standard input (-)" in capsys.readouterr().err
    Path("file").write_bytes(b"")
    assert run(["compare", "a.png", "a.png", "-o", "file/out"]) == 1
    assert "its folder cannot be made" in capsys.readouterr().err
    assert run(["compare", "a.png", "gone.png"]) == 1
    assert "gone.png" in capsys.readouterr().err
    Path("a_vs_a.png").write_bytes(b"mine")
    assert run(["compare", "a.png", "a.png"]) == 1
    assert "a_vs_a.png exists" in capsys.readouterr().err
    assert Path("a_vs_a.png").read_bytes() == b"mine"
    assert run(["compare", "a.png", "a.png", "--overwrite"]) == 0
    assert np.asarray(read_pixels(Path("a_vs_a.png"))).size
