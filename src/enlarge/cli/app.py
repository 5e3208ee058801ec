"""`enlarge app`: the web app."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Group, Parameter

from enlarge.cli.options import EngineWish, PrecisionWish, Quiet, Verbose, refuse_both, whole
from enlarge.errors import EngineError, OptionError

_SERVER = Group("Server")
_LIMITS = Group("Limits")
_MODEL = Group("Model")
_MACHINE = Group("Machine")
_MEGA = 1_000_000


def app(
    *,
    host: Annotated[str, Parameter(group=_SERVER, metavar="ADDRESS")] = "localhost",
    port: Annotated[int, Parameter(group=_SERVER, metavar="NUMBER", converter=whole(1))] = 8501,
    no_browser: Annotated[bool, Parameter(group=_SERVER, negative="")] = False,
    max_upload: Annotated[str, Parameter(group=_LIMITS, metavar="SIZE")] = "64MB",
    max_pixels: Annotated[
        int, Parameter(group=_LIMITS, metavar="MEGAPIXELS", converter=whole(1))
    ] = 25,
    max_result: Annotated[
        int, Parameter(group=_LIMITS, metavar="MEGAPIXELS", converter=whole(1))
    ] = 400,
    max_files: Annotated[int, Parameter(group=_LIMITS, metavar="NUMBER", converter=whole(1))] = 20,
    model: Annotated[str | None, Parameter(group=_MODEL, metavar="MODEL")] = None,
    engine: Annotated[EngineWish, Parameter(group=_MODEL)] = "auto",
    precision: Annotated[PrecisionWish, Parameter(group=_MODEL)] = "auto",
    device: Annotated[str, Parameter(group=_MACHINE, metavar="NAME")] = "auto",
    memory: Annotated[str | None, Parameter(group=_MACHINE, metavar="SIZE")] = None,
    threads: Annotated[int, Parameter(group=_MACHINE, metavar="NUMBER", converter=whole(0))] = 0,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Start the web app, and open it in the browser.

    Parameters
    ----------
    host
        Where it listens: localhost, the default, for this machine alone; 0.0.0.0 for others too.
    port
        The port (default: 8501).
    no_browser
        Do not open a browser.
    max_upload
        The largest file that is taken (default: 64MB).
    max_pixels
        The largest picture that is taken (default: 25).
    max_result
        The largest result that is made (default: 400).
    max_files
        Pictures of one visitor at a time (default: 20).
    model
        The model that is chosen at first: a name or a file.
    engine
        What runs the network, as for enlarge itself.
    precision
        As for enlarge itself.
    device
        As for enlarge itself.
    memory
        The most that this process may take for one picture (default: half of the machine's).
    threads
        Threads that compute (default: one for each core).
    verbose
        Print the server's own messages.
    quiet
        Say nothing but errors.

    """
    import os
    from importlib.util import find_spec

    from enlarge.engines.pick import find_placement
    from enlarge.memory import parse_size
    from enlarge.weights.catalog import DEFAULT, find_weights

    refuse_both(quiet, verbose)
    if port > 65_535:
        raise OptionError(f"--port must be a number from 1 to 65535, got {port}")
    upload = parse_size(max_upload, "--max-upload")
    if upload < _MEGA:
        raise OptionError(f"--max-upload must be at least 1MB, got {max_upload!r}")
    if memory is not None:
        parse_size(memory)
    weights = find_weights(model or DEFAULT)
    find_placement(weights.path, weights.card, engine=engine, device=device)
    if find_spec("streamlit") is None:
        raise EngineError('the web app needs streamlit; install it: pip install "enlarge[app]"')

    from enlarge.app.options import VARIABLE, Options
    from enlarge.app.server import Address, serve
    from enlarge.cli.console import say

    address = Address(host, port)
    address.check()

    options = Options(
        max_upload=upload,
        max_pixels=max_pixels * _MEGA,
        max_result=max_result * _MEGA,
        max_files=max_files,
        model=model or DEFAULT,
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        memory=memory,
    )
    os.environ[VARIABLE] = options.to_json()
    if not quiet:
        say(f"enlarge: {address.url}  (Ctrl+C ends it)")
    serve(address, max_upload=upload, browser=not no_browser, verbose=verbose)
