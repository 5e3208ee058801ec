"""OpenCV, which only fusing needs."""

from __future__ import annotations

from types import ModuleType

from enlarge.errors import EngineError


def load_opencv() -> ModuleType:
    """The module `cv2`. Raises `EngineError` with the command that installs it."""
    try:
        import cv2
    except ImportError as error:
        raise EngineError(
            'fusing frames needs OpenCV; install it: pip install "enlarge[fuse]"'
        ) from error
    return cv2
