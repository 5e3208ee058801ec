"""`enlarge app`: what it refuses, and what it hands to Streamlit and to the page."""

from __future__ import annotations

import json
import os
import socket
from importlib.machinery import ModuleSpec
from typing import Any

import pytest
from streamlit.starlette import App

import enlarge.engines.pick  # noqa: F401 - before find_spec is replaced
from enlarge.app.options import VARIABLE, Options
from enlarge.app.theme import streamlit_options
from enlarge.cli import run

Started = tuple[str, dict[str, object]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """The scripts and options with which Streamlit was started, instead of starting it."""
    calls: list[Started] = []
    monkeypatch.setenv(VARIABLE, "{}")
    monkeypatch.setattr(
        App, "run", lambda self, *, config: calls.append((str(self.script_path), config))
    )
    return calls


def test_options_reach_the_page_and_the_server(started: list[Started], capsys: Any) -> None:
    command = "app --port 8765 --host 0.0.0.0 --max-upload 10MB --max-pixels 3 --memory 1GB"
    command += " --max-video 3GB --max-frames 500"
    assert run([*command.split(), "--no-browser"]) == 0
    options = Options(**json.loads(os.environ[VARIABLE]))
    assert options == Options(
        max_upload=10_000_000,
        max_pixels=3_000_000,
        memory="1GB",
        max_video=3_000_000_000,
        max_frames=500,
    )
    ((script, arguments),) = started
    assert script.endswith("page.py")
    expected = {"server.port": 8765, "server.address": "0.0.0.0", "server.maxUploadSize": 10}
    expected |= {"server.headless": True, "browser.gatherUsageStats": False}
    assert expected.items() <= arguments.items()
    assert "http://0.0.0.0:8765" in capsys.readouterr().out


def test_streamlit_knows_every_option_of_ours() -> None:
    from streamlit import config

    known = config.get_config_options()
    assert not [name for name, _ in streamlit_options() if name not in known]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--port 70000", "--port must be a number from 1 to 65535, got 70000"),
        ("--max-upload 10kB", "--max-upload must be at least 1MB, got '10kB'"),
        ("--max-video 1kB", "--max-video must be at least 1MB, got '1kB'"),
        ("--max-upload many", "--max-upload must be a size like 1.5GB or 600MB, got 'many'"),
        ("--max-pixels 0", "--max-pixels must be a whole number from 1 on, got '0'"),
        ("--model nothing", "unknown model 'nothing'"),
        ("--quiet --verbose", "--quiet and --verbose contradict each other"),
    ],
)
def test_what_cannot_be_is_refused(
    started: list[Started], capsys: Any, options: str, said: str
) -> None:
    assert run(["app", *options.split()]) in (1, 2)
    assert said in capsys.readouterr().err
    assert not started


def test_a_port_in_use_is_refused(started: list[Started], capsys: Any) -> None:
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        port = other.getsockname()[1]
        assert run(["app", "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"cannot listen on localhost, port {port}" in said
    assert "choose another --port" in said
    assert not started


def test_a_missing_streamlit_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def nowhere(name: str, package: str | None = None) -> ModuleSpec | None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", nowhere)
    assert run(["app"]) == 1
    assert 'pip install "enlarge[app]"' in capsys.readouterr().err
