"""enlarge: image super-resolution.

>>> import enlarge
>>> enlarge.upscale("photo.jpg", output="photo_x4.png")

The same in steps:

>>> model = enlarge.open_model("fast")
>>> model.card.scale
4
>>> large = model.upscale(pixels)                   # array in, array out
>>> model.upscale_file("photo.jpg", "large.png")    # streamed, in bounded memory

Several frames of one scene:

>>> made = enlarge.fuse(["burst/1.jpg", "burst/2.jpg", "burst/3.jpg"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enlarge.version import __version__

__all__ = [
    "Card", "EnlargeError", "Settings", "Upscaler", "__version__",
    "frames", "fuse", "models", "open_model", "upscale", "upscale_video",
]  # fmt: skip

if TYPE_CHECKING:
    from enlarge.card import Card
    from enlarge.errors import EnlargeError
    from enlarge.fusing import fuse
    from enlarge.settings import Settings
    from enlarge.upscaler import Upscaler, models, open_model, upscale
    from enlarge.video.python import frames, upscale_video

_HOMES = {
    "Card": "enlarge.card",
    "EnlargeError": "enlarge.errors",
    "Settings": "enlarge.settings",
    "Upscaler": "enlarge.upscaler",
    "frames": "enlarge.video.python",
    "fuse": "enlarge.fusing",
    "models": "enlarge.upscaler",
    "open_model": "enlarge.upscaler",
    "upscale": "enlarge.upscaler",
    "upscale_video": "enlarge.video.python",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import enlarge` stays fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'enlarge' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
