"""The examples of README.md and docs/ work as they are written.

They run as for a new user: in a folder with what they name and nothing else, with an empty home
and an empty cache at first, without a terminal and with LANG=C. README's are part of every run of
the tests; `make docs-check` runs those of docs/ as well.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from enlarge.cli.commands import app, help_text
from enlarge.cli.table import COMMANDS
from tests.conftest import ROOT
from tests.documents.listed import INTERRUPTED, SHORTENED, SKIPPED
from tests.documents.material import MATERIAL, picture
from tests.documents.reading import README, Example, documents, examples, option_mentions

EVERYTHING = "ENLARGE_DOCUMENTS" in os.environ
ALL = [example for path in documents() for example in examples(path)]
QUICK = [e for e in examples(README) if e.text not in SHORTENED]
OTHERS = ("pip", "pytest", "ray", "python", "make", "tensorboard")
"""Programs with options of their own that the text mentions."""
PRELUDE = "import enlarge, numpy\npixels = numpy.zeros((12, 16, 3), numpy.uint8)\n"
PRELUDE += "names = ['photo.jpg']\n"
GIVEN = frozenset({"-o", "--output", "--save", "--report", "--cache", "--ledger"})
"""Options whose value is written, not read."""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a new user who has enlarge installed: an empty home, and so an empty cache."""
    programs = tmp_path_factory.mktemp("bin")
    for name, start in (("enlarge", "-m enlarge"), ("python", "")):
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {start} "$@"\n')
        script.chmod(0o755)
    kept = (
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "OMP_NUM_THREADS",
        "ENLARGE_PREPARE",
        "ONEDNN_MAX_CPU_ISA",
        "OV_CPU_MAX_ISA",
    )
    found = {name: os.environ[name] for name in kept if name in os.environ}
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return found | {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": path, "LANG": "C"}


def fill(folder: Path, example: Example) -> None:
    """Make what an example reads."""
    if example.language == "python":
        picture(folder / "photo.jpg")
        if '"burst/' in example.source:
            MATERIAL["burst/"](folder / "burst")
        if "tape.mp4" in example.source:
            MATERIAL["tape.mp4"](folder / "tape.mp4")
        return
    words = shlex.split(example.text)
    read = {word for before, word in zip(["", *words], words, strict=False) if before not in GIVEN}
    read |= {word.partition("=")[2] for word in read}
    for name in read & MATERIAL.keys():
        MATERIAL[name](folder / name)


@pytest.mark.timeout(170)
@pytest.mark.parametrize("example", ALL if EVERYTHING else QUICK, ids=str)
def test_an_example_works(example: Example, environment: dict[str, str], tmp_path: Path) -> None:
    if example.text in SKIPPED:
        pytest.skip(SKIPPED[example.text])
    fill(tmp_path, example)
    source, language = example.source, example.language
    if example.text in SHORTENED:
        source = f"{example.text} {SHORTENED[example.text]}"
    command = ["bash", "-euo", "pipefail", "-c", source]
    if language == "python":
        command = [sys.executable, "-c", PRELUDE + source]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            if wanted := INTERRUPTED.get(example.text):
                interrupt(process, tmp_path / wanted)
            said = process.communicate()[1].decode(errors="replace")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    expected = 130 if example.text in INTERRUPTED else 0
    assert process.returncode == expected, f"{example}\n{said}"
    assert "bug in enlarge" not in said


def interrupt(process: subprocess.Popen[bytes], wanted: Path) -> None:
    end = time.monotonic() + 60
    while not wanted.exists():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < end, f"{wanted} was not written"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize("example", ALL, ids=str)
def test_the_options_of_an_example_exist(example: Example) -> None:
    for arguments in example.enlarge():
        words = ["stream" if word == "-" else word for word in arguments]
        app.parse_args(words, exit_on_error=False, print_error=False)


def options_of_enlarge() -> set[str]:
    helps = [help_text(""), *(help_text(name) for name in COMMANDS)]
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", "\n".join(helps)))


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_the_options_in_the_text_exist(path: Path) -> None:
    known = options_of_enlarge()
    unknown = [
        f"{number}: `{code}`"
        for number, code, option in option_mentions(path)
        if option not in known and not code.startswith(OTHERS)
    ]
    assert not unknown, f"{path.name} mentions options that do not exist, at {unknown}"


def test_the_extras_exist() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = tomllib.load(file)["project"]["optional-dependencies"].keys()
    named = {name for path in documents() for name in extras(path.read_text(encoding="utf-8"))}
    assert named
    assert named <= known


def extras(text: str) -> Iterator[str]:
    for names in re.findall(r"(?:enlarge|\.)\[([a-z0-9, ]+)\]\"", text):
        yield from (name.strip() for name in names.split(","))


def test_the_lists_name_examples_that_exist() -> None:
    texts = {example.text for example in ALL}
    listed = SKIPPED.keys() | SHORTENED.keys() | INTERRUPTED.keys()
    assert listed <= texts, f"no document has {sorted(listed - texts)}"
