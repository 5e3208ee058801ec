"""Checkpoints, ONNX files and models of ncnn, of other projects, converted and measured once, then
cached.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.card import Card, read_card
from enlarge.digests import file_digest
from enlarge.errors import WeightsError
from enlarge.model_file import NCNN, Weights
from enlarge.version import __version__
from enlarge.weights.contents import model_kind
from enlarge.weights.files import needing_torch
from enlarge.weights.model_cache import (
    CARD_FILE,
    cached_model,
    failure_file,
    find_cached,
    is_being_made,
)
from enlarge.weights.ncnn.detecting import find_pair, pair_of
from enlarge.weights.pickled import check_checkpoint
from enlarge.weights.tensors import check_tensors

if TYPE_CHECKING:
    from enlarge.weights.runner import Network


def prepared(path: Path, *, quiet: bool = False) -> Weights:
    """The model in a checkpoint, in an ONNX file without a card, or in one of ncnn's two files: as
    ONNX, with a complete card.

    Conversion, its verification, and the measuring of halo, precisions and tiles take a while. They
    are done once, with a line on standard error unless `quiet`, and the result is cached. Raises
    `WeightsError` if the file cannot be opened.
    """

    def make(folder: Path) -> None:
        if not quiet:
            print(
                f"enlarge: preparing {path.name} once (converting, checking, measuring) …",
                file=sys.stderr,
                flush=True,
            )
        prepare = _describe if model_kind(path) in ("onnx", NCNN) else _convert
        note = prepare(path, folder)
        if note and not quiet:
            print(f"enlarge: {path.name} {note}; converted", file=sys.stderr, flush=True)

    return _from(path, cached_model(_cache_name(path), path, make))


def find_prepared(path: Path, digest: str | None = None) -> Weights | None:
    """The checkpoint's model, if it was prepared before. `digest`: that of the file, if known.

    Raises `WeightsError` if the file cannot be read.
    """
    found = find_cached(_cache_name(path, digest), path)
    return None if found is None else _from(path, found)


def note_failure(path: Path, reason: str) -> None:
    """Record that the checkpoint could not be prepared."""
    with contextlib.suppress(OSError, WeightsError):
        failure_file(_cache_name(path)).write_text(reason, encoding="utf-8")


def has_failed(path: Path, digest: str) -> bool:
    """Whether preparing the checkpoint has failed before, in this version."""
    return failure_file(_cache_name(path, digest)).is_file()


def is_underway(path: Path, digest: str) -> bool:
    """Whether another process prepares the checkpoint now."""
    return is_being_made(_cache_name(path, digest))


def _from(path: Path, weights: Weights) -> Weights:
    """The model, and the checkpoint that it was converted from: of two files, the weights."""
    if weights.card.network == NCNN:
        path = find_pair(path).weights
        if weights.path.suffix != ".onnx":
            return replace(weights, path=path)
    return weights if weights.path == path else replace(weights, source=path)


def describe_file(path: Path) -> tuple[Card, bool]:
    """The card of a weight file, and whether it is complete.

    It is if the file carries it or the model is in the cache. Otherwise it lacks halo, precisions
    and tiles, which take long to measure. Raises `WeightsError`.
    """
    kind = model_kind(path)
    check_tensors(path, kind)
    if kind not in ("checkpoint", NCNN) and (card := read_card(path)) is not None:
        return card, True
    if found := find_cached(_cache_name(path), path):
        return found.card, True
    if kind in ("onnx", NCNN):
        with tempfile.TemporaryDirectory(prefix="enlarge-model-") as folder:
            return _described(path, Path(folder))[2], False
    check_checkpoint(path, kind)
    with needing_torch(path):
        from enlarge.weights.opening import open_network

        return open_network(path)[1], False


def _cache_name(path: Path, digest: str | None = None) -> str:
    try:
        digest = digest or _digest(path)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error
    return f"{path.stem[:80]}-{digest[:16]}-{__version__}"


def _digest(path: Path) -> str:
    """That of the model's file or, of ncnn's two, that of both digests. Raises `OSError`."""
    pair = pair_of(path)  # also of a checkpoint beside which a list of layers lies
    if pair is None or model_kind(path) != NCNN:
        return file_digest(path)
    both = "".join(map(file_digest, pair))
    return hashlib.sha256(both.encode()).hexdigest()


def _convert(path: Path, folder: Path) -> str:
    """Write the checkpoint as ONNX and safetensors into that folder. Returns no note."""
    check_checkpoint(path, model_kind(path))
    with needing_torch(path):
        from enlarge.weights.measuring import measured
        from enlarge.weights.network_file import save_network
        from enlarge.weights.onnx_file import export_onnx, with_card
        from enlarge.weights.opening import open_network
        from enlarge.weights.reach import is_convolutional, margin_of

        network, card = open_network(path)
    model = folder / f"{path.stem}.onnx"
    card = replace(card, name=path.stem)
    run = export_onnx(network, card, model, traced=card.is_from_spandrel)
    if card.is_from_spandrel:
        card = replace(card, step=1 if is_convolutional(run, card.fixed) else card.step)
        card = replace(card, margin=margin_of(run, card.scale, card.grid, card.fixed))
    if not card.tiles:
        card = measured(model, card, runner=run)
    with_card(model, card)
    if not card.is_from_spandrel:
        save_network(network, card, model.with_suffix(".safetensors"))
    return ""


def _describe(path: Path, folder: Path) -> str:
    """Write the card of another project's ONNX file or model of ncnn into that folder or, where the
    model is converted, an ONNX file with the card. Returns a note on its conventions.
    """
    from enlarge.weights.measuring import measured
    from enlarge.weights.onnx_writing import append_card

    model, run, card = _described(path, folder)
    card = measured(model, card, runner=run)
    if model.parent == folder:
        append_card(model, card)
    else:
        (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return str(card.options.get("converted", ""))


def _described(path: Path, folder: Path) -> tuple[Path, Network, Card]:
    """An ONNX file or a model of ncnn, or what it was converted to in that folder; it ready to run,
    and its card without what `measured` adds.
    """
    from enlarge.weights.graphs import describe_plain

    return (_translated if model_kind(path) == NCNN else describe_plain)(path, folder)


def _translated(path: Path, folder: Path) -> tuple[Path, Network, Card]:
    """A model of ncnn as ONNX in that folder, or the file itself if enlarge does not know one of
    its layers; it ready to run, and its card (see `graphs` and `ncnn.running`).
    """
    from enlarge.weights.graphs import describe_plain
    from enlarge.weights.ncnn.graph import write_graph
    from enlarge.weights.ncnn.param import UnknownLayerError
    from enlarge.weights.ncnn.running import describe_pair

    pair, model = find_pair(path), folder / f"{path.stem}.onnx"
    run: Network
    try:
        write_graph(pair, model)
    except UnknownLayerError as error:
        run, card = describe_pair(pair, error)
        return pair.weights, run, card
    try:
        model, run, card = describe_plain(model, folder)
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(model), str(path))) from error
    return model, run, replace(card, network=NCNN)
