"""The configuration of a training run: the keys of a recipe, as dataclasses."""

from __future__ import annotations

import os
import types
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from enlarge.errors import DataError, OptionError


@dataclass(frozen=True)
class Data:
    """Training and validation pictures.

    `photos`: folders of high-resolution pictures, or stores of `enlarge prepare`. `parts`: the
    parts of their manifests to train on. `chain`: the degradation that makes LR, by name, or
    several names with weights; bicubic is computed once, others on the fly. `pairs`: photographed
    pairs: a CSV with LR,HR, a folder with LR and HR, two folders as {lr: FOLDER, hr: FOLDER}, or a
    store. The chain makes LR for pairs without it. `share`: share of random crops from `pairs` if
    there are `photos` too (0: by area). `textured`: share of random crops that are the most
    contrasted of four.
    `valid`: parts of the first folder's manifest, or sources as for `pairs`; write a folder with a
    slash, ./valid. `split`: shares of the pairs for training, validation and test, dealt by
    `split_seed`. `workers`: processes that make batches (0: the training process).
    `about`, `licence`: description and licences of the pictures for the model's card.
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
    """The network. `network`: a network or preset; `options`: its keyword arguments; `start`:
    initial weights from another run's `last.ckpt` or `best.ckpt`, an enlarge `.safetensors`
    file, or a model by name.
    """

    network: str = "replain"
    options: dict[str, Any] = field(default_factory=dict)
    start: str = ""


@dataclass(frozen=True)
class Train:
    """The training loop.

    It ends at `steps`, `epochs` or `minutes`, whichever comes first (0: no limit). An epoch has as
    many patches as the grid. The learning rate rises over `warmup` steps, is constant, and falls to
    zero by a cosine over the last `decay` (0 to 1) of the run.
    `batch`: patches per batch and process; `accumulate`: batches per step; `patch`: side in LR
    pixels. `optimizer`: muon (hidden kernels; AdamW for the rest), adamw or adam. `lr`: learning
    rate; `lr_rest`: that of the parameters that Muon does not update. `clip`: the largest gradient
    norm (0: no limit). `ema`: decay of the running average of the weights.
    `loss`: l1, l2, charbonnier, fft or perceptual, or names with weights. `ignore_border`: LR
    pixels at the edges of a patch that the loss ignores. `features`: the network of the perceptual
    loss, torchvision's `vgg19-*.pth` or an enlarge `.safetensors` (empty: `fast`).
    `flat`: share of patches of a single colour; `flat_weight`: their weight. `flats`: the weight of
    a loss on whole pictures of a single colour, in squared levels. `sharpen`: amount of an
    unsharp mask applied to HR, so that the network learns crisp contours (0: none).
    `precision`: auto is bf16 if the device computes in it in hardware, else f32. `check_every`:
    steps between validations. `keep`: the checkpoint that becomes the model, best by PSNR or last.
    `checkpointing`: gradient checkpointing. `device`, `devices`, `nodes`: device, processes per
    machine, machines.
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
    flats: float = 0.0
    sharpen: float = 0.0
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
    """A discriminator, used if `weight` is not 0.

    `discriminator`: srgan (for one patch size, a multiple of 16), unet, or projected (on the
    feature maps of a frozen EfficientNet-Lite0, with a hinge loss); `options`: its keyword
    arguments.
    `kind`: standard (SRGAN) or relativistic (ESRGAN), for srgan and unet. `features`, `flat` and
    `grid`: weights of projected's feature loss, of the L1 loss where no texture is to be added, and
    of the loss that a pattern with the period of an input pixel costs. `lr`: learning rate of the
    discriminator.
    """

    weight: float = 0.0
    features: float = 0.0
    flat: float = 0.0
    grid: float = 0.0
    discriminator: Literal["srgan", "unet", "projected"] = "srgan"
    options: dict[str, Any] = field(default_factory=dict)
    kind: Literal["standard", "relativistic"] = "standard"
    lr: float = 1e-4


START = "start"
"""The teacher that is the network itself, as the run starts."""


