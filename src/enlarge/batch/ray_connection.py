"""Joining a Ray cluster. Errors come within seconds, and tell what to do."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from typing import Any

from enlarge.batch.remote import INSTALL
from enlarge.errors import EngineError

AUTO = "auto"
PORT = 6379
"""Where `ray start --head` listens by default."""
ANSWER = 15.0
"""Seconds within which an address has to answer."""


def connect(address: str) -> Any:
    """The ray package, connected to the cluster at `address`. Raises `EngineError`."""
    # No usage statistics unless the user enables them; and CUDA's variables stay as they are.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise EngineError(f"--cluster needs an extra: {INSTALL}") from error
    if address != AUTO:
        address = address if ":" in address else f"{address}:{PORT}"
        _knock(address)
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except Exception as error:  # Ray raises many kinds here
        first = " ".join(str(error).split())
        if address == AUTO:
            raise EngineError(
                "--cluster auto: this machine belongs to no cluster that answers; start one with "
                f"`ray start --head`, or name its address ({first})"
            ) from error
        raise EngineError(f"--cluster {address}: cannot be joined: {first}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, earlier)  # Ray sets its own
    _quieten()
    return ray


def _quieten() -> None:
    """Keep Ray from printing its nodes' messages about lost processes to standard output, which is
    for results. There is no option for this.
    """
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


def _knock(address: str) -> None:
    """Raise `EngineError` if nothing, or something other than Ray, listens at HOST:PORT: Ray itself
    would retry for minutes.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise EngineError(f"--cluster {address}: expected auto or HOST:PORT")
    hint = "`ray start --head` on that machine prints its address"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWER) as line:
            is_grpc = "RAY_USE_TLS" in os.environ or _speaks_http2(line)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise EngineError(f"--cluster {address}: no answer from there ({why}); {hint}") from error
    if not is_grpc:
        raise EngineError(f"--cluster {address}: the server there is not Ray; {hint}")


def _speaks_http2(line: socket.socket) -> bool:
    """Whether a server starts as gRPC's do: with a SETTINGS frame (RFC 9113, 3.4 and 6.5)."""
    no_settings = b"\0\0\0\x04\0\0\0\0\0"
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_settings)
    head = b""
    while len(head) < len(no_settings) and (data := line.recv(len(no_settings) - len(head))):
        head += data
    return head[3:4] == b"\x04"
