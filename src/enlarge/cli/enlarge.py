"""What the default command does: parse, plan, run, and print what became of each input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from enlarge.batch.outcome import Outcome
from enlarge.batch.planning import plan_batch
from enlarge.cli.checks import check_streams, make_request
from enlarge.cli.console import say
from enlarge.cli.invocation import Invocation
from enlarge.cli.progress import waiting
from enlarge.cli.running import run_and_print
from enlarge.cli.starting import without_converter
from enlarge.cli.summary import Summary
from enlarge.cli.table import COMMANDS
from enlarge.engines import check_engine
from enlarge.errors import OptionError, WeightsError
from enlarge.memory import return_freed_memory
from enlarge.model_file import Weights
from enlarge.picture.background import describe_start
from enlarge.picture.loading import load_ahead
from enlarge.picture.model import OpenModel, engine_options
from enlarge.picture.outlook import Outlook
from enlarge.settings import Settings
from enlarge.weights.catalog import AUTO, DEFAULT, find_weights
from enlarge.weights.starting import is_foreign, starting_weights


def enlarge_pictures(inputs: Sequence[str], settings: Settings, options: Invocation) -> int:
    """Enlarge every input. Returns the exit status; one bad file does not stop the rest.

    Everything that can be refused is refused before any work, with an `EnlargeError`.
    """
    return_freed_memory()
    request = make_request(inputs, settings, options)
    with without_converter():
        model = open_model_for(request.settings, options)
    if options.watch:
        from enlarge.cli.watch import watch

        return watch(request, model, options)
    batch = plan_batch(request, model)
    batch = replace(batch, failed=tuple(map(_with_hint, batch.failed)))
    check_streams(batch.jobs, options)
    if options.dry_run:
        from enlarge.cli.dry_run import dry_run

        return dry_run(batch, model, options)
    if len(batch.todo) == 1 and options.cluster is None and request.settings.memory is None:
        # A budget counts what the process holds when tiles are chosen: no network yet, every time.
        outlook = batch.todo[0].outlook
        if isinstance(outlook, Outlook):
            load_ahead(outlook)
    summary = Summary(request, options)
    run_and_print(batch, model, options, summary)
    return summary.end()


def open_model_for(settings: Settings, options: Invocation) -> OpenModel:
    """The model that the settings name, with nothing loaded yet, except for a checkpoint that is
    not prepared, which is read. Raises `EnlargeError`s.
    """
    weights = _find_weights(settings, options)
    chosen = engine_options(settings)
    check_engine(weights, chosen)
    model = OpenModel(weights, chosen)
    if model.is_provisional and not options.quiet:
        say(f"enlarge: {describe_start(model)}", sys.stderr)
    return model


def _find_weights(settings: Settings, options: Invocation) -> Weights:
    name = settings.model or DEFAULT
    try:
        if options.cluster is not None and name != AUTO:  # its machines get what is prepared
            return find_weights(
                name, settings.scale, strength=settings.strength, quiet=options.quiet
            )
        is_shown = not options.quiet and not options.json and is_foreign(name)
        with waiting(f"opening {Path(name).name}", shown=is_shown):
            return starting_weights(
                name,
                settings.scale,
                strength=settings.strength,
                engine=settings.engine,
                device=settings.device,
                quiet=options.quiet,
            )
    except WeightsError as error:
        if settings.model is None or Path(name).exists():
            raise
        raise OptionError(f"--model: {error}") from error


def _with_hint(outcome: Outcome) -> Outcome:
    """A failure, with a hint if its input is named like a command."""
    name = outcome.source
    if name not in COMMANDS or Path(name).exists():
        return outcome
    return replace(
        outcome, message=f"{outcome.message}; to run the command, put it first: enlarge {name}"
    )
