"""Checkpoints of other formats, made once into what engines open, and kept.

A checkpoint becomes a folder of the cache, `models/STEM-DIGEST-VERSION/`, that holds `STEM.onnx`
and, for networks of our own, `STEM.safetensors`, both with a whole card. An ONNX file without a
card is used where it lies; of it only the card is kept. DIGEST is that of the file's content.
Mixtures of two models (see `mixing`) are kept there too.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from enlarge import __version__
from enlarge.cache import cache_folder
from enlarge.digests import file_digest
from enlarge.errors import OptionError, OutputError, WeightsError
from enlarge.weights.card import Card
from enlarge.weights.catalog import Weights, find_weights
from enlarge.weights.files import PICKLES, read_card

CropsFor = Callable[[int, int], tuple[Sequence[Any], Sequence[Any]]]
"""Given a network's scale and multiple: LR crops, uint8 h×w×3, to calibrate and to verify on."""
LIMIT = 2 * 1024**3
"""Bytes of prepared models that are kept; those that were used longest ago go first."""
_STALE = 24 * 3600
_CARD = "card.json"
_SIDE = 128
"""The tile of networks that export at one size only."""


def prepared(path: Path, *, quiet: bool = False, ladder: Sequence[int] | None = None) -> Weights:
    """The model in what another program, or `enlarge export`, wrote: as ONNX, with a whole card.

    What takes long is done once, with a line on standard error unless `quiet`: conversion, its
    verification, and the measuring of halo, precisions and tiles (of `ladder`'s sides, where
    given). Raises `WeightsError` where the file cannot be opened.
    """

    def make(folder: Path) -> None:
        if not quiet:
            print(
                f"enlarge: preparing {path.name} once (converting, checking, measuring) …",
                file=sys.stderr,
                flush=True,
            )
        (_keep_card if path.suffix.lower() == ".onnx" else _convert)(path, folder, ladder)

    return made_once(f"{path.stem[:80]}-{_digest(path)[:16]}-{__version__}", path, make)


def made_once(name: str, path: Path, make: Callable[[Path], None]) -> Weights:
    """The model that `make` writes into the folder it is given, as PATH's stem with `.onnx`, or as
    a card of what lies at `path`; kept under `name`, which says all that it is made of.

    Raises what `make` raises, and `WeightsError` where the cache cannot hold it.
    """
    folder = _folder()
    if found := _kept(folder / name, path):
        return found
    with _alone(folder):
        if found := _kept(folder / name, path):  # made by another process meanwhile
            return found
        new = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=folder))
        try:
            make(new)
            if _kept(folder / name, path) is None:  # what lies there is damaged
                shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):  # another process was faster
                new.rename(folder / name)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        _trim(folder, folder / name)
    found = _kept(folder / name, path)
    if found is None:
        raise WeightsError(f"{folder}: cannot hold the prepared model; see that it can be written")
    return found


def export_model(
    model: str,
    target: Path,
    *,
    half: bool = False,
    int8: CropsFor | None = None,
    tile: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
    ladder: Sequence[int] | None = None,
) -> Card:
    """Write a model, by name or path, as `target`, .onnx or .safetensors; returns its card.

    `half` stores weights as fp16, and what is verified is those. `int8` gives the crops on which
    the convolutions of an ONNX file are quantised, and others on which it must stay close to f32
    (see `quantizing`). `tile` fixes the input's side (of an ONNX file; 0: free). Raises
    `WeightsError`, `OptionError`, `OutputError` or what `int8` raises, and writes nothing then.
    """
    check_target(model, target, tile=tile, overwrite=overwrite)
    if int8 is not None:
        check_int8(target, half=half)
    weights = find_weights(model, quiet=quiet)
    source = _parameters_of(model, weights)
    if weights.card.network == "onnx":  # a graph tells nothing of its network
        weights = find_weights(str(source), quiet=quiet)
    with needing_torch(Path(model)):
        from enlarge.weights.export import export_onnx, put, round_to_half, save_network, with_card
        from enlarge.weights.measuring import measured
        from enlarge.weights.opening import SPANDREL, open_network

        network = open_network(source)[0]
    card = replace(weights.card, name=target.stem)
    if target.suffix.lower() == ".safetensors" and card.network.startswith(SPANDREL):
        raise WeightsError(
            f"{model}: its network, {card.network}, is not one of ours, so no .safetensors of ours "
            "can hold it; write an .onnx file"
        )
    if tile:
        _check_side(tile, card)
        card = replace(card, fixed=tile, tiles={})
    if int8 is not None:
        return _export_int8(network, card, target, int8, ladder)
    if half:
        round_to_half(network)
    if target.suffix.lower() == ".safetensors":
        save_network(network, card, target, half=half)
        return card
    with tempfile.TemporaryDirectory(prefix="enlarge-export-") as folder:
        whole = Path(folder) / f"{target.stem}.onnx"
        export_onnx(network, card, whole, half=half, traced=card.network.startswith(SPANDREL))
        if not card.tiles:
            card = measured(whole, card, ladder)
            with_card(whole, card)
        put(whole, target)
    return card


