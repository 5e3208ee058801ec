"""`enlarge train RECIPE [key=value …]`: a recipe in, a trained model out."""

from __future__ import annotations

from pathlib import Path

from enlarge.cli.options import Quiet, Verbose, refuse_both
from enlarge.errors import EngineError


def train(recipe: Path, /, *overrides: str, verbose: Verbose = False, quiet: Quiet = False) -> None:
    """Train a network as a recipe says; the model lies in runs/NAME/.

    Parameters
    ----------
    recipe
        A recipe, for example recipes/fast.yaml.
    overrides
        Keys of the recipe to change, for example train.minutes=10 data.photos=FOLDER.
    verbose
        Say the whole configuration first.
    quiet
        Say nothing but errors.

    """
    import contextlib
    import io

    from enlarge.cli import say

    refuse_both(quiet, verbose)
    try:
        from enlarge.training.config import load_config
        from enlarge.training.fit import fit
        from enlarge.training.result import write_model
    except ImportError as error:
        if (error.name or "enlarge").partition(".")[0] == "enlarge":
            raise
        raise EngineError(
            f'training needs {error.name}; install it: pip install "enlarge[train]"'
        ) from error
    config = load_config(recipe, list(overrides))
    if verbose:
        say(str(config))
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        write_model(config, fit(config))
