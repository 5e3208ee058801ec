"""Files between the browser and the disk: routes of the server that hold none of them in memory.

The page opens a gate for one file, whose name nobody can guess, and gives it to the browser.
Through an `Incoming` one file arrives, through an `Outgoing` one is played or downloaded.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

ROUTE = "enlarge/files"
"""Where the files are, below the page's own address."""


@dataclass(eq=False)
class Incoming:
    """A file that may come: where it is stored, and the most bytes that are taken.

    `name`: the browser's name for it, once it is complete. `problem`: too_large or no_room, if it
    was refused.
    """

    path: Path
    most: int
    name: str | None = None
    problem: str | None = None
    busy: bool = False


@dataclass(frozen=True)
class Outgoing:
    """A file that is played and downloaded, as `name`."""

    path: Path
    name: str
    media_type: str


@dataclass
class Gates:
    """All gates that are open, by their secret names. Threads share it."""

    _open: dict[str, Incoming | Outgoing] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, gate: Incoming | Outgoing) -> str:
        """Open a gate; its name."""
        name = secrets.token_hex(24)  # no underscores: part of component keys
        with self._lock:
            self._open[name] = gate
        return name

    def close(self, name: str) -> None:
        """Close a gate, if it is open."""
        with self._lock:
            self._open.pop(name, None)

    def find(self, name: str) -> Incoming | Outgoing | None:
        """The gate of that name."""
        with self._lock:
            return self._open.get(name)

    def claim(self, name: str) -> Incoming | None:
        """A gate through which a file may come now: of two requests one gets it."""
        with self._lock:
            gate = self._open.get(name)
            if not isinstance(gate, Incoming) or gate.busy or gate.name is not None:
                return None
            gate.busy, gate.problem = True, None
            return gate


GATES = Gates()
"""Those of this process: the server's thread and the page's share them."""


def routes() -> list[Route]:
    """The routes of the server, for `streamlit.starlette.App`."""
    place = f"/{ROUTE}/{{name}}"
    return [Route(place, _receive, methods=["PUT"]), Route(place, _send, methods=["GET"])]


async def _receive(request: Request) -> Response:
    """Store a file: 204, or 404 without such a gate, 413 if it is too large, 507 on a full disk."""
    gate = GATES.claim(request.path_params["name"])
    if gate is None:
        return Response(status_code=404)
    status = 400
    try:
        status = await _store(request, gate)
    except ClientDisconnect:  # cancelled, or the connection broke
        pass
    except OSError:
        status, gate.problem = 507, "no_room"
    finally:
        if status == 204:
            gate.name = request.query_params.get("name") or "video"
        else:
            gate.path.unlink(missing_ok=True)
        gate.busy = False
    return Response(status_code=status)


async def _store(request: Request, gate: Incoming) -> int:
    size = 0
    gate.path.parent.mkdir(parents=True, exist_ok=True)
    with gate.path.open("wb") as file:
        async for part in request.stream():
            size += len(part)
            if size > gate.most:
                gate.problem = "too_large"
                return 413
            await to_thread.run_sync(file.write, part)
    return 204


async def _send(request: Request) -> Response:
    """A file, or the range of it that the browser asks for; to be saved with `?save`."""
    gate = GATES.find(request.path_params["name"])
    if not isinstance(gate, Outgoing) or not gate.path.is_file():
        return Response(status_code=404)
    options: dict[str, Any] = {"media_type": gate.media_type}
    options["headers"] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if "save" in request.query_params:
        options["headers"]["Content-Disposition"] = (
            f"attachment; filename*=utf-8''{quote(gate.name)}"
        )
    return FileResponse(gate.path, **options)
