"""Every exception that enlarge raises on purpose.

    EnlargeError
    ├── InputError        a picture that cannot be read, or is not what it claims to be
    ├── OutputError       a place or a format that cannot take the result
    ├── OptionError       an option, or a combination of options, that makes no sense
    │   └── CompleteError       a training run that was to go on has come to its end
    ├── BudgetError       the memory budget is too small; names the smallest that works
    ├── WeightsError      a model that is unknown, or a weight file that cannot be used
    ├── EngineError       an engine that is missing or failed
    │   └── EngineMemoryError   it ran out of memory; the plan takes the next smaller tile
    ├── MachineError      the machines of a cluster that worked on a picture were lost
    ├── DataError         training or evaluation data that cannot be used
    └── Cancelled         the caller asked to stop

A message says what was received, what was expected and what to do.
"""


class EnlargeError(Exception):
    """The root: `except EnlargeError` catches whatever enlarge raises on purpose."""


class InputError(EnlargeError):
    """A picture that cannot be read, or is not what it claims to be."""


class OutputError(EnlargeError):
    """A place or a format that cannot take the result."""


class OptionError(EnlargeError):
    """An option, or a combination of options, that makes no sense."""


class CompleteError(OptionError):
    """A training run that was to go on has come to its end."""


class BudgetError(EnlargeError):
    """The memory budget is too small for this picture and model."""


class WeightsError(EnlargeError):
    """A model that is unknown, or a weight file that cannot be used."""


class EngineError(EnlargeError):
    """An engine that is missing or that failed."""


class EngineMemoryError(EngineError):
    """An engine ran out of memory on one tile shape."""


class MachineError(EnlargeError):
    """The machines of a cluster that worked on one picture were lost, again and again."""


class DataError(EnlargeError):
    """Training or evaluation data that cannot be used."""


class Cancelled(EnlargeError):
    """The caller asked to stop; nothing usable was left behind."""
