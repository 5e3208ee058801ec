"""PyAV, or the command that installs it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from enlarge.errors import InputError

INSTALL = 'pip install "enlarge[video]"'


def has_av() -> bool:
    """Whether PyAV is installed; it is not imported."""
    return find_spec("av") is not None


def check_av(path: Path | None = None) -> ModuleType:
    """PyAV, imported; quiet. Raises `InputError` with the install command if it is missing, which
    names the video at `path`.
    """
    try:
        import av
    except ImportError as error:
        name = "" if path is None else f"{path}: "
        raise InputError(f"{name}videos need PyAV; install it: {INSTALL}") from error
    import av.logging

    av.logging.set_level(None)
    return av
