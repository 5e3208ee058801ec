"""What makes the command start and end quickly."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

_CONVERTER = "openvino.tools.ovc"


@contextmanager
def importing() -> Iterator[None]:
    """Import, in the block, without looking for garbage, neither then nor later in what was
    imported: modules leave none.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def without_converter() -> Iterator[None]:
    """In the block, OpenVINO is imported without its converter of other frameworks' models, which
    takes longer than the rest of it. OpenVINO allows for that.
    """
    if _CONVERTER in sys.modules:
        yield
        return
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_CONVERTER]


def flush_streams() -> None:
    """Flush what was printed, as far as somebody still reads it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def run_process(main: Callable[[], NoReturn]) -> NoReturn:
    """Run a command that raises `SystemExit`, in a process of its own. It ends when threads are
    joined and all functions of `atexit` were called; Python's modules and the networks are not
    taken apart before.
    """
    status: object = None

    def end() -> None:
        flush_streams()
        if isinstance(status, int):
            os._exit(status)

    atexit.register(end)  # the first that is registered is called last
    try:
        main()
    except SystemExit as ended:
        status = ended.code
        raise
