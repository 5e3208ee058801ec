"""Which files in a folder are complete: those that have not changed for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from enlarge.batch.jobs import Stamp

QUIET = 2.0
"""Seconds without a change after which a file counts as complete."""
INTERVAL = 1.0
"""Seconds between two looks. Reading the folder each time works on every system and on network
file systems, unlike notifications (inotify and similar).
"""


@dataclass
class _Seen:
    stamp: Stamp
    since: float


@dataclass
class Watch:
    """What was seen of each file, and when it last changed.

    `clock` returns seconds; `today` returns seconds since 1970, as file times are.
    """

    clock: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    _seen: dict[Path, _Seen] = field(default_factory=dict)
    _taken: dict[Path, Stamp] = field(default_factory=dict)

    def is_complete(self, path: Path) -> bool:
        """Look at a file. Returns True once for each content: when it is complete.

        A file that grew or was replaced counts as new; an empty file is never complete.
        """
        now = self.clock()
        try:
            status = path.stat()
        except OSError:
            self._seen.pop(path, None)
            return False
        stamp = Stamp.of(status)
        if not status.st_size or self._taken.get(path) == stamp:
            return False
        seen = self._seen.get(path)
        if seen is None or seen.stamp != stamp:
            self._seen[path] = seen = _Seen(stamp, now)
        age = self.today() - max(status.st_mtime, status.st_ctime)
        if now - seen.since < QUIET and not age >= QUIET:
            return False  # no wait for old files
        self._seen.pop(path, None)
        self._taken[path] = stamp
        return True
