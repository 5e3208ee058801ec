"""`enlarge train RECIPE [key=value …]`: a recipe in, a trained model out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.cli.options import Quiet, Switch, Verbose, refuse_both
from enlarge.errors import EngineError, OptionError

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

    from enlarge.cli import say
    from enlarge.cli.progress import counting

    refuse_both(quiet, verbose)
    if resume and (overwrite or fast_dev_run):
        other = "--overwrite" if overwrite else "--fast-dev-run"
        raise OptionError(f"--resume and {other} contradict each other; give one of them")
    try:
        from enlarge.training.config import fast_dev_run as shortened
        from enlarge.training.config import load_config
        from enlarge.training.fit import RUNS, check_run, fit, is_helper
        from enlarge.training.result import write_model
        from enlarge.training.watching import LAST
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
        say(str(config))
    if overwrite and not is_helper():
        shutil.rmtree(RUNS / config.name, ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        if not fast_dev_run and not is_helper():
            check_run(config, RUNS / config.name, resume)
            _check_memory(config)
        with counting("check", shown=not quiet) as watch:
            try:
                run = fit(config, resume=resume, trial=fast_dev_run, watch=watch)
            except KeyboardInterrupt:
                if (RUNS / config.name / LAST).is_file() and not fast_dev_run:
                    say(f"enlarge train {recipe} … --resume goes on", sys.stderr)
                raise
        if fast_dev_run:
            say(f"{recipe}: two steps were taken and judged; nothing was kept")
        elif not is_helper():
            write_model(config, run)


def _check_memory(config: Config) -> None:
    """Say what a step will take, and refuse what the machine does not have."""
    from enlarge.cli import say
    from enlarge.training.footprint import check_memory

    if found := check_memory(config):
        say(found)
