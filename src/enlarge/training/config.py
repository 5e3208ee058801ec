"""What a training run is told: the recipe's keys, as dataclasses. Unknown keys fail."""

from __future__ import annotations

import os
import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from enlarge.errors import DataError, OptionError

FAST_PATCH = 32
"""The largest patch of `--fast-dev-run`, in LR pixels."""


@dataclass(frozen=True)
class Data:
    """`photos`: folders of high-resolution pictures. `parts`: rows of their manifests to train on
    (default `[free]`). `chain`: the degradation that makes their LR, on the fly unless it is
    bicubic; a name, or names with their shares. `pairs`: photographed pairs: a csv with LR,HR, a
    folder with LR and HR, two folders as {lr: FOLDER, hr: FOLDER}, or a store of
    `enlarge prepare`; where there is no LR the chain makes it, a store's is taken as it is. (As
    one of `photos` a store gives its HR, and the chain the LR.) `share`: of random crops that come
    from the pairs where there are photos too (0: by area).
    `valid`: what is judged by: parts of the first folder's manifest, or sources as `pairs` takes
    them (a folder with a slash, ./valid, to tell it from a part). `textured`: the share of random
    crops that are the most contrasted of four. `split`: shares of the pairs for
    training, validation and (unused) test, dealt out by
    `split_seed`. `workers`: processes that make batches (0: the training process itself).
    `about` and `licence`: what the model's card says of the pictures.
    """

    photos: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=lambda: ["free"])
    chain: dict[str, float] = field(default_factory=lambda: {"bicubic": 1.0})
    pairs: list[Any] = field(default_factory=list)
    share: float = 0.0
    textured: float = 0.0
    valid: list[Any] = field(default_factory=lambda: ["valid", "detail"])
    split: list[float] = field(default_factory=list)
    split_seed: int = 0
    crops: Literal["random", "grid"] = "random"
    augment: Literal["none", "flips", "all"] = "all"
    workers: int = 0
    about: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Model:
    """`network`: a name of the table of networks; `options`: its keyword arguments;
    `start`: what the run starts from, another run's `last.ckpt` or `best.ckpt`, a
    `.safetensors` file of ours, or a model's name.
    """

    network: str = "replain"
    options: dict[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class Train:
    """The loop. It ends at `steps`, `epochs` or `minutes`, whichever comes first (0: no limit), and
    the learning rate is constant after `warmup` steps, then follows a cosine to zero over the last
    `decay` of that length (1: the whole of it, 0: none). An epoch is as many patches as the grid
    has. `batch`: patches of one process at a time, of which `accumulate` make a step; `patch`: a
    side in LR pixels. `optimizer`: muon (hidden kernels; AdamW for the rest), adamw, adam; `lr` is
    the rate of the hidden kernels, or of all with adam and adamw, `lr_rest` that of the rest.
    `clip`: the largest norm of a gradient (0: none). `ema`: what the running average keeps.
    `loss`: a name (l1, l2, charbonnier, fft, perceptual), or names with weights; `ignore_border`:
    LR pixels at a patch's edges that it leaves out. `features`: what the perceptual loss compares
    in, torchvision's `vgg19-*.pth` or a `.safetensors` of ours (empty: the default model's).
    `flat`: the share of patches of one colour; `flat_weight`: what each counts.
    `precision`: of the networks' forward and backward passes; auto is bf16 where the device
    computes in it itself, else f32. `keep`: the checkpoint that becomes the model, best by PSNR or
    last. `checkpointing`: blocks are computed twice instead of remembered. `devices`, `nodes`:
    processes on each machine, and machines; `device`: auto, cpu, cuda or mps.
    """

    steps: int = 0
    epochs: float = 0.0
    minutes: float = 0.0
    batch: int = 16
    accumulate: int = 1
    patch: int = 32
    optimizer: Literal["muon", "adamw", "adam"] = "muon"
    lr: float = 0.01
    lr_rest: float = 1e-3
    weight_decay: float = 0.05
    clip: float = 0.0
    warmup: int = 300
    decay: float = 1.0
    ema: float = 0.999
    loss: dict[str, float] = field(default_factory=lambda: {"l1": 1.0})
    ignore_border: int = 0
    features: str = ""
    flat: float = 0.0
    flat_weight: float = 1.0
    seed: int = 1
    precision: Literal["auto", "f32", "bf16"] = "auto"
    check_every: int = 1000
    keep: Literal["best", "last"] = "best"
    checkpointing: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    nodes: int = 1


@dataclass(frozen=True)
class Adversarial:
    """A discriminator beside the network, where `weight` is not 0. `discriminator`: srgan (for one
    patch size, a multiple of 16), unet, or projected (over a frozen EfficientNet-Lite0, by a hinge
    loss); `options`: its keyword arguments; `kind`: standard (SRGAN's) or relativistic (ESRGAN's
    average), of the first two; `features`: the weight of the feature loss, of projected; `lr`: the
    discriminator's rate.
    """

    weight: float = 0.0
    features: float = 0.0
    discriminator: Literal["srgan", "unet", "projected"] = "srgan"
    options: dict[str, Any] = field(default_factory=dict)
    kind: Literal["standard", "relativistic"] = "standard"
    lr: float = 1e-4


@dataclass(frozen=True)
class Config:
    """A whole recipe. `name` is the run's folder and the model's name."""

    name: str = "unnamed"
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    adversarial: Adversarial = field(default_factory=Adversarial)


def _build(cls: type[Any], values: Any, path: str) -> Any:
    if not isinstance(values, dict):
        raise OptionError(f"{path or 'a recipe'} must be a table of keys, got {values!r}")
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - {f.name for f in fields(cls)})
    if unknown:
        known = ", ".join(f.name for f in fields(cls))
        raise OptionError(f"unknown key {path}{unknown[0]}; {path or 'a recipe'} has: {known}")
    return cls(
        **{
            key: _value(hints[key], value, f"{path}{key}")
            for key, value in values.items()
            if value is not None  # `key:` with nothing behind it is the default
        }
    )


