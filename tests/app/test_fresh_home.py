"""`enlarge app` as it starts for a new user: in a home folder that Streamlit has never seen."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app.browser import free_port

LIMIT = 10.0
"""Seconds within which the page must be served."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@contextlib.contextmanager
def stream(terminal: bool) -> Iterator[int]:
    """What a process reads from and writes to: a pseudo-terminal or nothing."""
    if not terminal:
        with Path(os.devnull).open("r+b") as nothing:
            yield nothing.fileno()
        return
    ours, theirs = pty.openpty()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


@contextlib.contextmanager
def app(home: Path, *options: str, terminal: bool, **variables: str) -> Iterator[str]:
    """`enlarge app` in an environment of its own; the address of its page."""
    port = free_port()
    kept = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "ENLARGE_CACHE": str(home.parent / "cache")} | variables
    command = [sys.executable, "-m", "enlarge", "app", "--port", str(port), *options]
    with stream(terminal) as both:
        process = subprocess.Popen(
            command, env=environment, stdin=both, stdout=both, stderr=both, start_new_session=True
        )
        try:
            end = time.monotonic() + LIMIT
            url = f"http://localhost:{port}"
            while not answers(url):
                assert process.poll() is None, f"the server ended with {process.returncode}"
                assert time.monotonic() < end, f"no answer within {LIMIT} s"
                time.sleep(0.1)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()
    assert process.returncode in (0, 130)


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as page:
        return b"<title>Streamlit</title>" in page.read()
    return False


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
def test_the_page_is_served_and_opened(home: Path, terminal: bool) -> None:
    opened = home.parent / "opened"
    browser = home.parent / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> "{opened}"\n')
    browser.chmod(0o755)
    with app(home, terminal=terminal, BROWSER=str(browser)) as url:
        assert within(LIMIT, opened.exists), "no browser was opened"
        assert within(LIMIT, lambda: opened.read_text() == f"{url}\n"), opened.read_text()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "no terminal"])
@pytest.mark.parametrize("options", [[], ["--no-browser"]], ids=["no browser", "--no-browser"])
def test_the_page_is_served_without_a_browser(
    home: Path, options: list[str], terminal: bool
) -> None:
    with app(home, *options, terminal=terminal):
        pass
    assert list(home.iterdir()) == []


def test_no_browser_leaves_it_closed(home: Path) -> None:
    opened = home.parent / "opened"
    with app(home, "--no-browser", terminal=False, BROWSER=f"touch {opened} #"):
        time.sleep(1)
    assert not opened.exists()


def test_damaged_credentials_ask_nothing(home: Path) -> None:
    """Streamlit would remove the file and ask for an e-mail address."""
    file = home / ".streamlit" / "credentials.toml"
    file.parent.mkdir()
    file.write_text("[general\n")
    with app(home, terminal=True):
        pass
    assert file.read_text() == "[general\n"
