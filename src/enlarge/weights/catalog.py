"""The available models: those in the wheel, those in ENLARGE_MODELS, other projects' that are at
hand (see `installed`), and any file by its path.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.card import read_card
from enlarge.errors import OptionError, WeightsError
from enlarge.model_file import INT8_ENDING, NCNN, Weights, is_form
from enlarge.weights.installed import model_folders, named_pairs

if TYPE_CHECKING:
    from enlarge.weights.sample import Kind

AUTO = "auto"
"""The name that stands for the model that suits a picture's looks."""
DEFAULT = AUTO
CLEAN = "fast"
"""The usual model of pictures without noise, blocks or blur."""
CHOICES = {
    "clean": (CLEAN,),
    "drawing": ("photo-fast", "fast"),
    "degraded": ("photo-fast", "photo"),
}
"""The models of `auto` by the kind of picture (see `picture.looking`): the first that there is."""
_BUNDLED = Path(__file__).parent / "data"


def list_weights() -> list[Weights]:
    """All models with a card that have a name: first the bundled ones, then those in the folders of
    ENLARGE_MODELS. 8-bit forms belong to the model beside them, and are not listed.
    """
    found = _named_weights().values()
    exact = {weights.path for weights in found if not is_form(weights.card)}
    return [w for w in found if not is_form(w.card) or _exact_path(w.path) not in exact]


def _exact_path(form: Path) -> Path:
    """The file that an 8-bit form belongs to, by its name."""
    return form.with_name(form.name.removesuffix(INT8_ENDING) + ".onnx")


def _named_weights() -> dict[str, Weights]:
    """All files that have a name, with the 8-bit forms."""
    folders = [_BUNDLED, *model_folders()]
    found: dict[str, Weights] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.onnx"), key=lambda path: path.stem):
            try:
                card = read_card(path)
            except WeightsError as error:  # skip a broken file, keep the others
                warnings.warn(str(error), RuntimeWarning, stacklevel=2)
                continue
            if card is not None:
                found.setdefault(path.stem, Weights(path, card))
    return found


def find_weights(
    model: str | Path,
    scale: float | None = None,
    *,
    strength: float | None = None,
    quiet: bool = False,
) -> Weights:
    """A model by name or path. If `scale` is at most 2, `NAME-x2` is used where it exists.

    A path may be a file with a card, a checkpoint (`.safetensors`, `.pth`, `.pt`, `.ckpt`, `.bin`),
    an ONNX file of another project, or one of the two files of a model of ncnn (`.param`, `.bin`);
    the file's content decides which, never its suffix. Those without a card are converted and
    measured once, with a line on standard error unless `quiet`.

    `strength`, from 0 to 1, mixes the two models of a pair in `mixing.PARTNERS`, whichever of them
    is named.

    Raises `WeightsError` for an unknown name or a file that is missing or cannot be opened, and
    `OptionError` for an invalid strength.
    """
    name = str(model)
    known = _named_weights()
    if strength is not None:
        return _mixture(name, strength, known)
    if name == AUTO and name not in known:
        raise WeightsError("auto chooses a model for each picture; here, name one")
    is_path = os.sep in name or "/" in name or bool(Path(name).suffix) or Path(name).is_file()
    if name not in known and is_path:
        return _by_path(Path(name), quiet=quiet)
    if scale is not None and 1 < scale <= 2 and f"{name}-x2" in known:
        return known[f"{name}-x2"]
    if name in known and known[name].path.parent != _BUNDLED:
        _checked_kind(known[name].path)
    if name not in known:
        pairs = named_pairs()
        if name in pairs:
            return _by_path(pairs[name], quiet=quiet)
        names = ", ".join((*(weights.path.stem for weights in list_weights()), *pairs))
        raise WeightsError(
            f"unknown model {name!r}; there are: {names}. "
            "For a file give its path, for example ./model.onnx"
        )
    return known[name]


def auto_weights(scale: float | None = None) -> Weights:
    """The model `auto`: those that it chooses among, each as `find_weights` finds it for `scale`.

    Its card is that of the model for clean pictures, under its own name.
    """
    known = _named_weights()
    choices = {
        kind: find_weights(next(name for name in names if name in known), scale)
        for kind, names in CHOICES.items()
    }
    first = next(iter(choices.values()))
    return Weights(first.path, replace(first.card, name=AUTO), choices=choices)


def _mixture(name: str, strength: float, known: Mapping[str, Weights]) -> Weights:
    from enlarge.weights.mixing import PARTNERS, checked_strength, mixed_weights

    strength = checked_strength(strength)
    for plain, sharp in PARTNERS.items():
        if name in (plain, sharp) and {plain, sharp} <= known.keys():
            return mixed_weights(known[plain], known[sharp], strength)
    pairs = ", ".join(f"{plain} with {sharp}" for plain, sharp in PARTNERS.items())
    raise OptionError(
        f"--strength {strength:g} and the model {name} contradict each other: strength mixes "
        f"{pairs}; use one of these with --model, or leave out --strength"
    )


def _checked_kind(path: Path) -> Kind:
    """What a model file is, once its tensors are known to be usable. Raises `WeightsError`."""
    from enlarge.weights.contents import model_kind
    from enlarge.weights.tensors import check_tensors

    kind = model_kind(path)
    check_tensors(path, kind)
    return kind


def _by_path(path: Path, *, quiet: bool) -> Weights:
    kind = _checked_kind(path)
    card = None if kind in ("checkpoint", NCNN) else read_card(path)
    if card is not None and kind == "onnx":
        return Weights(path, card)
    beside = path.with_suffix(".onnx")
    if card is not None and beside != path and beside.is_file() and read_card(beside) == card:
        return Weights(beside, card)
    from enlarge.weights.preparing import prepared

    return prepared(path, quiet=quiet)
