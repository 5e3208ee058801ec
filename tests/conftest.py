"""What the tests share: where the data lies, and the environment they run in."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

# Before torch is loaded, and for every process that a test begins. Torch's threads wait for each
# other by spinning: with two workers on two cores that takes four times as long as it does alone.
os.environ["OMP_NUM_THREADS"] = "1"

# No test leaves a process behind that it did not ask for.
os.environ["ENLARGE_PREPARE"] = "off"

# A shell lets what it begins in the background ignore Ctrl-C, and so would every process of a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Begin = Callable[..., "subprocess.Popen[str]"]
"""Begins a process: a command, and what `subprocess.Popen` takes."""

Disk = Callable[[str], Path]
"""Makes a small disk of a size, as mount knows it; where it is mounted."""

ROOT = Path(__file__).parents[1]


SLOW = ("engines", "networks", "metrics", "weights", "cli", "batch", "training", "app")
"""Folders of tests by how long theirs take; those of other folders are faster."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first."""
    order = {folder: place for place, folder in enumerate(SLOW, 1)}
    items.sort(key=lambda item: order.get(item.path.relative_to(ROOT / "tests").parts[0], 0))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Restart the timer of `faulthandler_timeout`: pytest cancels it once a test has failed, and
    the teardown of a test that hung often hangs too (a browser that no longer answers).
    """
    if seconds := float(item.config.getini("faulthandler_timeout") or 0):
        errors = item.config.stash[fault_handler_stderr_fd_key]
        faulthandler.dump_traceback_later(seconds, exit=True, file=errors)
    yield


@pytest.fixture(scope="module", autouse=True)
def memory() -> Iterator[None]:
    """Give the memory back that a file of tests has freed: a worker runs half of all files."""
    yield
    gc.collect()
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder of this workplace; the test is skipped where it is absent."""
    folder = Path(os.environ.get("ENLARGE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; ENLARGE_DATA names another")
    return folder


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins processes (as `subprocess.Popen`, with pipes), none of which outlives the test."""
    with contextlib.ExitStack() as stack:

        def start(command: list[str], **options: Any) -> subprocess.Popen[str]:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(command, text=True, **pipes | options)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Makes disks: `disk("64k")`. The test is skipped where none can be mounted."""
    with contextlib.ExitStack() as stack:

        def make(size: str) -> Path:
            folder = tmp_path / "disk"
            folder.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
            if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
                pytest.skip("no disk can be mounted here")
            stack.callback(subprocess.run, ["umount", str(folder)], check=True)
            return folder

        yield make