def _value(hint: Any, value: Any, key: str) -> Any:
    """A value as its field wants it. Raises `OptionError` naming the key."""
    if is_dataclass(hint):
        return _build(hint, value, f"{key}.")  # type: ignore[arg-type]
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        hint = get_args(hint)[0]
    if origin is Literal:
        if value not in get_args(hint):
            choices = ", ".join(map(str, get_args(hint)))
            raise OptionError(f"{key} is one of {choices}, got {value!r}")
        return value
    if origin is list:
        items = value if isinstance(value, list) else [value]
        return [_value(get_args(hint)[0], item, key) for item in items]
    if origin is dict:
        if isinstance(value, str) and get_args(hint)[1] is float:  # loss: l1
            value = {value: 1.0}
        if not isinstance(value, dict):
            raise OptionError(f"{key} must be a table of keys, got {value!r}")
        return {str(k): _value(get_args(hint)[1], v, f"{key}.{k}") for k, v in value.items()}
    if hint is float:
        return _number(value, key)
    if hint in (int, str, bool) and (
        not isinstance(value, hint) or (hint is int and isinstance(value, bool))
    ):
        raise OptionError(f"{key} must be {hint.__name__}, got {value!r}")
    return value


def _number(value: Any, key: str) -> float:
    try:
        return float(value)
    except (ValueError, TypeError):
        raise OptionError(f"{key} must be a number, got {value!r}") from None


