"""`models`, `inspect`, `train`, the help, and what starting costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import enlarge
from enlarge.cli import run
from enlarge.cli.commands import app
from enlarge.cli.table import COMMANDS, MODULES
from enlarge.weights.catalog import find_weights
from tests.cli.conftest import Make, tree
from tests.conftest import Begin

Said = pytest.CaptureFixture[str]


def test_models(capsys: Said) -> None:
    assert run(["models"]) == 0
    heading, first, *_, last = capsys.readouterr().out.splitlines()
    assert heading.split() == ["model", "scale", "parameters", "kFLOP/px", "file", "scores"]
    assert first.startswith("fast ")
    assert "×4" in first
    assert last.startswith("auto, the default, takes fast or ")
    assert run(["models", "--quiet"]) == 0
    assert "fast" in capsys.readouterr().out.splitlines()
    assert run(["models", "--json"]) == 0
    card = next(c for c in json.loads(capsys.readouterr().out) if Path(c["file"]).stem == "fast")
    assert card["scale"] == 4
    assert run(["models", "-v"]) == 0
    assert card["file"] in capsys.readouterr().out


def test_inspect(picture: Make, capsys: Said) -> None:
    picture("사진.png", 20, 10)
    assert run(["inspect", "사진.png", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["width"], facts["height"], facts["depth"]) == (20, 10, "uint8")
    assert run(["inspect", "사진.png"]) == 0
    assert "width" in capsys.readouterr().out
    path = find_weights("fast").path
    for name in ("fast", str(path)):
        assert run(["inspect", name, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["scale"], facts["file"]) == (4, str(path))
    assert run(["inspect", "fast"]) == 0
    assert run(["inspect", "fast", "--quiet"]) == 0


def test_a_strength_is_told(picture: Make, capsys: Said) -> None:
    for name in ("photo", "photo-sharp"):
        assert run(["inspect", name]) == 0
        assert "0 (photo) to 1 (photo-sharp)" in capsys.readouterr().out
    assert run(["inspect", "fast"]) == 0
    assert "\nstrength" not in capsys.readouterr().out

    picture("a.png")
    command = ["a.png", "--model", "photo", "--strength", "0.5"]
    assert run([*command, "--dry-run"]) == 0
    assert "strength 0.5, between photo (0) and photo-sharp (1)" in capsys.readouterr().out
    assert run([*command, "--dry-run", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["model"], facts["strength"]) == ("photo-sharp@0.5", 0.5)
    assert run([*command, "--ensemble"]) == 0
    capsys.readouterr()
    assert run(["inspect", "a_x4.png", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["provenance"]
    assert (made["model"], made["strength"], made["ensemble"]) == ("photo-sharp@0.5", "0.5", "yes")


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["inspect", "gone.png"], 1, ["gone.png", "no such file", "fast"]),
        (["inspect", "."], 1, [".", "folder"]),
        (["inspect", "text.png"], 1, ["text.png", "not a picture"]),
        (["inspect", "text.onnx"], 1, ["text.onnx"]),
        (["inspect", "text.pth"], 1, ["text.pth", "is a text file, not a model: 'some text'"]),
        (["inspect"], 2, ["FILE", "argument"]),
        (["inspect", "a", "b"], 2, ["unexpected 'b'"]),
        (["models", "a"], 2, ["unexpected 'a'"]),
        (["models", "--nope"], 2, ["--nope"]),
        (["models", "-v", "--quiet"], 2, ["contradict"]),
        (["train"], 2, ["RECIPE", "argument"]),
        (["train", "gone.yaml"], 2, ["gone.yaml"]),
    ],
)
def test_what_the_commands_refuse(
    arguments: list[str], status: int, parts: list[str], here: Path, capsys: Said
) -> None:
    for suffix in ("png", "onnx", "pth"):
        Path(f"text.{suffix}").write_text("some text")
    assert run(arguments) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in parts), line


def test_training_names_the_extra_that_is_missing() -> None:
    script = (
        "import sys\n"
        "sys.modules['yaml'] = None\n"
        "from enlarge.cli import run\n"
        "sys.exit(run(['train', 'recipes/fast.yaml']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'pip install "enlarge[train]"' in done.stderr


@pytest.mark.parametrize("command", [[], *[[name] for name in COMMANDS]])
def test_help_and_version_everywhere(command: list[str], capsys: Said) -> None:
    for flag in ("--help", "-h"):
        assert run([*command, flag]) == 0
        text = capsys.readouterr().out
        assert all(len(line) < 80 for line in text.splitlines())
        assert "None" not in text
        assert "--quiet" in text
        assert "-v, --verbose" in text
    assert run([*command, "--version"]) == 0
    assert capsys.readouterr().out == f"enlarge {enlarge.__version__}\n"


def test_the_table_names_functions() -> None:
    for name in COMMANDS:
        command = app[name].default_command
        assert getattr(command, "__name__", "") == MODULES.get(name, name)
        assert getattr(command, "__module__", "") == f"enlarge.cli.{MODULES.get(name, name)}"


def test_the_help_names_everything(capsys: Said) -> None:
    run(["--help"])
    text = capsys.readouterr().out
    options = "output format quality metadata suffix overwrite scale width height crop model engine"
    options += " precision exact ensemble strength device memory tile threads json verbose quiet"
    options += " help version"
    assert all(f"--{option}" in text for option in options.split())
    assert all(f"\n  {name}" in text for name in COMMANDS)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)


def test_help_loads_nothing_heavy() -> None:
    heavy = ["numpy", "openvino", "pyvips", "rich", "torch", "PIL"]
    code = (
        "import sys, enlarge.cli; enlarge.cli.run(['--help']); enlarge.cli.run(['--version'])\n"
        f"print('loaded', *[name for name in {heavy} if name in sys.modules])"
    )
    assert python(code).stdout.splitlines()[-1] == "loaded"


def test_starting_is_quick() -> None:
    """Seconds of processor time, which a busy machine does not change: for the package ≤ 0.2,
    for the help ≤ 0.4."""
    for code, most in (
        ("import enlarge", 0.2),
        ("import enlarge.cli; enlarge.cli.run(['--help'])", 0.4),
    ):
        python(code)
        seconds = float(
            python(f"{code}\nimport time; print(time.process_time())").stdout.split()[-1]
        )
        assert seconds <= most, code


ENLARGE = [sys.executable, "-c", "import enlarge.cli; enlarge.cli.main()"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_signals_leave_nothing_half(name: str, picture: Make, here: Path, begin: Begin) -> None:
    import signal

    picture("photo.png", 300, 300)
    process = begin(
        [*ENLARGE, "photo.png", "-o", "new/large.png", "--scale", "16", "--precision", "f32"],
        stdout=None,
    )
    new = here / "new"
    while not (new.is_dir() and os.listdir(new)):  # noqa: PTH208
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=120)
    if name == "SIGKILL":
        (left,) = os.listdir(new)  # noqa: PTH208
        assert left.startswith(".large.png.enlarge-")
        assert left.endswith(".part")
        assert run(["photo.png", "-o", "new", "--crop", "0,0,8,8", "--quiet"]) == 0
        assert set(os.listdir(new)) - {".enlarge"} == {"photo.png"}  # noqa: PTH208
    else:
        assert process.returncode == 130
        assert said == "enlarge: interrupted; no unfinished files are left\n"
        assert tree(here) == ["photo.png"]


def test_nobody_reads(picture: Make, here: Path) -> None:
    """A closed pipe stops the picture that goes into it, but not a batch that only talks to it."""
    for name in ("a.png", "b.png"):
        picture(name)
    reader, writer = os.pipe()
    os.close(reader)
    code = [*ENLARGE, "a.png", "b.png"]
    done = subprocess.run(code, stdout=writer, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(
        [*ENLARGE, "a.png", "-o", "-"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == "enlarge: a.png: standard output: cannot be written: Broken pipe\n"
