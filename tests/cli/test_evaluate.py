"""`enlarge evaluate`: what it prints, what it keeps, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enlarge.cli import run
from enlarge.media.resample import imresize
from enlarge.metrics import methods
from enlarge.metrics.pictures import read_pixels
from enlarge.networks.backbones import AlexNet
from enlarge.weights.catalog import find_weights

Said = pytest.CaptureFixture[str]


@pytest.fixture
def pairs(here: Path) -> list[str]:
    """Two small data sets, ×4 and ×2, as paths."""
    y, x = np.mgrid[:32, :40]
    picture = np.stack([x * 6, y * 7, (x + y) * 3], axis=2).astype(np.uint8)
    for factor in (4, 2):
        for name, high in (("a", picture), ("b", picture[::-1])):
            low = imresize(high, 32 // factor, 40 // factor)
            for side, pixels in (("HR", high), ("LR", low)):
                path = here / f"Set/x{factor}/{side}/{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return ["Set/x4", "Set/x2"]


def test_json(pairs: list[str], capsys: Said) -> None:
    assert run(["evaluate", "--model", "fast", "--data", *pairs, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"protocol", "results"}
    assert document["protocol"]["colour"] == "y"
    results = document["results"]
    assert [r["data"] for r in results] == ["Set/x4"] * 3 + ["Set/x2"] * 3
    assert [r["model"] for r in results[:3]] == ["bicubic", "lanczos", "fast"]
    for result in results:
        assert result["psnr"] == pytest.approx(np.mean([i["psnr"] for i in result["images"]]))
        assert [image["name"] for image in result["images"]] == ["a", "b"]
        assert set(result) >= {"ssim", "seconds", "peak_memory", "factor", "precision"}


def test_table(pairs: list[str], capsys: Said) -> None:
    assert run(["evaluate", "--data", pairs[0]]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "Y of BT.601 (16–235" in head
    assert lines[1].split() == ["Set/x4", "PSNR", "SSIM", "seconds", "peak", "memory"]
    assert [line.split()[0] for line in lines[2:5]] == ["bicubic", "lanczos", "fast"]
    assert [line.split()[0] for line in lines[6:]] == ["picture", "a", "b"]
    assert run(["evaluate", "--data", pairs[0], "--quiet"]) == 0
    assert "\npicture" not in capsys.readouterr().out


def test_sets_of_one_name_are_told_apart(pairs: list[str], capsys: Said) -> None:
    """Each once, whatever it is called; all that is saved lies in the folder for it."""
    for folder in ("one", "two"):
        shutil.copytree("Set/x4", f"{folder}/Set/x4")
    Path("work").mkdir()
    sets = ["../here/one/Set/x4", "../here/two/Set/x4", "two/Set", "./one/Set/x4/"]
    assert run(["evaluate", "--data", *sets, "--save", "work/out", "--json"]) == 0
    names = [r["data"] for r in json.loads(capsys.readouterr().out)["results"]]
    assert names == ["one/Set/x4"] * 3 + ["two/Set/x4"] * 3
    saved = {path.relative_to("work/out").as_posix() for path in Path("work").rglob("*.png")}
    methods = ("bicubic", "lanczos", "fast")
    assert saved == {f"{n}/{m}/{p}.png" for n in set(names) for m in methods for p in "ab"}
    assert {path.name for path in Path().iterdir()} == {"Set", "one", "two", "work"}


def test_sets_of_the_same_originals_are_two(pairs: list[str], capsys: Said) -> None:
    """Clean and compressed LR of one HR, for example."""
    for name in ("clean", "jpeg"):
        shutil.copytree("Set/x4/LR", f"{name}/LR")
        rows = [f"LR/{picture}.png,../Set/x4/HR/{picture}.png" for picture in "ab"]
        Path(name, "set.csv").write_text("\n".join(["LR,HR", *rows]))
    assert run(["evaluate", "--data", "clean/set.csv", "jpeg/set.csv", "--json"]) == 0
    names = [r["data"] for r in json.loads(capsys.readouterr().out)["results"]]
    assert names == ["clean/set"] * 3 + ["jpeg/set"] * 3


def test_three_protocols_are_labelled(pairs: list[str], capsys: Said) -> None:
    heads = []
    for options in (["--colour", "rgb", "--border", "0"], ["--colour", "full-y"], []):
        assert run(["evaluate", "--data", pairs[0], *options]) == 0
        heads.append(capsys.readouterr().out.splitlines()[0])
    assert "RGB, no border cropped" in heads[0]
    assert "full range (0–255" in heads[1]
    assert "16–235" in heads[2]


def test_it_goes_on(pairs: list[str], capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["evaluate", "--data", pairs[0], "--save", "out", "--json", "--report", "r.json"]
    assert run(command) == 0
    first = capsys.readouterr().out
    assert json.loads(Path("r.json").read_text()) == json.loads(first)
    for name in ("bicubic", "lanczos", "fast"):
        assert read_pixels(Path(f"out/Set/x4/{name}/a.png")).shape == (32, 40, 3)

    def never(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(methods, "imresize", never)
    assert run(command) == 0
    again = json.loads(capsys.readouterr().out)["results"]
    assert [r["images"] for r in again] == [r["images"] for r in json.loads(first)["results"]]


def test_perceptual(pairs: list[str], here: Path, capsys: Said) -> None:
    torch.save(AlexNet().state_dict(), here / "alexnet-random.pth")
    command = ["evaluate", "--data", pairs[0], "--perceptual"]
    assert run([*command, "."]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("PSNR in dB / SSIM / LPIPS; ")
    assert "; LPIPS 0.1 by AlexNet (" in head
    assert lines[1].split()[:5] == ["Set/x4", "PSNR", "SSIM", "LPIPS", "seconds"]
    assert lines[7].count("/") == 2 * 3
    assert run([*command, "alexnet-random.pth", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    for result in document["results"]:
        assert result["lpips"] == pytest.approx(np.mean([i["lpips"] for i in result["images"]]))
        assert f"{result['lpips']:.4f}" in "\n".join(lines)
    assert run([*command, "gone"]) == 1
    assert "alexnet-owt-7be5be79.pth" in capsys.readouterr().err


def test_page(pairs: list[str], capsys: Said) -> None:
    assert run(["evaluate", "--data", *pairs, "--report", "r.html"]) == 0
    page = Path("r.html").read_text()
    assert page.count("<h2>") == 3
    assert page.count("data:image/png") == 2 * 3


def test_models_of_one_name_are_told_apart(pairs: list[str], here: Path, capsys: Said) -> None:
    content = find_weights("fast").path.read_bytes()
    for folder in ("one", "two"):
        (here / folder).mkdir()
        (here / folder / "model.onnx").write_bytes(content)
    models = ["--model", "fast", "one/model.onnx", "two/model.onnx"]
    command = ["evaluate", *models, "--data", pairs[0], "--json"]
    assert run([*command, "--precision", "f32"]) == 0  # the copies have no 8-bit form
    results = json.loads(capsys.readouterr().out)["results"]
    assert [r["model"] for r in results[2:]] == ["fast", "one/model", "two/model"]
    assert results[2]["psnr"] == results[3]["psnr"] == results[4]["psnr"]


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["--data", "gone"], 1, ["gone: no such folder or csv"]),
        (["--data", "Set"], 1, ["choose with --scale: 2, 4"]),
        (["--data", "Set/x4", "--scale", "2"], 1, ["LR 10×8, HR 40×32"]),
        (["--data", "Set/x4/HR"], 1, ["--scale N"]),
        (["--data", "Set/x4", "--model", "nobody"], 1, ["unknown model", "fast"]),
        (["--data", "Set/x4", "--report", "r.txt"], 2, ["r.txt"]),
        (["--data", "Set/x4", "--report", "gone/r.json"], 2, ["no folder gone"]),
        (["--data", "Set/x4", "--report", "folder.json"], 2, ["this is a folder"]),
        (["--data", "Set/x4", "--save", "Set/x4/HR/a.png"], 1, ["cannot keep scores there"]),
        (["--data", "-"], 1, ["enlarge: -: no such folder or csv"]),
        (["--data", "Set/x4/HR/a.png"], 1, ["expected a folder or a csv"]),
        (["--data", "Set/x4", "--border", "14"], 1, ["too small", "11"]),
        (["--model", "fast"], 2, ["data"]),
    ],
)
def test_refusals(
    arguments: list[str], status: int, parts: list[str], pairs: list[str], capsys: Said
) -> None:
    Path("folder.json").mkdir()
    assert run(["evaluate", *arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    for part in parts:
        assert part in said.err


def test_sets_keep_names_of_their_own_whatever_they_are_called(
    pairs: list[str], here: Path, capsys: Said
) -> None:
    """A csv beside a folder of its name, and two folders whose names differ in their ending."""
    shutil.copytree("Set/x4", "city/valid")
    (here / "city/valid.csv").write_text("LR,HR\nvalid/LR/a.png,valid/HR/a.png\n")
    told = ["evaluate", "--json", "--data", "city/valid.csv", "city/valid"]
    assert run(told) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert len({(result["data"], result["model"]) for result in results}) == 6
    assert sorted(len(result["images"]) for result in results) == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("report", ["r.json", "r.html"])
def test_a_name_that_is_no_text_is_reported_by_its_bytes(
    report: str, pairs: list[str], here: Path
) -> None:
    for side in ("HR", "LR"):
        folder = here / f"Set/x4/{side}"
        (folder / "a.png").rename(folder / os.fsdecode(b"caf\xe9.png"))
    assert run(["evaluate", "--data", "Set/x4", "--report", report, "--quiet"]) == 0
    assert "caf\\udce9" in (here / report).read_text(encoding="utf-8")
