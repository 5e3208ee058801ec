"""How frames are fused: every option by its name, checked when the value is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from enlarge.checks import memory_size, number_between, rectangle, whole_number
from enlarge.engines import EngineOptions
from enlarge.memory import default_budget

NONE = "none"
"""The word for no network."""
_MAX_SCALE = 8


@dataclass(frozen=True, kw_only=True)
class FuseSettings:
    """How frames are fused. Raises `OptionError`.

    `region`: (x, y, width, height) in pixels of the reference frame (None: all of it). `scale`:
    how many times larger the result is. `reference`: the frame whose view the result has, from 0
    (None: the first). `then`: the model that enlarges what was fused, by its name or file, or
    "none" (None: chosen). `limit`: how many frames are fused at most. `fields`: frames are
    interlaced; each counts as two, of its even and its odd rows. `memory`: in bytes (None: half of
    the machine's).
    """

    region: Sequence[int] | str | None = None
    scale: float = 4.0
    reference: int | None = None
    then: str | None = None
    limit: int = 64
    fields: bool = False
    memory: float | str | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)

    def __post_init__(self) -> None:
        checks = {
            "region": rectangle,
            "scale": number_between(1, _MAX_SCALE),
            "reference": whole_number(0),
            "limit": whole_number(2),
            "memory": memory_size,
        }
        for name, check in checks.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, check(f"--{name}", value))
        if self.then is not None:
            object.__setattr__(self, "then", str(self.then))

    @property
    def budget(self) -> int:
        """The memory limit of this process in bytes: `memory`, or half of the machine's."""
        return default_budget() if self.memory is None else int(self.memory)


class FuseOptions(TypedDict, total=False):
    """The keyword arguments of `fuse`, with the types that they take in Python."""

    region: Sequence[int] | str | None
    scale: float
    reference: int | None
    then: str | None
    limit: int
    fields: bool
    memory: float | str | None
    engine: str
    device: str
    precision: str
    threads: int


def settings_of(options: FuseOptions) -> FuseSettings:
    """The settings that the keyword arguments of `fuse` stand for. Raises `OptionError`, and
    `TypeError` for an unknown name.
    """
    names = FuseOptions.__optional_keys__
    for name in options:
        if name not in names:
            raise TypeError(
                f"fuse() got an unexpected keyword argument {name!r}; its options are "
                + ", ".join(sorted(names))
            )
    given: dict[str, Any] = dict(options)
    engine = {
        name: given.pop(name)
        for name in ("engine", "device", "precision", "threads")
        if name in given
    }
    return FuseSettings(**given, engine=EngineOptions(**engine))
