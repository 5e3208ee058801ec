"""The options of one invocation of `enlarge INPUT…` that are not about how a picture is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from enlarge.cli.options import VERBOSE, option


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The options that are not about how a picture is made."""

    output: Annotated[
        str | None,
        option(
            "A folder (also s3://BUCKET/PREFIX/), a zip, a file whose extension sets the format, "
            "or - for standard output. Without it, the result is written beside its input as "
            "NAME_x4.png. Rerun the command to finish a folder or a zip that was interrupted.",
            name=["--output", "-o"],
            group="Output",
            metavar="OUT",
        ),
    ] = None
    suffix: Annotated[
        str | None,
        option(
            "Append this to the input's name instead of _x4.",
            group="Output",
            allow_leading_hyphen=True,
        ),
    ] = None
    overwrite: Annotated[
        bool,
        option("Replace existing outputs, even if enlarge did not make them.", group="Output"),
    ] = False
    report: Annotated[
        Path | None,
        option("Write a report on every input, as .json or .html.", group="Output", metavar="FILE"),
    ] = None
    dry_run: Annotated[
        bool,
        option(
            "Print the number of pictures and megapixels, the estimated time and the disk space, "
            "and write nothing.",
            group="Output",
        ),
    ] = False
    ledger: Annotated[
        Path | None,
        option(
            "Folder for the ledger, the record that a rerun resumes from (default: the output "
            "folder; for results behind a URL, the cache folder).",
            group="Output",
            metavar="FOLDER",
        ),
    ] = None
    watch: Annotated[
        bool,
        option(
            "Keep running and enlarge new files in the input folders as they arrive.",
            group="Inputs",
        ),
    ] = False
    cluster: Annotated[
        str | None,
        option(
            "Compute on the machines of a Ray cluster: auto for the cluster that this machine "
            "belongs to, or its HOST:PORT.",
            group="Machine",
            metavar="auto|ADDRESS",
        ),
    ] = None
    json: Annotated[bool, option("Print the results as one JSON document.")] = False
    verbose: Annotated[
        bool,
        option("Print the model, the tiles and the seconds of each stage.", name=VERBOSE),
    ] = False
    quiet: Annotated[bool, option("Print errors only.")] = False
