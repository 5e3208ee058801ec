"""What a training run is told: the recipe's keys, as dataclasses. Unknown keys fail."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from enlarge.errors import DataError, OptionError


@dataclass(frozen=True)
class Data:
    """`photos`: folders of high-resolution pictures. `parts`: rows of their manifests to train on
    (default `[free]`). `valid`: parts of the first folder's manifest to judge by. `about` and
    `licence`: what the model's card says of the pictures.
    """

    photos: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=lambda: ["free"])
    valid: list[str] = field(default_factory=lambda: ["valid", "detail"])
    about: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Model:
    """`network`: a name of the table of networks; `options`: its keyword arguments;
    `start`: a weight file whose parameters the run starts from.
    """

    network: str = "replain"
    options: dict[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class Train:
    """The loop. It ends at `steps` or at `minutes`, whichever comes first (0: no limit), and the
    learning rate follows a cosine over that length after `warmup` steps. `patch` is a side in LR
    pixels, `lr` the rate of the hidden kernels, `lr_rest` that of everything else.
    `loss`: l1 or l2. `flat`: the share of patches of one colour; `flat_weight`: what each counts.
    """

    steps: int = 0
    minutes: float = 0.0
    batch: int = 16
    patch: int = 32
    optimizer: str = "muon"
    lr: float = 0.01
    lr_rest: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    ema: float = 0.999
    loss: str = "l1"
    flat: float = 0.0
    flat_weight: float = 1.0
    seed: int = 1
    precision: str = "bf16"
    check_every: int = 1000


@dataclass(frozen=True)
class Config:
    """A whole recipe. `name` is the run's folder and the model's name."""

    name: str = "unnamed"
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)


def _build(cls: type[Any], values: Any, path: str) -> Any:
    if not isinstance(values, dict):
        raise OptionError(f"{path or 'a recipe'} must be a table of keys, got {values!r}")
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - {f.name for f in fields(cls)})
    if unknown:
        known = ", ".join(f.name for f in fields(cls))
        raise OptionError(f"unknown key {path}{unknown[0]}; {path or 'a recipe'} has: {known}")
    built: dict[str, Any] = {}
    for key, value in values.items():
        if value is None:  # `key:` with nothing behind it is the default
            continue
        hint = hints[key]
        if is_dataclass(hint):
            built[key] = _build(hint, value, f"{path}{key}.")  # type: ignore[arg-type]
        elif str(hint).startswith("list") and isinstance(value, str):
            built[key] = [value]
        elif hint is float and isinstance(value, int | str):
            built[key] = _number(value, f"{path}{key}")
        elif hint in (int, str) and not isinstance(value, hint):
            raise OptionError(f"{path}{key} must be {hint.__name__}, got {value!r}")
        else:
            built[key] = value
    return cls(**built)


def _number(value: int | str, key: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise OptionError(f"{key} must be a number, got {value!r}") from None


def load_config(recipe: Path, overrides: list[str]) -> Config:
    """A recipe file with `key.path=value` overrides (values in YAML). Raises `OptionError`."""
    try:
        values = yaml.safe_load(recipe.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise OptionError(f"no recipe at {recipe}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise OptionError(f"{recipe} is not YAML: {error}") from error
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals:
            raise OptionError(f"an override is written key=value, got {override!r}")
        table = values
        *parents, last = path.split(".")
        for key in parents:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise OptionError(f"{override!r}: {key} is a value, not a table of keys")
        table[last] = yaml.safe_load(text)
    config: Config = _build(Config, values, "")
    if not config.train.steps and not config.train.minutes:
        raise OptionError("a run needs an end: give train.steps or train.minutes")
    return config


def data_root() -> Path:
    """The data folder of this workplace: ENLARGE_DATA, else `../shared/data`."""
    root = Path(os.environ.get("ENLARGE_DATA", "../shared/data"))
    if not root.is_dir():
        raise DataError(f"no data folder at {root}: set ENLARGE_DATA, or data.photos=FOLDER")
    return root