@dataclass(frozen=True)
class Teacher:
    """A network whose results are learned, used if `weight` is not 0.

    `model`: a model by name or its file, or start, the weights that the run starts from. `weight`:
    the share of the loss that compares with the teacher's results (0 to 1); the rest compares with
    HR. `regions`: how many regions of the training pictures it enlarges, once, before the first
    step; later runs with these pictures and this teacher use them too (0: it runs in every step, on
    whole batches). `side`: side of a region in LR pixels. `ensemble`: the mean over the eight
    orientations of a region.
    """

    model: str = ""
    weight: float = 0.0
    regions: int = 0
    side: int = 96
    ensemble: bool = False


@dataclass(frozen=True)
class Config:
    """A complete recipe. `name` is the name of the model and of the run's folder."""

    name: str = "unnamed"
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    train: Train = field(default_factory=Train)
    teacher: Teacher = field(default_factory=Teacher)
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
    """Convert a value to the type of its field. Raises `OptionError` naming the key."""
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
    """Load a recipe file, or a shipped recipe by name, with `key.path=value` overrides in YAML.

    `data.about` and `data.licence` describe the pictures of the recipe: they are dropped if an
    override names other pictures. Raises `OptionError`.
    """
    recipe = _find_recipe(recipe)
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


def _find_recipe(given: Path) -> Path:
    """The file, or the shipped recipe of that name. Raises `OptionError`."""
    ours = Path(__file__).parents[1] / "recipes"  # in the package
    if not ours.is_dir():
        ours = Path(__file__).parents[3] / "recipes"  # in the repository
    found = ours / f"{given.name.removesuffix('.yaml')}.yaml"
    if given.exists() and not given.is_dir():
        return given
    if given.parent in (Path(), Path("recipes")) and found.is_file():
        return found
    names = ", ".join(sorted(path.stem for path in ours.glob("*.yaml")))
    raise OptionError(f"no recipe at {given}; the shipped ones are: {names}")


def as_yaml(config: Config) -> str:
    """The config as a complete recipe."""
    return yaml.safe_dump(asdict(config), sort_keys=False, allow_unicode=True)


def from_dict(values: dict[str, Any]) -> Config:
    """The config of a dict made by `dataclasses.asdict`. Raises `OptionError`."""
    config: Config = _build(Config, values, "")
    return config


def _check(config: Config) -> None:
    """Raise `OptionError` for invalid or contradicting values."""
    train, adversarial = config.train, config.adversarial
    parts = Path(config.name).parts
    if not parts or Path(config.name).is_absolute() or {"..", "."} & set(parts):
        raise OptionError(f"name is that of a folder in runs/, got {config.name!r}")
    for key in ("steps", "epochs", "minutes", "lr", "lr_rest", "weight_decay", "flats", "sharpen"):
        if getattr(train, key) < 0:
            raise OptionError(f"train.{key} must be 0 or more, got {getattr(train, key)}")
    shares = {"train.decay": train.decay, "train.ema": train.ema, "train.flat": train.flat}
    for key, share in {
        **shares,
        "data.share": config.data.share,
        "data.textured": config.data.textured,
        "teacher.weight": config.teacher.weight,
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
    _check_teacher(config)
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


def _check_teacher(config: Config) -> None:
    """Raise `OptionError` for a teacher that cannot teach, or a loss that nothing computes."""
    teacher = config.teacher
    if teacher.regions < 0 or teacher.side < 1:
        raise OptionError(
            f"teacher.regions must be 0 or more and teacher.side at least 1, got {teacher.regions} "
            f"and {teacher.side}"
        )
    for key, value in {"teacher.weight": teacher.weight, "train.flats": config.train.flats}.items():
        if value and config.adversarial.weight:
            raise OptionError(f"{key} and adversarial.weight do not go together; give one of them")
    if not teacher.weight:
        return
    if not teacher.model:
        raise OptionError("teacher.weight needs teacher.model, a model by name or its file")
    if teacher.model == START and (teacher.regions or not config.model.start):
        raise OptionError(
            "teacher.model=start teaches in every step and is what model.start names; give "
            "model.start, and no teacher.regions"
        )
    if teacher.ensemble and not teacher.regions:
        raise OptionError("teacher.ensemble is computed beforehand; give teacher.regions too")


def data_root() -> Path:
    """The data folder: ENLARGE_DATA, else `../shared/data`."""
    root = Path(os.environ.get("ENLARGE_DATA", "../shared/data"))
    if not root.is_dir():
        raise DataError(
            f"no data folder at {root}: set ENLARGE_DATA, or data.photos=FOLDER or data.pairs=CSV"
        )
    return root
