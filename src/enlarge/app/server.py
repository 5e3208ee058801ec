"""The server behind `enlarge app`: Streamlit without its first-start questions, and the browser."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from streamlit.starlette import App

from enlarge.app.theme import streamlit_options
from enlarge.app.transfer import routes
from enlarge.errors import OptionError

_ANY = frozenset({"0.0.0.0", "::"})
_MEGA = 1_000_000


@dataclass(frozen=True)
class Address:
    """Where the server listens: a host name or an IP address, and a TCP port."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What a browser is given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def from_here(self) -> Address:
        """The same for a client on this machine."""
        return Address("localhost", self.port) if self.host in _ANY else self

    def check(self) -> None:
        """Raise OptionError where no server can listen, rather than fail after a long start."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if os.name != "nt":  # there it would permit a port that is in use
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self.host, self.port))
        except OSError as error:
            raise OptionError(
                f"cannot listen on {self.host}, port {self.port}: {error.strerror or error}; "
                "choose another --port or --host"
            ) from error


def serve(address: Address, *, max_upload: int, browser: bool, verbose: bool) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Parameters
    ----------
    address
        Where to listen.
    max_upload
        The largest file that is accepted, in bytes.
    browser
        Open the page in the user's browser as soon as the server answers.
    verbose
        Show Streamlit's own messages.

    """
    options = dict(streamlit_options()) | {
        "server.address": address.host,
        "server.port": address.port,
        # Streamlit does not open the browser: `webbrowser` knows more of them.
        "server.headless": True,
        "server.maxUploadSize": max(1, -(-max_upload // _MEGA)),
        "logger.level": "info" if verbose else "error",
    }
    script = Path(__file__).with_name("page.py")
    if browser and has_browser():
        opening = threading.Thread(
            target=_open_when_ready, args=(address.from_here(),), daemon=True
        )
        opening.start()
    # `streamlit run` asks for an e-mail address at its first start; its parts do not.
    quiet = contextlib.nullcontext() if verbose else contextlib.redirect_stdout(io.StringIO())
    with quiet, contextlib.suppress(KeyboardInterrupt):  # raised after the server has ended
        App(script, routes=routes()).run(config=options)


def _open_when_ready(address: Address) -> None:
    """Wait until the server accepts connections, then open the page, silently."""
    place = (address.host, address.port)
    while True:
        with contextlib.suppress(OSError), socket.create_connection(place, timeout=5):
            break
        time.sleep(0.1)
    # A process of its own: what the browser prints stays off the terminal, Ctrl+C leaves it open.
    subprocess.run(
        [sys.executable, "-m", "webbrowser", address.url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        check=False,
    )


def has_browser() -> bool:
    """Whether a browser with a window can be opened: on Linux and BSD that takes a display."""
    if sys.platform in ("win32", "darwin") or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
