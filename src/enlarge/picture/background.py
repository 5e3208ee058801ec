"""Preparing a checkpoint in the background, after its first picture was made in torch.

A process of low priority (see `preparing`) converts and measures it, and compiles the network for a
picture like the first one. It outlives the command, which does not wait for it. ENLARGE_PREPARE=off
prevents it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enlarge.cache import cache_folder, is_temporary
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import Outlook

if TYPE_CHECKING:
    import subprocess

VARIABLE = "ENLARGE_PREPARE"
_PROGRAM = "enlarge.picture.preparing"
_children: list[subprocess.Popen[bytes]] = []
"""Kept, since one that is forgotten while it runs is warned of."""


def prepare_later(outlook: Outlook) -> None:
    """Begin to prepare the checkpoint of a picture that was just enlarged, once for each model that
    is not prepared. Does nothing where that is switched off or would be of no use.
    """
    model = outlook.model
    if not model.is_provisional or is_switched_off() or not model.claim_preparing():
        return
    import subprocess

    first = outlook.passes[0]
    shape = (first.height, first.width, first.channels)
    path = model.path.absolute()
    arguments = (path, model.options, outlook.settings, shape, outlook.dtype.str)
    environment = {**os.environ, "ENLARGE_CACHE": str(cache_folder().absolute())}
    here = str(Path(__file__).parents[2])
    if "PYTHONPATH" in environment:
        here = os.pathsep.join([here, environment["PYTHONPATH"]])
    environment["PYTHONPATH"] = here
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
        options = {"creationflags": flags}
    with contextlib.suppress(OSError):
        child = subprocess.Popen(
            [sys.executable, "-m", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            **options,
        )
        _children.append(child)
        assert child.stdin is not None
        with child.stdin as pipe:
            pipe.write(pickle.dumps(arguments))


def describe_start(model: OpenModel) -> str:
    """What to know about a model that is not prepared."""
    name = model.path.name
    if is_switched_off():
        return f"{name} is not prepared and runs in torch; `enlarge export` prepares it"
    return (
        f"{name} is new: it runs in torch now, and is prepared in the background for faster starts"
    )


def is_switched_off() -> bool:
    """Whether nothing is prepared in the background: the user says so, no Python can be started, or
    what it makes would be deleted with this process.
    """
    if os.environ.get(VARIABLE, "").lower() in ("off", "0", "no"):
        return True
    cache_folder()  # which may turn out to be temporary
    return is_temporary() or not sys.executable or bool(getattr(sys, "frozen", False))
