"""Forked processes: what a library's threads did in the parent cannot be continued in a child.

    can_use(library)     notes that this process uses the library from now on; False in a child that
                         was forked after its parent had used it
    check_can_use(…)     raises an `EngineError` there
    keep(engine)         a forked child must never destroy this

The thread pools of OpenVINO, ONNX Runtime, torch and libvips do not survive a fork: their threads
are gone, their locks and counters are as they were, and the next piece of work may wait for ever.
A process that is forked before its parent used them is not affected.
"""

from __future__ import annotations

import os
import weakref
from typing import Any

from enlarge.errors import EngineError

REMEDY = (
    "start processes with multiprocessing.get_context('spawn') or 'forkserver', or use enlarge "
    "only after the fork"
)
_owners: dict[str, int] = {}
"""By library, the process that began to use it: this one, or one that it was forked from."""
_engines: weakref.WeakSet[Any] = weakref.WeakSet()


def can_use(library: str) -> bool:
    """Note that this process uses a library's threads from now on. False, without effect, where it
    was forked from a process that did.
    """
    owner = _owners.get(library)
    if owner is None:
        if not _owners and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_never_destroy)
        owner = _owners[library] = os.getpid()
    return owner == os.getpid()


def check_can_use(library: str, what: str) -> None:
    """Raise `EngineError` where `can_use` is False; `what` cannot be done then."""
    if not can_use(library):
        raise EngineError(
            f"{what} does not work in a process that was forked after its parent had used "
            f"enlarge; {REMEDY}"
        )


def keep(engine: Any) -> None:
    """Remember an engine of this process, which a forked child must not destroy."""
    _engines.add(engine)


def _never_destroy() -> None:
    """In a forked child, keep the parent's engines until the process ends, and end it without
    running the destructors of C++: both would wait for threads that are not there.
    """
    import ctypes

    for engine in list(_engines):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # glibc: what is registered last is called first, with the status
        libc.on_exit(libc._exit, None)
