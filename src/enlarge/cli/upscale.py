"""`enlarge INPUT… [-o OUT]`: the default command."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from enlarge.cli.console import restore_hyphens
from enlarge.cli.invocation import Invocation
from enlarge.cli.options import build_settings, refuse_both, settings_options
from enlarge.cli.parameters import FLAT
from enlarge.cli.starting import importing
from enlarge.errors import OptionError


@settings_options()
class SettingsArguments:
    """Every option of `Settings`, as given on a command line."""


_SETTINGS, _OPTIONS = SettingsArguments(), Invocation()


def upscale(
    *inputs: Annotated[
        str,
        Parameter(
            group="Inputs",
            help="Files, folders, globs, a CSV file that lists pictures in a column LR, a zip, "
            "URLs (s3://, https://), or - for standard input.",
        ),
    ],
    options: Annotated[Invocation, FLAT] = _OPTIONS,
    settings: Annotated[SettingsArguments, FLAT] = _SETTINGS,
) -> int:
    """Enlarge pictures."""
    if not inputs:
        raise OptionError("expected a picture, for example: enlarge photo.jpg (see enlarge --help)")
    refuse_both(options.quiet, options.verbose)
    if options.output is not None:
        options = replace(options, output=restore_hyphens([options.output])[0])
    with importing():
        from enlarge.cli.enlarge import enlarge_pictures

    return enlarge_pictures(restore_hyphens(inputs), build_settings(settings), options)