def check_int8(target: Path, *, half: bool = False) -> None:
    """Refuse what int8 contradicts, and say where NNCF is missing, before any work.

    Raises `OptionError` or `WeightsError`.
    """
    from enlarge.weights.quantizing import need_nncf

    if half:
        raise OptionError("a file is exported in f16 or in int8, not in both")
    if target.suffix.lower() != ".onnx":
        raise OptionError(
            f"--precision int8 and -o {target} contradict each other; int8 is for .onnx"
        )
    need_nncf()


def _export_int8(
    network: Any, card: Card, target: Path, crops_for: CropsFor, ladder: Sequence[int] | None
) -> Card:
    """Everything happens in a temporary folder; the whole file then takes the target's place."""
    from enlarge.weights import quantizing
    from enlarge.weights.export import export_onnx, fix_sides, put, with_card
    from enlarge.weights.measuring import working_sets
    from enlarge.weights.opening import SPANDREL

    quantizing.check_can_quantize(card)
    with tempfile.TemporaryDirectory(prefix="enlarge-int8-") as folder:
        exact, whole = Path(folder) / "f32.onnx", Path(folder) / f"{target.stem}.onnx"
        traced = card.network.startswith(SPANDREL)
        export_onnx(network, replace(card, fixed=0), exact, traced=traced)
        calibration, held_out = map(quantizing.to_pictures, crops_for(card.scale, card.multiple))
        quantizing.quantize_onnx(exact, whole, calibration)
        decibels = quantizing.agreement(exact, whole, held_out)
        quantizing.check_agreement(target.name, decibels)
        if card.fixed:
            fix_sides(whole, card)
        sides = ladder or tuple(card.tiles) or None
        scores = {"int8 to f32": {"psnr": decibels}}
        card = replace(card, precisions=("int8",), scores=scores)
        card = replace(card, tiles=working_sets(whole, card, sides))
        with_card(whole, card)
        put(whole, target)
    return card


def _parameters_of(model: str, weights: Weights) -> Path:
    """The file to read a model's network from. Raises `WeightsError` where there is none."""
    beside = weights.path.with_suffix(".safetensors")
    if beside.is_file():
        return beside
    if Path(model).suffix.lower() not in (".safetensors", *PICKLES):  # an ONNX file alone
        raise WeightsError(
            f"{model}: export needs a network's parameters, which an .onnx file alone does not "
            f"tell; expected a checkpoint, or {beside.name} beside it"
        )
    return Path(model)


def check_target(model: str, target: Path, *, tile: int, overwrite: bool) -> None:
    """Refuse what can be refused before any work. Raises `OptionError` or `OutputError`."""
    suffix = target.suffix.lower()
    if suffix not in (".onnx", ".safetensors"):
        raise OptionError(
            f"-o must end in .onnx or .safetensors, got {target.suffix or target.name!r}"
        )
    if tile and suffix != ".onnx":
        raise OptionError(f"--tile and -o {target} contradict each other; --tile is for .onnx")
    if not target.absolute().parent.is_dir():
        raise OutputError(f"{target}: the folder {target.parent} does not exist")
    if target.exists():
        if Path(model).exists() and target.samefile(model):
            raise OutputError(f"{target}: is the input itself; name another file with -o")
        if not target.is_file():
            raise OutputError(f"{target}: is not a regular file; name another with -o")
        if not overwrite:
            raise OutputError(f"{target} exists; --overwrite replaces it, -o names another place")


