"""A visit: one browser's session, its pictures, and the folder that holds their files.

No visit can reach the files of another: the folder's name cannot be guessed, and the page serves
only files of its own visit. When the visitor leaves, the jobs are cancelled and the folder is
removed.
"""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from enlarge.app.options import Options
from enlarge.app.queue import Queue, QueuedJob
from enlarge.app.views import Canvas
from enlarge.app.work import (
    Enlargement,
    Sentence,
    inspect_upload,
    reason_of,
    result_name,
    result_outlook,
)
from enlarge.errors import InputError
from enlarge.media.reading import Facts
from enlarge.picture.looking import Finding
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler

GRACE = 30.0
"""Seconds after which a lost connection ends the visit."""


@dataclass(eq=False)
class Item:
    """One picture of a visit: its file, its facts or why it is not accepted, and its last job.
    `page`: which of several pictures in the file was chosen; None: its main one. `finding`: what
    it looks like, once the model `auto` has asked.
    """

    key: str
    name: str
    source: Path = field(repr=False)
    facts: Facts | None = None
    page: int | None = None
    problem: Sentence | None = None
    finding: Finding | None = None
    settings: Settings | None = None
    job: QueuedJob | None = None
    canvas: Canvas | None = field(default=None, repr=False)
    views: dict[Any, Any] = field(default_factory=dict, repr=False)
    """Cached views for the browser."""

    def known(self) -> Facts:
        """The facts of a picture that was accepted."""
        assert self.facts is not None
        return self.facts

    @property
    def target(self) -> Path:
        """The file of its result."""
        return self.source.with_name("result")

    @property
    def result_name(self) -> str:
        """The file name of its result."""
        assert self.settings is not None
        outlook = result_outlook(self.settings, self.known())
        return result_name(self.settings, self.name, outlook, self.page)


class Visit:
    """The pictures of one visitor, by key, in the order they came."""

    def __init__(self, queue: Queue, options: Options) -> None:
        self.owner = uuid4().hex
        self.items: dict[str, Item] = {}
        self.fusion: QueuedJob | None = None
        """The fusion of several of them that was asked for last."""
        self.closed = False
        self._queue, self._options = queue, options
        self._folder = tempfile.TemporaryDirectory(
            prefix="enlarge-app-", ignore_cleanup_errors=True
        )
        self._leaving: threading.Timer | None = None

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        return Path(self._folder.name)

    def add(self, key: str, name: str, content: bytes | memoryview) -> Item:
        """Add a picture; of one that is not accepted only the `problem` is kept."""
        name = re.sub(r"[\x00-\x1f\x7f\ud800-\udfff/\\]", "_", name) or "picture"
        source = self.folder / uuid4().hex / "source"
        found: Facts | Sentence
        try:
            source.parent.mkdir()
            source.write_bytes(content)
            found = inspect_upload(source, name, self._options)
        except OSError:
            found = Sentence("no_room", {"name": name})
        item = Item(key, name, source)
        if isinstance(found, Sentence):
            item.problem = found
            self._clear(item)
        else:
            item.facts = found
        self.items[key] = item
        return item

    def choose_page(self, item: Item, page: int) -> Sentence | None:
        """Take another picture of the item's file; why that is impossible, if it is."""
        found = inspect_upload(item.source, item.name, self._options, page)
        if isinstance(found, Sentence):
            return found
        if item.job is not None and item.job.active:
            self._queue.cancel(item.job)
        item.page, item.facts, item.job, item.views = page, found, None, {}
        item.finding = None
        return None

    def remove(self, key: str) -> None:
        """Remove a picture and its files."""
        item = self.items.pop(key)
        if item.job is not None and item.job.active:
            self._queue.cancel(item.job)
        threading.Thread(target=self._clear_when_idle, args=(item,), daemon=True).start()

    def start(self, item: Item, settings: Settings, model: Upscaler) -> None:
        """Put a picture into the queue."""
        outlook = result_outlook(settings, item.known())
        item.settings, item.views = settings, {}
        try:
            item.canvas = Canvas(item.source, outlook.width, outlook.height, item.page)
        except InputError as error:  # cut off behind its header
            reason = reason_of(error, item.source, item.name)
            item.problem = Sentence("unreadable", {"name": item.name, "reason": reason})
            return
        memory = self._options.memory
        work = Enlargement(settings, model, item.source, item.target, memory, item.page)
        item.job = QueuedJob(self.owner, work, watch=item.canvas.paste)
        self._queue.add(item.job)

    def zip(self, items: Sequence[Item]) -> bytes:
        """All results in one archive, stored (pictures are compressed already)."""
        whole = io.BytesIO()  # in memory it ends anyway, where downloads are served from
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
            for name, item in unique_names(items).items():
                archive.write(item.target, name)
        return whole.getvalue()

    def stay(self) -> None:
        """The visitor is connected (again)."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def leave_soon(self) -> None:
        """The connection was lost: close unless `stay` is called within `GRACE` seconds."""
        self.stay()
        self._leaving = threading.Timer(GRACE, self.close)
        self._leaving.daemon = True
        self._leaving.start()

    def close(self) -> None:
        """Cancel the jobs and remove every file."""
        self.closed = True
        self._queue.leave(self.owner)
        self.items.clear()
        self._folder.cleanup()

    def _clear_when_idle(self, item: Item) -> None:
        while item.job is not None and item.job.active:
            threading.Event().wait(0.1)
        self._clear(item)

    def _clear(self, item: Item) -> None:
        shutil.rmtree(item.source.parent, ignore_errors=True)


def unique_names(items: Sequence[Item]) -> Mapping[str, Item]:
    """The results by their names, told apart where two pictures share one: `a_x4 (2).png`."""
    names: dict[str, Item] = {}
    for item in items:
        path, number = Path(item.result_name), 1
        name = path.name
        while name.casefold() in {taken.casefold() for taken in names}:
            number += 1
            name = f"{path.stem} ({number}){path.suffix}"
        names[name] = item
    return names
