"""A model file with its card, and its 8-bit form, a file beside it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from enlarge.card import Card, read_card
from enlarge.digests import file_digest
from enlarge.errors import WeightsError

INT8_ENDING = ".int8.onnx"
"""What the name of an 8-bit form has in the place of `.onnx`."""

NCNN: Final = "ncnn"
"""The kind of ncnn's files, the network on the cards of such models, and the name of the engine."""


@dataclass(frozen=True)
class Weights:
    """A model file and its card.

    `source`: the checkpoint that the file was converted from, if it was. `network`: the network in
    torch of a checkpoint that is not converted yet, which is then `path` itself. `choices`: of the
    model `auto`, the models among which each picture's looks choose, by the kind of picture; `path`
    is then that of the first.
    """

    path: Path
    card: Card
    source: Path | None = None
    network: Any = field(default=None, repr=False, compare=False)
    choices: Mapping[str, Weights] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Weights, ...]:
        """The models that it stands for: those of `choices`, or itself."""
        return tuple(self.choices.values()) or (self,)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file, in hexadecimal digits. Raises `WeightsError`."""
        try:
            return file_digest(self.path)
        except OSError as error:
            raise WeightsError(f"{self.path}: cannot be opened ({error.strerror})") from error

    @cached_property
    def int8(self) -> Weights | None:
        """The model's 8-bit form: the file NAME.int8.onnx beside NAME.onnx, if it was made from it.

        One that was made from another file, or that cannot be read, is ignored with a warning. A
        file of that name whose card does not call it an 8-bit form is a model of its own.
        """
        beside = self.path.with_name(self.path.stem + INT8_ENDING)
        if self.path.suffix.lower() != ".onnx" or not beside.is_file():
            return None
        try:
            card = read_card(beside)
        except WeightsError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
            return None
        if card is None or not is_form(card):
            return None
        if card.int8["of"] != self.digest:
            warnings.warn(
                f"{beside}: is ignored, since it is the 8-bit form of another {self.path.name} "
                "than the one beside it; export it again from this one, or remove it",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        return Weights(beside, card)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions in which the model's scores hold; with int8 if it has an 8-bit form."""
        return self.card.precisions if self.int8 is None else (*self.card.precisions, "int8")

    @property
    def ncnn(self) -> Path | None:
        """One of the two files of ncnn that the model is, or was converted from, if it was."""
        file = self.source or self.path
        return file if self.card.network == NCNN and file.suffix != ".onnx" else None

    @property
    def is_for_ncnn(self) -> bool:
        """Whether only ncnn runs the model, since one of its layers is not known here."""
        return self.ncnn == self.path

    def stored_for(self, precision: str) -> Weights:
        """What is run in that precision: for int8 the 8-bit form, if there is one."""
        return (self.int8 or self) if precision == "int8" else self

    def facts(self) -> dict[str, Any]:
        """What the card says, by its fields' names, and where the file is. `precisions` and `int8`
        include the 8-bit form. Parameters and operations that nobody counted are None.
        """
        facts = {"file": str(self.path)} | asdict(self.card)
        facts |= {key: facts[key] or None for key in ("parameters", "flops")}
        if self.int8 is not None:
            about = {"file": str(self.int8.path), **self.int8.card.int8}
            facts |= {"precisions": self.precisions, "int8": about}
        return facts


def is_form(card: Card) -> bool:
    """Whether the card is that of a model's 8-bit form."""
    return card.precisions == ("int8",) and "of" in card.int8