def load_config(recipe: Path, overrides: list[str]) -> Config:
    """A recipe file, or one of ours by its name, with `key.path=value` overrides (values in YAML).

    What a recipe says of its pictures (`data.about`, `data.licence`) holds for those alone: it is
    dropped where an override names others. Raises `OptionError`.
    """
    recipe = _found_recipe(recipe)
    try:
        values = yaml.safe_load(recipe.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise OptionError(f"{recipe} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise OptionError(f"{recipe} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise OptionError(f"{recipe} must be a table of keys, got {values!r}")
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
        try:
            table[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise OptionError(f"{override!r}: the value is not YAML") from error
    given = {override.partition("=")[0] for override in overrides}
    if given & {"data.photos", "data.pairs"} and isinstance(values["data"], dict):
        for key in ("about", "licence"):
            if f"data.{key}" not in given:
                values["data"].pop(key, None)
    config: Config = _build(Config, values, "")
    _check(config)
    return config


def _found_recipe(wish: Path) -> Path:
    """The file itself, or the one of that name among ours. Raises `OptionError`."""
    ours = Path(__file__).parents[1] / "recipes"  # in the package
    if not ours.is_dir():
        ours = Path(__file__).parents[3] / "recipes"  # in the repository
    found = ours / f"{wish.name.removesuffix('.yaml')}.yaml"
    if wish.exists() and not wish.is_dir():
        return wish
    if wish.parent in (Path(), Path("recipes")) and found.is_file():
        return found
    names = ", ".join(sorted(path.stem for path in ours.glob("*.yaml")))
    raise OptionError(f"no recipe at {wish}; ours are: {names}")


def as_yaml(config: Config) -> str:
    """The whole of it as a recipe."""
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def from_dict(values: dict[str, Any]) -> Config:
    """The config that `dataclasses.asdict` made a dict of. Raises `OptionError`."""
    config: Config = _build(Config, values, "")
    return config


def _check(config: Config) -> None:
    """Raise `OptionError` for values that cannot be, or that contradict each other."""
    train, adversarial = config.train, config.adversarial
    parts = Path(config.name).parts
    if not parts or Path(config.name).is_absolute() or {"..", "."} & set(parts):
        raise OptionError(f"name is that of a folder in runs/, got {config.name!r}")
    for key in ("steps", "epochs", "minutes", "lr", "lr_rest", "weight_decay"):
        if getattr(train, key) < 0:
            raise OptionError(f"train.{key} must be 0 or more, got {getattr(train, key)}")
    shares = {"train.decay": train.decay, "train.ema": train.ema, "train.flat": train.flat}
    for key, share in {
        **shares,
        "data.share": config.data.share,
        "data.textured": config.data.textured,
    }.items():
        if not 0.0 <= share <= 1.0:
            raise OptionError(f"{key} must lie between 0 and 1, got {share}")
    if not (train.steps or train.epochs or train.minutes):
        raise OptionError("a run needs an end: give train.steps, train.epochs or train.minutes")
    for key in ("batch", "accumulate", "patch", "check_every", "devices", "nodes"):
        if getattr(train, key) < 1:
            raise OptionError(f"train.{key} must be at least 1, got {getattr(train, key)}")
    if not 0 <= 2 * train.ignore_border < train.patch:
        raise OptionError(
            f"train.ignore_border {train.ignore_border} leaves nothing of train.patch "
            f"{train.patch}; it must lie below half of it"
        )
    if adversarial.weight and train.optimizer == "muon":
        raise OptionError(
            "adversarial.weight and train.optimizer muon do not go together: both networks "
            "take the same kind of step; give train.optimizer=adam"
        )
    if adversarial.weight and train.accumulate > 1:
        raise OptionError(
            "adversarial.weight and train.accumulate do not go together: the two networks take "
            "turns on each batch; give train.accumulate=1"
        )


def fast_dev_run(config: Config) -> Config:
    """The same network for two steps on small patches, judged once: does everything fit?"""
    patch = min(config.train.patch, FAST_PATCH)
    train = replace(
        config.train,
        steps=2,
        epochs=0.0,
        minutes=0.0,
        batch=1,
        accumulate=1,
        patch=patch,
        ignore_border=min(config.train.ignore_border, (patch - 1) // 2),
        features="",
        check_every=2,
        devices=1,
        nodes=1,
    )
    adversarial = config.adversarial
    if adversarial.weight and adversarial.discriminator == "srgan":
        options = {k: v for k, v in adversarial.options.items() if k != "patch"}
        adversarial = replace(adversarial, options=options)
    model = replace(config.model, start="")
    return replace(
        config,
        train=train,
        model=model,
        adversarial=adversarial,
        data=replace(config.data, workers=0),
    )


def data_root() -> Path:
    """The data folder of this workplace: ENLARGE_DATA, else `../shared/data`."""
    root = Path(os.environ.get("ENLARGE_DATA", "../shared/data"))
    if not root.is_dir():
        raise DataError(
            f"no data folder at {root}: set ENLARGE_DATA, or data.photos=FOLDER or data.pairs=CSV"
        )
    return root
