"""`enlarge train RECIPE [key=value …]`: a recipe in, a trained model out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both
from enlarge.errors import CompleteError, EngineError, OptionError

if TYPE_CHECKING:
    from enlarge.training.config import Config


def train(
    recipe: Path,
    /,
    *overrides: str,
    resume: Switch = False,
    overwrite: Switch = False,
    fast_dev_run: Switch = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Train a network as a recipe says; the model lies in runs/NAME/.

    Parameters
    ----------
    recipe
        A recipe, for example recipes/fast.yaml.
    overrides
        Keys of the recipe to change, for example train.minutes=10 data.photos=FOLDER.
    resume
        Go on from the run's last.ckpt, where it was stopped or killed.
    overwrite
        Begin anew, and delete what an earlier run of that name left.
    fast_dev_run
        Try it: two steps of the real network on small patches, judged on one crop; nothing is
        kept.
    verbose
        Say the whole configuration first.
    quiet
        Say nothing but errors.

    """
    import contextlib
    import io
    import sys

    from enlarge.cli.console import say
    from enlarge.cli.progress import counting

    refuse_both(quiet, verbose)
    given = {"--resume": resume, "--overwrite": overwrite, "--fast-dev-run": fast_dev_run}
    several = [name for name, wanted in given.items() if wanted]
    if len(several) > 1:
        raise OptionError(f"{' and '.join(several)} contradict each other; give one of them")
    check_torchvision()
    try:
        from enlarge.training.callbacks import LAST
        from enlarge.training.config import as_yaml, load_config
        from enlarge.training.config import fast_dev_run as shortened
        from enlarge.training.fit import RUNS, check_run, fit, is_secondary_process
        from enlarge.training.result import has_model, write_model
        from enlarge.training.training_data import check_sources
    except ImportError as error:
        if (error.name or "enlarge").partition(".")[0] == "enlarge":
            raise
        raise EngineError(
            f'training needs {error.name}; install it: pip install "enlarge[train]"'
        ) from error
    config = load_config(recipe, list(overrides))
    if fast_dev_run:
        config = shortened(config)
    if verbose:
        say(as_yaml(config).rstrip())
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        run = RUNS / config.name
        try:
            if not fast_dev_run and not is_secondary_process():
                check_run(config, run, resume, overwrite)
                check_sources(config)
                _check_memory(config)
            with counting("check", shown=not quiet) as watch:
                fit(config, resume=resume, overwrite=overwrite, trial=fast_dev_run, watch=watch)
        except CompleteError:
            if is_secondary_process() or has_model(run):
                raise  # trained and written; else it was stopped in between
        except KeyboardInterrupt:
            if (run / LAST).is_file() and not fast_dev_run:
                say(f"enlarge train {recipe} … --resume goes on", sys.stderr)
            raise
        if fast_dev_run:
            say(f"{recipe}: two steps were taken and judged; nothing was kept")
        elif not is_secondary_process():
            write_model(config, run)


def check_torchvision() -> None:
    """Raise EngineError where the installed torchvision cannot be imported, as with another torch
    than it was built for. Training does not need it, but Lightning imports it where it is found.
    """
    from importlib import import_module
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


def _check_memory(config: Config) -> None:
    """Say what a step will take, and refuse what the machine does not have."""
    from enlarge.cli.console import say
    from enlarge.training.footprint import check_memory

    if found := check_memory(config):
        say(found)
