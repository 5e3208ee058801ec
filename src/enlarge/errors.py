"""Every exception that enlarge raises on purpose.

    EnlargeError
    ├── InputError        an input that cannot be read or is not what it claims to be
    ├── OutputError       an output that cannot be written, or whose format cannot hold the result
    ├── OptionError       an invalid option or combination of options
    │   └── CompleteError       a training run to resume that is already complete
    ├── BudgetError       a memory limit that is too low; names the lowest that works
    ├── WeightsError      an unknown model, or a weight file that cannot be used
    ├── EngineError       an engine that is missing or that failed
    │   └── EngineMemoryError   out of memory at one tile size; the next smaller one is tried
    ├── MachineError      a picture whose cluster machines were lost too often
    ├── DataError         training or evaluation data that cannot be used
    └── Cancelled         the caller cancelled the work

Every message says what was received, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class EnlargeError(Exception):
    """The base class of every exception that enlarge raises on purpose."""


class InputError(EnlargeError):
    """An input cannot be read or is not what it claims to be."""


class OutputError(EnlargeError):
    """An output cannot be written, or its format cannot hold the result."""


class OptionError(EnlargeError):
    """An option or a combination of options is invalid."""


class CompleteError(OptionError):
    """A training run to resume is already complete."""


class BudgetError(EnlargeError):
    """The memory limit is too low for this picture and model; the message names the lowest that
    works.
    """


class WeightsError(EnlargeError):
    """A model is unknown, or a weight file cannot be used."""


class EngineError(EnlargeError):
    """An engine is missing or failed."""


class EngineMemoryError(EngineError):
    """An engine ran out of memory at one tile size."""


class MachineError(EnlargeError):
    """The cluster machines that worked on a picture were lost too often."""


class DataError(EnlargeError):
    """Training or evaluation data cannot be used. `details`: a line for each file at fault."""

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__("".join([message, *(f"\n  {line}" for line in details)]))
        self.message, self.details = message, tuple(details)

    def __reduce__(self) -> tuple[type[DataError], tuple[str, tuple[str, ...]]]:
        return type(self), (self.message, self.details)


class Cancelled(EnlargeError):
    """The caller cancelled the work; its output was not written."""
