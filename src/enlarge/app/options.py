"""The options of `enlarge app`, passed to the page through the environment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields

from enlarge.engines import EngineOptions
from enlarge.weights.catalog import DEFAULT

VARIABLE = "ENLARGE_APP"
"""The environment variable that carries the options as JSON: a page has no other argument."""


@dataclass(frozen=True)
class Options:
    """`max_upload`: bytes of one file. `max_pixels`, `max_result`: of a picture and of its
    enlargement. `max_files`: of one visitor. `max_video`, `max_frames`: bytes and frames of one
    video. The others are the command line's own.
    """

    max_upload: int = 64_000_000
    max_pixels: int = 25_000_000
    max_result: int = 400_000_000
    max_files: int = 20
    max_video: int = 2_000_000_000
    max_frames: int = 100_000
    model: str = DEFAULT
    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    memory: str | None = None

    @property
    def engine_options(self) -> EngineOptions:
        """Where and how precisely networks run."""
        return EngineOptions(self.engine, self.device, self.precision, self.threads)

    def to_json(self) -> str:
        """For the environment."""
        return json.dumps(asdict(self))


def from_environment() -> Options:
    """The options in force; the defaults where the page runs without `enlarge app`."""
    values = json.loads(os.environ.get(VARIABLE, "{}"))
    known = {field.name for field in fields(Options)}
    return Options(**{name: value for name, value in values.items() if name in known})
