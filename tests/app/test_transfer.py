"""Files between the browser and the disk: what arrives, what is refused, what is served."""

from __future__ import annotations

import errno
import http.client
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from anyio import to_thread
from starlette.applications import Starlette

from enlarge.app.transfer import GATES, ROUTE, Incoming, Outgoing, routes


@pytest.fixture
def port() -> Iterator[int]:
    """A server with the routes alone."""
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        config = uvicorn.Config(Starlette(routes=routes()), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)


def ask(port: int, method: str, place: str, body: Any = None, **headers: str) -> Any:
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request(method, f"/{ROUTE}/{place}", body, headers, encode_chunked=bool(headers))
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content, answer.headers


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[tuple[str, Incoming]]:
    found = Incoming(tmp_path / "folder" / "source", most=1000)
    name = GATES.open(found)
    yield name, found
    GATES.close(name)


def test_a_file_arrives_once(port: int, gate: tuple[str, Incoming]) -> None:
    name, found = gate
    assert ask(port, "PUT", f"{name}?name=a%20tape.mp4", b"x" * 1000)[0] == 204
    assert (found.path.read_bytes(), found.name) == (b"x" * 1000, "a tape.mp4")
    assert ask(port, "PUT", f"{name}?name=b.mp4", b"y")[0] == 404
    assert found.path.read_bytes() == b"x" * 1000
    assert ask(port, "GET", name)[0] == 404  # what came is nobody's to fetch


def test_what_is_too_large_leaves_nothing(port: int, gate: tuple[str, Incoming]) -> None:
    name, found = gate
    assert ask(port, "PUT", name, b"x" * 1001)[0] == 413
    assert (found.problem, found.name, found.path.exists()) == ("too_large", None, False)
    assert ask(port, "PUT", name, b"x" * 5)[0] == 204  # a smaller one is welcome
    assert (found.problem, found.path.read_bytes()) == (None, b"xxxxx")


def test_a_full_disk(port: int, gate: tuple[str, Incoming], monkeypatch: Any) -> None:
    async def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(to_thread, "run_sync", full)
    name, found = gate
    assert ask(port, "PUT", name, b"x" * 5)[0] == 507
    assert (found.problem, found.path.exists()) == ("no_room", False)


def test_a_connection_that_breaks_leaves_nothing(port: int, gate: tuple[str, Incoming]) -> None:
    name, found = gate
    with socket.create_connection(("localhost", port)) as sending:
        head = f"PUT /{ROUTE}/{name} HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n"
        sending.sendall(head.encode() + b"x" * 400)
        wait_for(found.path.exists)
    wait_for(lambda: not found.busy)
    assert (found.name, found.path.exists()) == (None, False)
    assert ask(port, "PUT", name, b"x")[0] == 204


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nobody_guesses(port: int) -> None:
    for method in ("GET", "PUT"):
        assert ask(port, method, "x" * 32, b"")[0] == 404


def test_a_large_file_is_not_held_in_memory(port: int, tmp_path: Path) -> None:
    found = Incoming(tmp_path / "source", most=1 << 30)
    name = GATES.open(found)
    block, count = b"x" * (1 << 20), 200
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blocks = (block for _ in range(count))
    status, *_ = ask(port, "PUT", name, blocks, **{"Transfer-Encoding": "chunked"})
    out = GATES.open(Outgoing(found.path, "a.mp4", "video/mp4"))
    connection = http.client.HTTPConnection("localhost", port, timeout=60)
    connection.request("GET", f"/{ROUTE}/{out}")
    answer, size = connection.getresponse(), 0
    while part := answer.read(1 << 20):
        size += len(part)
    connection.close()
    assert status == 204
    assert found.path.stat().st_size == size == count << 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50 * 1024  # KiB, of 200 MiB
    GATES.close(name)
    GATES.close(out)


def test_a_part_for_a_player_and_the_whole_for_the_disk(port: int, tmp_path: Path) -> None:
    path = tmp_path / "result.mp4"
    path.write_bytes(bytes(range(100)))
    name = GATES.open(Outgoing(path, '영상 "1".mp4', "video/mp4"))
    status, content, headers = ask(port, "GET", name, Range="bytes=10-19")
    assert (status, content) == (206, bytes(range(10, 20)))
    assert headers["content-range"] == "bytes 10-19/100"
    assert (headers["content-type"], headers["content-disposition"]) == ("video/mp4", None)
    status, content, headers = ask(port, "GET", f"{name}?save=1")
    assert (status, content) == (200, bytes(range(100)))
    saved = "attachment; filename*=utf-8''%EC%98%81%EC%83%81%20%221%22.mp4"
    assert headers["content-disposition"] == saved
    assert ask(port, "PUT", name, b"mine")[0] == 404
    GATES.close(name)
    assert ask(port, "GET", name)[0] == 404
