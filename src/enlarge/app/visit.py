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
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import uuid4

from enlarge.app.clips import (
    MEDIA_TYPES,
    ClipWork,
    clip_outlook,
    clip_result_name,
    frame_name,
    frame_picture,
    frame_settings,
    inspect_clip,
    too_large,
)
from enlarge.app.options import Options
from enlarge.app.queue import Queue, QueuedJob
from enlarge.app.transfer import GATES, Incoming, Outgoing
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
from enlarge.media.reading import Facts, open_picture
from enlarge.picture.looking import Finding
from enlarge.settings import Settings
from enlarge.upscaler import Upscaler
from enlarge.video.facts import VideoFacts

GRACE = 30.0
"""Seconds after which a lost connection ends the visit."""
FRAME = "frame-"
"""How the keys of pictures begin that are frames of videos."""
_FRAMES_KEPT = 8
"""Frames of a video that are kept, so that returning to one does not read it again."""


@dataclass(eq=False)
class Upload:
    """A file of a visit: where it is, why it is not accepted, and its last job. `name`: the
    visitor's own for it. `views`: what is kept for the browser.
    """

    key: str
    name: str
    source: Path = field(repr=False)
    problem: Sentence | None = None
    settings: Settings | None = None
    job: QueuedJob | None = None
    canvas: Canvas | None = field(default=None, repr=False)
    views: dict[Any, Any] = field(default_factory=dict, repr=False)


@dataclass(eq=False)
class Item(Upload):
    """A picture, and its facts. `page`: which of several in the file was chosen; None: its main
    one. `finding`: what it looks like, once the model `auto` has asked.
    """

    facts: Facts | None = None
    page: int | None = None
    finding: Finding | None = None

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


@dataclass(eq=False)
class Clip(Upload):
    """A video, and its facts. `gate`: through which its result goes to the browser."""

    facts: VideoFacts | None = None
    gate: str | None = field(default=None, repr=False)

    def known(self) -> VideoFacts:
        """The facts of a video that was accepted."""
        assert self.facts is not None
        return self.facts

    @property
    def target(self) -> Path:
        """The file of its result."""
        assert self.settings is not None
        return self.source.with_name(f"result.{self.settings.format}")


class Visit:
    """The pictures and videos of one visitor, by key, in the order they came."""

    def __init__(self, queue: Queue, options: Options) -> None:
        self.owner = uuid4().hex
        self.items: dict[str, Item] = {}
        self.fusion: QueuedJob | None = None
        """The fusion of several of them that was asked for last."""
        self.clips: dict[str, Clip] = {}
        self._gates: dict[str, Incoming | Outgoing] = {}
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
        name = _cleaned(name) or "picture"
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

    def incoming(self) -> tuple[str, Incoming]:
        """The gate through which the next video comes, and its name."""
        for name, gate in self._gates.items():
            if isinstance(gate, Incoming):
                return name, gate
        gate = Incoming(self.folder / uuid4().hex / "source", self._options.max_video)
        return self._opened(gate), gate

    def take_clip(self) -> Clip | None:
        """The video that has come since the last time; of one that is not accepted only the
        `problem` is kept.
        """
        gate_name, gate = self.incoming()
        if gate.busy or (gate.name is None and gate.problem is None):
            return None
        self._closed(gate_name)
        clip = Clip(gate_name, _cleaned(gate.name or "") or "video", gate.path)
        if gate.problem is not None:
            values = {"name": clip.name}
            clip.problem = Sentence("no_room", values)
            if gate.problem == "too_large":
                clip.problem = too_large(clip.name, self._options)
        else:
            found = inspect_clip(clip.source, clip.name)
            if isinstance(found, Sentence):
                clip.problem = found
            else:
                clip.facts = found
        if clip.problem is not None:
            self._clear(clip)
        self.clips[clip.key] = clip
        return clip

    def start_clip(self, clip: Clip, settings: Settings, model: Upscaler) -> None:
        """Put a video into the queue."""
        outlook = clip_outlook(settings, clip.known(), self._options)
        assert not isinstance(outlook, Sentence)
        if clip.gate is not None:
            self._closed(clip.gate)
            clip.gate = None
        clip.settings, clip.views = settings, {}
        at = settings.start or Fraction(0)
        try:
            first = frame_picture(clip.source, at)
            frame = clip.source.with_name("first.png")
            frame.write_bytes(first)
            clip.canvas = Canvas(frame, outlook.width, outlook.height)
        except InputError as error:
            reason = reason_of(error, clip.source, clip.name)
            clip.problem = Sentence("unreadable_video", {"name": clip.name, "reason": reason})
            return
        except OSError:
            clip.problem = Sentence("no_room", {"name": clip.name})
            return
        work = ClipWork(settings, model, clip.source, clip.target, self._options.memory)
        clip.job = QueuedJob(self.owner, work, watch=clip.canvas.paste)
        self._queue.add(clip.job)

    def outgoing(self, clip: Clip) -> tuple[str, str]:
        """The gate of a video's result, and the file's name."""
        assert clip.settings is not None
        outlook = clip_outlook(clip.settings, clip.known(), self._options)
        assert not isinstance(outlook, Sentence)
        name = clip_result_name(clip.settings, clip.name, outlook)
        if clip.gate is None:
            kind = MEDIA_TYPES[outlook.format]
            clip.gate = self._opened(Outgoing(clip.target, name, kind))
        return clip.gate, name

    def add_frame(self, clip: Clip, at: Fraction, settings: Settings, model: Upscaler) -> None:
        """Add a frame of a video as a picture, and put that into the queue. Raises `InputError`."""
        key = f"{FRAME}{uuid4().hex}"
        item = self.add(key, frame_name(clip.name, at), frame_picture(clip.source, at))
        if item.problem is None:
            self.start(item, frame_settings(settings), model)

    def frame_item(self, clip: Clip, at: Fraction) -> Item:
        """A frame of a video as a picture that can be looked at, but is not one of the visit's.

        Raises `InputError`.
        """
        key = ("frame", at)
        if key not in clip.views:
            kept = [old for old in clip.views if old[0] == "frame"]
            for old in kept[:-_FRAMES_KEPT]:
                clip.views.pop(old).source.unlink(missing_ok=True)
            path = clip.source.with_name(f"{uuid4().hex}.png")
            path.write_bytes(frame_picture(clip.source, at))
            with open_picture(path) as picture:
                facts = picture.facts
            name = frame_name(clip.name, at)
            clip.views[key] = Item(f"{clip.key}-{float(at):g}", name, path, facts=facts)
        found: Item = clip.views[key]
        return found

    def _opened(self, gate: Incoming | Outgoing) -> str:
        name = GATES.open(gate)
        self._gates[name] = gate
        return name

    def _closed(self, name: str) -> None:
        GATES.close(name)
        self._gates.pop(name, None)

    def remove(self, key: str) -> None:
        """Remove a picture or a video, and its files."""
        item: Upload = self.items.pop(key) if key in self.items else self.clips.pop(key)
        if isinstance(item, Clip) and item.gate is not None:
            self._closed(item.gate)
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
        self.clips.clear()
        for name in list(self._gates):
            self._closed(name)
        self._folder.cleanup()

    def _clear_when_idle(self, item: Upload) -> None:
        while item.job is not None and item.job.active:
            threading.Event().wait(0.1)
        self._clear(item)

    def _clear(self, item: Upload) -> None:
        shutil.rmtree(item.source.parent, ignore_errors=True)


def _cleaned(name: str) -> str:
    """A file's name without what no file's name holds."""
    return re.sub(r"[\x00-\x1f\x7f\ud800-\udfff/\\]", "_", name)


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
