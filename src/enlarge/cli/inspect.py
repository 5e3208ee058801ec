"""`enlarge inspect FILE`: describe a model file, a picture or a video."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from enlarge.cli.options import VERBOSE, option, refuse_both, whole

_MEASURED = ("halo", "tiles", "precisions")
"""The entries that a card lacks until the model is first used."""


def inspect(
    file: Annotated[
        str,
        Parameter(
            help="A model file (.onnx, .safetensors, .pth, .pt, .ckpt, .bin, .param), the name of "
            "a model, a picture, or a video."
        ),
    ],
    /,
    *,
    page: Annotated[
        int | None,
        option(
            "Which page or frame of a file to describe, counted from 1.",
            metavar="N",
            converter=whole(1),
        ),
    ] = None,
    json: Annotated[bool, option("Print the description as JSON.")] = False,
    verbose: Annotated[bool, option("Print empty entries too.", name=VERBOSE)] = False,
    quiet: Annotated[
        bool, option("Print nothing; the exit status tells whether the file can be read.")
    ] = False,
) -> None:
    """Describe a model file (its card), a picture (size, depth, profile, metadata) or a video."""
    from enlarge.cli.console import json_text, one_line, say

    refuse_both(quiet, verbose)
    facts = _facts(file, page)
    if quiet:
        return
    if json:
        say(json_text(facts))
        return
    width = max(map(len, facts))
    for key, value in facts.items():
        if verbose or value not in (None, "", [], {}):
            say(f"{key.ljust(width)}  {one_line(_in_words(value))}")


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        shown = {key: item for key, item in value.items() if key != "images"}  # --json has them
        return ", ".join(f"{key}: {_in_words(item)}" for key, item in shown.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in (None, "") else str(value)


def _facts(file: str, page: int | None) -> dict[str, Any]:
    from pathlib import Path

    from enlarge.batch.inputs import is_video_file
    from enlarge.errors import InputError, WeightsError
    from enlarge.media.formats.deep_zoom import ARCHIVE, DESCRIPTOR, describe_deep_zoom
    from enlarge.media.reading import describe_picture
    from enlarge.model_file import Weights
    from enlarge.weights.catalog import list_weights
    from enlarge.weights.contents import MODELS, look
    from enlarge.weights.files import KINDS
    from enlarge.weights.installed import named_pairs

    path = Path(file)
    if not path.exists():
        named = {weights.path.stem: weights for weights in list_weights()}
        if file in named:
            return named[file].facts() | {"strength": _span(file)}
        pairs = named_pairs()
        if file not in pairs:
            names = ", ".join((*named, *pairs))
            raise InputError(f"{file}: no such file or model; the models are: {names}")
        path, file = pairs[file], str(pairs[file])
    if path.is_dir():
        raise InputError(
            f"{file}: is a folder; expected a weight file, a model's name, a picture or a video"
        )
    if path.suffix.lower() in (f".{DESCRIPTOR}", f".{ARCHIVE}"):
        return {"file": file} | describe_deep_zoom(path)
    if is_video_file(path):
        from enlarge.video.describing import describe_video

        return {"file": file} | describe_video(path)
    content = look(path)
    if path.suffix.lower() not in KINDS and content.kind not in MODELS:
        try:
            return {"file": file} | describe_picture(path, page=page)
        except InputError as error:
            if content.kind != "foreign":
                raise
            raise WeightsError(f"{file}: {content.what}; {content.advice}") from error
    from enlarge.weights.preparing import describe_file

    card, whole = describe_file(path)
    facts = Weights(path, card).facts() | {"file": file}
    unknown: tuple[str, ...] = () if whole else _MEASURED
    if not whole and card.is_from_spandrel:
        unknown += ("margin",)
    return {key: value for key, value in facts.items() if key not in unknown}


def _span(model: str) -> str | None:
    """What --strength mixes a model with."""
    from enlarge.weights.mixing import PARTNERS

    for plain, sharp in PARTNERS.items():
        if model in (plain, sharp):
            return f"0 ({plain}) to 1 ({sharp})"
    return None
