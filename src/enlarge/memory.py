"""The memory of this process: its limits, its use, and how the allocator returns it."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from pathlib import Path

from enlarge.errors import OptionError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_FALLBACK_RESIDENT = 300_000_000
_UNLIMITED = 2**62
_OWN_GROUPS = Path("/proc/self/cgroup")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt
_MOST = 2**31 - 1


def parse_size(text: str, what: str = "memory") -> int:
    """Bytes in "1.5GB", "600MB", "800 MiB" or a plain number.

    Raises `OptionError`; its message calls the value `what`.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if not match or (match[3] and not match[2]):
        raise OptionError(f"{what} must be a size like 1.5GB or 600MB, got {text!r}")
    unit = _UNITS[match[2]]
    if match[3]:
        unit = 2 ** (10 * list(_UNITS).index(match[2]))
    return int(float(match[1]) * unit)


def format_size(size: float) -> str:
    """A readable size: "1.5 GB", "600 MB"."""
    for unit, name in ((10**12, "TB"), (10**9, "GB")):
        if size >= unit:
            return f"{size / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{size / 10**6:.0f} MB" if size >= 10**6 else f"{size / 10**3:.0f} kB"


def default_budget() -> int:
    """Half of the smaller of the machine's memory and the control group's limit."""
    return min(_machine(), _control_group()) // 2


def resident() -> int:
    """Resident bytes of this process now (a cautious constant if the system does not report it)."""
    return _status("VmRSS") or _FALLBACK_RESIDENT


def peak() -> int:
    """Peak resident bytes of this process; 0 if the system does not report it."""
    if found := _status("VmHWM"):
        return found
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def keep_freed_memory() -> None:
    """Make glibc keep freed memory. A training step frees and allocates the same hundreds of
    megabytes; returning them each time adds a fifth in page faults (95 ms instead of 80).
    """
    _mallopt(_TRIM_THRESHOLD, _MOST)
    _mallopt(_MMAP_THRESHOLD, _MOST)


def return_freed_memory(above: int = 2**20) -> None:
    """Make glibc return blocks of more than `above` bytes as soon as they are freed. Otherwise the
    bands of pictures that are enlarged at the same time fragment its heaps, and the process grows
    by a third over a batch.
    """
    _mallopt(_MMAP_THRESHOLD, above)


def trim_memory() -> None:
    """Make glibc return the pages of all of its heaps that hold nothing. What an encoder of videos
    leaves when it ends is in pieces, and the next one's memory would come on top of it.
    """
    _call_allocator("malloc_trim", 0)


def _mallopt(option: int, value: int) -> None:
    """Set an option of glibc's allocator."""
    _call_allocator("mallopt", option, value)


def _call_allocator(function: str, *values: int) -> None:
    """Call a function of glibc's allocator, where there is one."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), function):
        getattr(libc, function)(*values)


def _status(key: str) -> int:
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    match = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def _machine() -> int:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 8 * 10**9


def _control_group(root: Path = Path("/sys/fs/cgroup"), own: Path = _OWN_GROUPS) -> int:
    """The lowest limit of this process's control group and those above it (version 2 or 1)."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return _UNLIMITED
    limits = [_UNLIMITED]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        group = root / controllers / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder == root.parent:
                break
            try:
                text = (folder / name).read_text().strip()
            except OSError:
                continue
            limits += [int(text)] if text.isdigit() else []
    return min(limits)
