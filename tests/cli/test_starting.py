"""What the command loads, and how its process ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Make

ENDING = """
import atexit, sys, threading, time
from enlarge.cli.starting import run_process

def work():
    time.sleep(0.2)
    print("thread")

def main():
    atexit.register(print, "atexit")
    threading.Thread(target=work).start()
    sys.stdout.write("main\\n")
    sys.exit(%s)

class Torn:
    def __del__(self):
        print("torn down", flush=True)

kept = Torn()
run_process(main)
"""
IMPORTING = """
import sys
from enlarge.cli.starting import without_converter

with without_converter():
    import openvino
assert "openvino.tools.ovc" not in sys.modules and "numpy.ma" not in sys.modules
from openvino.tools.ovc import convert_model
with without_converter():
    pass
assert sys.modules["openvino.tools.ovc"].convert_model is convert_model
"""


INTERRUPTED = """
import builtins, os, signal, sys
def interrupt(name, *rest, imported=builtins.__import__):
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGINT)
    return imported(name, *rest)
builtins.__import__ = interrupt
sys.argv[1:] = [sys.argv[1], "a.png"]
signal.signal(signal.SIGINT, signal.default_int_handler)
from enlarge.__main__ import start
start()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("module", "status", "said"),
    [
        ("enlarge.cli.console", -signal.SIGINT, ""),
        ("enlarge.cli.enlarge", 130, "enlarge: interrupted; no unfinished files are left\n"),
    ],
)
def test_an_interrupt_while_modules_are_imported(module: str, status: int, said: str) -> None:
    line = [sys.executable, "-c", INTERRUPTED, module]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.parametrize(("code", "status"), [("0", 0), ("3", 3), ("'a word'", 1)])
def test_a_process_ends_after_its_threads_and_handlers(code: str, status: int) -> None:
    line = [sys.executable, "-c", ENDING % code]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    words = ["main", "thread", "atexit"]
    assert done.stdout.split("\n")[:3] == words
    assert ("torn down" in done.stdout) == (status == 1)  # that status Python has to print


def test_openvino_without_its_converter_of_models() -> None:
    line = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_a_picture_does_not_load(picture: Make, here: Path) -> None:
    picture("a.png")
    line = [sys.executable, "-X", "importtime", "-m", "enlarge", "a.png"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert (done.returncode, Path("a_x4.png").exists()) == (0, True), done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"openvino", "pyvips"} <= loaded
    for name in ("openvino.tools", "numpy.ma", "rich", "torch", "onnx", "PIL", "sqlite3"):
        assert name not in loaded
    for name in ("cyclopts", "attr", "importlib.metadata"):
        assert name not in loaded
