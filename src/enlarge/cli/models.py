"""`enlarge models`: list the available models."""

from __future__ import annotations

from typing import Annotated, Any

from enlarge.cli.options import VERBOSE, option, refuse_both


def models(
    *,
    json: Annotated[bool, option("Print the complete cards as JSON.")] = False,
    verbose: Annotated[
        bool,
        option(
            "Print the path of each file, its precisions, its training pictures and their licences "
            "too.",
            name=VERBOSE,
        ),
    ] = False,
    quiet: Annotated[bool, option("Print the names only.")] = False,
) -> None:
    """List the models that --model takes by name."""
    from json import dumps

    from enlarge.cli.console import say
    from enlarge.model_file import NCNN
    from enlarge.weights.catalog import AUTO, auto_weights, list_weights
    from enlarge.weights.installed import list_pairs, named_pairs

    refuse_both(quiet, verbose)
    found = list_weights()
    own = [weights.path.stem for weights in found]
    if not quiet:
        found += [weights for weights in list_pairs() if weights.path.stem not in own]
    if json:
        cards = [weights.facts() for weights in found]
        say(dumps(cards, ensure_ascii=False, indent=2))
        return
    if quiet:
        for name in [*own, *(name for name in named_pairs() if name not in own)]:
            say(name)
        return
    rows = [("model", "scale", "parameters", "kFLOP/px", "file", "scores")]
    for weights in found:
        card = weights.card
        file = weights.path.with_suffix(".bin") if card.network == NCNN else weights.path
        size = f"{file.stat().st_size / 1e6:.2f} MB"
        unknown = "not counted" if card.tiles else "not yet known"  # those that only ncnn runs
        work = f"{card.flops / 1000:.1f}" if card.flops else unknown
        parameters = f"{card.parameters:,}" if card.parameters else unknown
        rows.append(
            (weights.path.stem, f"×{card.scale}", parameters, work, size, _scores(card.scores))
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    # One line for the heading and one for each model, with -v followed by what the card adds.
    for row, extra in zip(rows, [None, *found], strict=True):
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if verbose and extra is not None:
            say(f"    {'precisions'.ljust(15)}  {', '.join(extra.precisions)}")
            words = {"network": "network", "data": "trained on", "licence": "their licences",
                     "recipe": "recipe", "hours": "hours"}  # fmt: skip
            for key, word in words.items():
                say(f"    {word.ljust(15)}  {getattr(extra.card, key) or 'not stated'}")
            say(f"    {'file'.ljust(15)}  {extra.path}")
    taken = dict.fromkeys(weights.path.stem for weights in auto_weights().choices.values())
    say(f"{AUTO}, the default, takes {' or '.join(taken)} by each picture's looks.")


def _scores(scores: dict[str, Any]) -> str:
    """The PSNR on the benchmarks of the field."""
    found = [name for name in ("Set5", "Set14") if name in scores]
    text = ", ".join(f"{name} {scores[name]['psnr']:.2f}" for name in found)
    return f"{text} dB (Y)" if text else "none"