def _check_side(tile: int, card: Card) -> None:
    least = max(3 * card.halo, 1)
    least = -(-least // card.multiple) * card.multiple
    if tile < least or tile % card.multiple:
        steps = f", in steps of {card.multiple}" if card.multiple > 1 else ""
        raise OptionError(
            f"--tile must be at least {least} for this network, whose tiles overlap by {card.halo} "
            f"pixels on each side{steps}; got {tile}"
        )


def look(path: Path) -> tuple[Card, bool]:
    """The card of a weight file, and whether it is whole: carried by the file, or prepared before;
    else it lacks halo, precisions and tiles, which take long to measure. Raises `WeightsError`.
    """
    suffix = path.suffix.lower()
    if suffix in (".onnx", ".safetensors") and (card := read_card(path)) is not None:
        return card, True
    place = _folder() / f"{path.stem[:80]}-{_digest(path)[:16]}-{__version__}"
    if found := _kept(place, path):
        return found.card, True
    if suffix == ".onnx":
        from enlarge.weights.graphs import describe_graph

        return describe_graph(path)[1], False
    with needing_torch(path):
        from enlarge.weights.opening import open_network

        return open_network(path)[1], False


@contextlib.contextmanager
def needing_torch(path: Path) -> Iterator[None]:
    """A missing package becomes a `WeightsError` that says how to install it."""
    try:
        yield
    except ImportError as error:
        if (error.name or "enlarge").partition(".")[0] == "enlarge":
            raise
        raise WeightsError(
            f"{path}: opening a checkpoint needs {error.name}; install it: "
            'pip install "enlarge[torch]"'
        ) from error


def _convert(path: Path, folder: Path, ladder: Sequence[int] | None) -> None:
    """The checkpoint as ONNX and safetensors in that folder."""
    with needing_torch(path):
        from enlarge.weights.export import export_onnx, save_network, with_card
        from enlarge.weights.measuring import Runner, measured, measured_margin
        from enlarge.weights.opening import SPANDREL, open_network

        network, card = open_network(path)
    model = folder / f"{path.stem}.onnx"
    others = card.network.startswith(SPANDREL)
    card = replace(card, name=path.stem)
    try:
        export_onnx(network, card, model, traced=others)
    except WeightsError:
        if not others:
            raise
        side = -(-_SIDE // card.multiple) * card.multiple  # many write sizes down as they run
        card = replace(card, fixed=side)
        export_onnx(network, card, model, traced=True)
    run = Runner(model)
    if others:
        margin = measured_margin(run, card.scale, card.multiple, card.fixed)
        card = replace(card, margin=margin)
    if not card.tiles:
        card = measured(model, card, ladder, runner=run)
    with_card(model, card)
    if not others:
        save_network(network, card, model.with_suffix(".safetensors"))


def _keep_card(path: Path, folder: Path, ladder: Sequence[int] | None) -> None:
    """The card of somebody else's ONNX file in that folder."""
    from enlarge.weights.graphs import describe_graph
    from enlarge.weights.measuring import measured

    run, card = describe_graph(path)
    card = measured(path, card, ladder, runner=run)
    (folder / _CARD).write_text(card.to_json(), encoding="utf-8")


def _kept(place: Path, path: Path) -> Weights | None:
    """What was prepared before, marked as used now."""
    kept, model = place / _CARD, place / f"{path.stem}.onnx"
    try:
        if kept.is_file():
            found = Weights(path, Card.from_json(kept.read_text(encoding="utf-8"), str(path)))
        elif model.is_file() and (card := read_card(model)) is not None:
            found = Weights(model, card)
        else:
            return None
    except (OSError, WeightsError):
        return None
    with contextlib.suppress(OSError):
        os.utime(place)
    return found


def _digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error


def _folder() -> Path:
    """`models/` in the cache; where that cannot be written, a folder that goes with the process."""
    folder = cache_folder() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return _spare_folder()
    return folder


@cache
def _spare_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="enlarge-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _alone(folder: Path) -> Any:
    """One process at a time, where filelock is installed (torch brings it)."""
    try:
        from filelock import FileLock
    except ImportError:
        return contextlib.nullcontext()
    return FileLock(folder / ".lock")


def _trim(folder: Path, newest: Path) -> None:
    """Delete models beyond `LIMIT`, never the newest, and what killed processes left."""
    total, found = 0, []
    for place in folder.iterdir():
        try:
            age = time.time() - place.stat().st_mtime
            if place.name.startswith("."):
                if place.is_dir() and age > _STALE:
                    shutil.rmtree(place, ignore_errors=True)
                continue
            size = sum(file.stat().st_size for file in place.iterdir())
        except OSError:
            continue  # another process trimmed it first
        total += size
        found.append((place == newest, -age, size, place))
    for _, _, size, place in sorted(found)[:-1]:
        if total <= LIMIT:
            return
        gone = place.with_name(f".{place.name}.{os.getpid()}.gone")
        with contextlib.suppress(OSError):
            place.rename(gone)  # whole or not at all, for those that look for it
            shutil.rmtree(gone, ignore_errors=True)
            total -= size
