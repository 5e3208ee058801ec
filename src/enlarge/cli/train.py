"""`enlarge train RECIPE [key=value …]`: a recipe in, a trained model out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from enlarge.cli.options import VERBOSE, option, refuse_both
from enlarge.cli.parameters import FLAT
from enlarge.errors import CompleteError, EngineError, OptionError

if TYPE_CHECKING:
    from enlarge.training.config import Config


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `enlarge train`."""

    resume: Annotated[bool, option("Resume an interrupted run from its last.ckpt.")] = False
    overwrite: Annotated[
        bool, option("Start again, and delete what an earlier run of that name left.")
    ] = False
    fast_dev_run: Annotated[
        bool,
        option(
            "Try it: take two steps of the real network on small patches and one validation crop, "
            "and keep nothing."
        ),
    ] = False
    verbose: Annotated[bool, option("Print the whole configuration first.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


_DEFAULTS = TrainOptions()


def train(
    recipe: Annotated[
        Path, Parameter(help="A recipe file, or the name of a bundled recipe, for example fast.")
    ],
    /,
    *overrides: Annotated[
        str,
        Parameter(
            help="Keys of the recipe to change, for example train.minutes=10 data.photos=FOLDER."
        ),
    ],
    options: Annotated[TrainOptions, FLAT] = _DEFAULTS,
) -> None:
    """Train a network from a recipe and write the model to runs/NAME/."""
    import contextlib
    import io

    from enlarge.cli.console import say

    refuse_both(options.quiet, options.verbose)
    given = {
        "--resume": options.resume,
        "--overwrite": options.overwrite,
        "--fast-dev-run": options.fast_dev_run,
    }
    several = [name for name, wanted in given.items() if wanted]
    if len(several) > 1:
        raise OptionError(f"{' and '.join(several)} contradict each other; give one of them")
    check_torchvision()
    config = _load(recipe, overrides, fast_dev_run=options.fast_dev_run)
    if options.verbose:
        from enlarge.training.config import as_yaml

        say(as_yaml(config).rstrip())
    with contextlib.redirect_stdout(io.StringIO()) if options.quiet else contextlib.nullcontext():
        _train(recipe, config, options)


def _load(recipe: Path, overrides: tuple[str, ...], *, fast_dev_run: bool) -> Config:
    """The configuration. Raises `EngineError` if the packages for training are missing."""
    try:
        import_module("enlarge.training.fit")
        from enlarge.training.config import load_config
        from enlarge.training.trial import fast_dev_run as shortened
    except ImportError as error:
        if (error.name or "enlarge").partition(".")[0] == "enlarge":
            raise
        raise EngineError(
            f'training needs {error.name}; install it: pip install "enlarge[train]"'
        ) from error
    config = load_config(recipe, list(overrides))
    return shortened(config) if fast_dev_run else config


def check_torchvision() -> None:
    """Raise `EngineError` if the installed torchvision cannot be imported.

    It was then built for another version of torch. Training does not need torchvision, but
    Lightning imports it if it is installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        found, torch = version("torchvision"), version("torch")
    except PackageNotFoundError:
        return
    try:
        import_module("torchvision")
    except Exception as error:
        raise EngineError(
            f"torchvision {found} does not work with torch {torch} ({error}). Lightning imports it "
            "where it is installed; enlarge does not need it. Remove it (pip uninstall "
            "torchvision), or install the version that fits (pip install --upgrade torchvision)"
        ) from error


def _train(recipe: Path, config: Config, options: TrainOptions) -> None:
    """Check, fit, and write the model."""
    from enlarge.cli.console import say
    from enlarge.cli.progress import counting
    from enlarge.training.callbacks import LAST
    from enlarge.training.fit import RUNS, check_run, fit, is_secondary_process
    from enlarge.training.result import has_model, write_model
    from enlarge.training.training_data import check_sources

    run, trial = RUNS / config.name, options.fast_dev_run
    try:
        if not trial and not is_secondary_process():
            check_run(config, run, options.resume, options.overwrite)
            check_sources(config)
            _check_memory(config)
        with counting("check", shown=not options.quiet) as watch:
            fit(
                config,
                resume=options.resume,
                overwrite=options.overwrite,
                trial=trial,
                watch=watch,
            )
    except CompleteError:
        if is_secondary_process() or has_model(run):
            raise  # trained and written; otherwise it was stopped in between
    except KeyboardInterrupt:
        if (run / LAST).is_file() and not trial:
            say(f"to resume: enlarge train {recipe} … --resume", sys.stderr)
        raise
    if trial:
        say(f"{recipe}: two steps and one validation ran; nothing was kept")
    elif not is_secondary_process():
        write_model(config, run)


def _check_memory(config: Config) -> None:
    """Print the memory of a step. Raises an error if the machine has less."""
    from enlarge.cli.console import say
    from enlarge.training.footprint import check_memory

    if found := check_memory(config):
        say(found)
