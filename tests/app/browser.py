"""A real server and a real browser for the web app's tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 90_000
"""Milliseconds that a step may take on a machine that is busy with other tests."""
# The grace of a lost connection is shortened; everything else is the command as users run it.
_START = "import sys; from enlarge.app import visit; visit.GRACE = 1.0; "
_START += "from enlarge.cli import main; main()"


@dataclass(frozen=True)
class Server:
    """`enlarge app`, running: its address, its process and the folder of its temporary files."""

    url: str
    process: int
    temporary: Path

    def seconds(self) -> float:
        """CPU seconds that it has taken so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """The app on a free port, its temporary files in `folder`."""
    port = free_port()
    temporary, home = folder / "temporary", folder / "home"
    temporary.mkdir()
    home.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "ENLARGE_CACHE": str(folder / "compiled")}
    environment["HOME"] = str(home)
    command = [sys.executable, "-c", _START, "app", "--port", str(port), "--no-browser", *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        _wait(f"http://localhost:{port}/_stcore/health", process)
        yield Server(f"http://localhost:{port}/", process.pid, temporary)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < end, "the server does not answer"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)


def chromium() -> str | None:
    """Where Chromium is."""
    return shutil.which("chromium") or shutil.which("google-chrome")


def launch(playwright: Any) -> Any:
    """The browser, headless."""
    return playwright.chromium.launch(
        executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
    )


def visit(browser: Any, server: Server, **options: Any) -> Any:
    """A page of a browser session of its own (cookies, language, size)."""
    options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US"} | options
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    page.locator(".st-key-files").wait_for()
    return page


def upload(page: Any, *files: Path) -> None:
    """Give files to the first uploader."""
    page.locator(".st-key-files input[type=file]").set_input_files([str(file) for file in files])


def settle(page: Any) -> None:
    """Wait until the server has nothing more to say."""
    page.locator('[data-test-script-state="notRunning"]').wait_for()
    page.wait_for_timeout(300)
