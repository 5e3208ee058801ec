"""How much memory this process has, takes and may take."""

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
    """Bytes of "1.5GB", "600MB", "800 MiB" or a plain number. Raises `OptionError`, which calls it
    `what`.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    if not match or (match[3] and not match[2]):
        raise OptionError(f"{what} must be a size like 1.5GB or 600MB, got {text!r}")
    unit = _UNITS[match[2]]
    if match[3]:
        unit = 2 ** (10 * list(_UNITS).index(match[2]))
    return int(float(match[1]) * unit)


def format_size(size: float) -> str:
    """Bytes for people: "1.5 GB", "600 MB"."""
    for unit, name in ((10**12, "TB"), (10**9, "GB")):
        if size >= unit:
            return f"{size / unit:.2f}".rstrip("0").rstrip(".") + f" {name}"
    return f"{size / 10**6:.0f} MB" if size >= 10**6 else f"{size / 10**3:.0f} kB"


def default_budget() -> int:
    """Half of the smaller of the machine's memory and the control group's limit."""
    return min(_machine(), _control_group()) // 2


def resident() -> int:
    """Bytes of this process in memory now (a cautious constant where the system does not say)."""
    return _status("VmRSS") or _FALLBACK_RESIDENT


def peak() -> int:
    """The most bytes that this process has had in memory; 0 where the system does not say."""
    if found := _status("VmHWM"):
        return found
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def keep_freed_memory() -> None:
    """Ask glibc to keep what is freed: a step of training frees and takes the same hundreds of
    megabytes, and handing them back each time costs a sixth of it in page faults (95 ms against
    80).
    """
    _tell_glibc(_TRIM_THRESHOLD, _MOST)
    _tell_glibc(_MMAP_THRESHOLD, _MOST)


def return_freed_memory(above: int = 2**20) -> None:
    """Ask glibc to hand blocks of more than `above` bytes back as soon as they are freed: otherwise
    the bands of pictures side by side leave holes in its heaps, and the process grows by a third
    over a batch.
    """
    _tell_glibc(_MMAP_THRESHOLD, above)


def _tell_glibc(option: int, value: int) -> None:
    """`mallopt`, where there is one."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(option, value)


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
