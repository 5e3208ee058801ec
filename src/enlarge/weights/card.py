"""The card: all that the rest of the package needs to know of a model, as one frozen value.

It travels as one JSON string under the key `enlarge.card` in the metadata of a weight file, so a
file needs nothing beside it to be opened.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from enlarge.errors import WeightsError

KEY = "enlarge.card"


@dataclass(frozen=True)
class Card:
    """`scale`: output pixels per input pixel. `margin`: input pixels around a pixel that can
    change its result (None: unbounded). `halo`: the margin that tiles use. `multiple`: input sides
    must be multiples of it. `tiles`: side of a tile → measured working set in bytes, f32.
    `fixed`: the one side that the file's input may have (0: any). `precisions`: those in which the
    scores hold. `flops`: per output pixel. `scores`: by protocol, as measured on the shipped file.
    `hours`: of training. `tiling`: what tiles cost, as measured on the shipped file ("tile", its
    side; "psnr", in dB in f32, against the whole picture; "throughput", times the network's own).
    `strength`: of a mixture of two models (see `mixing`), how much of the second.
    """

    name: str
    network: str
    options: dict[str, Any]
    scale: int
    margin: int | None
    halo: int
    multiple: int = 1
    tiles: dict[int, int] = field(default_factory=dict)
    fixed: int = 0
    precisions: tuple[str, ...] = ("f32",)
    parameters: int = 0
    flops: float = 0.0
    data: str = ""
    licence: str = ""
    recipe: str = ""
    hours: float = 0.0
    scores: dict[str, Any] = field(default_factory=dict)
    tiling: dict[str, float] = field(default_factory=dict)
    version: str = ""
    strength: float | None = None

    def to_json(self) -> str:
        """The card as a JSON string, keys in the order of the fields."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, source: str) -> Card:
        """The card in a weight file's metadata; `source` names the file in errors."""
        try:
            values = json.loads(text)
            values["tiles"] = {int(side): int(size) for side, size in values["tiles"].items()}
            values["precisions"] = tuple(values["precisions"])
            known = {f.name for f in fields(cls)}
            return cls(**{key: value for key, value in values.items() if key in known})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{source}: its enlarge.card cannot be read ({error}); export the model again"
            ) from error
