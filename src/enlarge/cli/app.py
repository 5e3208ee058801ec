"""`enlarge app`: the web app."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from enlarge.cli.options import (
    VERBOSE,
    build_settings,
    option,
    refuse_both,
    settings_options,
    whole,
)
from enlarge.cli.parameters import FLAT
from enlarge.errors import EngineError, OptionError

if TYPE_CHECKING:
    from enlarge.app.options import Options
    from enlarge.settings import Settings

_SERVER, _LIMITS = "Server", "Limits"
_MEGA = 1_000_000


@dataclass(frozen=True, kw_only=True)
class AppOptions:
    """The options of `enlarge app` that are not about models."""

    host: Annotated[
        str,
        option(
            "Address to listen on: localhost (default) for this machine only, 0.0.0.0 for others "
            "too.",
            group=_SERVER,
            metavar="ADDRESS",
        ),
    ] = "localhost"
    port: Annotated[
        int,
        option(
            "Port to listen on (default: 8501).",
            group=_SERVER,
            metavar="NUMBER",
            converter=whole(1),
        ),
    ] = 8501
    no_browser: Annotated[bool, option("Do not open a browser.", group=_SERVER)] = False
    max_upload: Annotated[
        str, option("Largest file (default: 64MB).", group=_LIMITS, metavar="SIZE")
    ] = "64MB"
    max_pixels: Annotated[
        int,
        option(
            "Largest picture (default: 25).",
            group=_LIMITS,
            metavar="MEGAPIXELS",
            converter=whole(1),
        ),
    ] = 25
    max_result: Annotated[
        int,
        option(
            "Largest result (default: 400).",
            group=_LIMITS,
            metavar="MEGAPIXELS",
            converter=whole(1),
        ),
    ] = 400
    max_files: Annotated[
        int,
        option(
            "Pictures of one visitor at a time (default: 20).",
            group=_LIMITS,
            metavar="NUMBER",
            converter=whole(1),
        ),
    ] = 20
    max_video: Annotated[
        str, option("Largest video (default: 2GB).", group=_LIMITS, metavar="SIZE")
    ] = "2GB"
    max_frames: Annotated[
        int,
        option(
            "Frames of one video that are enlarged (default: 100,000).",
            group=_LIMITS,
            metavar="NUMBER",
            converter=whole(1),
        ),
    ] = 100_000
    verbose: Annotated[bool, option("Print the server's messages.", name=VERBOSE)] = False
    quiet: Annotated[bool, option("Print errors only.")] = False


@settings_options("model", "engine", "precision", "device", "memory", "threads")
class ModelArguments:
    """The options of `Settings` that hold for all visitors."""


_DEFAULTS, _MODEL = AppOptions(), ModelArguments()


def app(
    *,
    options: Annotated[AppOptions, FLAT] = _DEFAULTS,
    model: Annotated[ModelArguments, FLAT] = _MODEL,
) -> None:
    """Start the web app and open it in the browser."""
    from importlib.util import find_spec

    from enlarge.engines import check_engine
    from enlarge.picture.model import engine_options
    from enlarge.weights.catalog import AUTO, DEFAULT, auto_weights, find_weights

    refuse_both(options.quiet, options.verbose)
    if options.port > 65_535:
        raise OptionError(f"--port must be a number from 1 to 65535, got {options.port}")
    upload = _size_limit(options.max_upload, "--max-upload")
    video = _size_limit(options.max_video, "--max-video")
    settings = build_settings(model)
    name = settings.model or DEFAULT
    weights = auto_weights() if name == AUTO else find_weights(name)
    check_engine(weights, engine_options(settings))
    if find_spec("streamlit") is None:
        raise EngineError('the web app needs streamlit; install it: pip install "enlarge[app]"')

    from enlarge.app.options import VARIABLE
    from enlarge.app.server import Address, serve
    from enlarge.cli.console import say

    address = Address(options.host, options.port)
    address.check()
    os.environ[VARIABLE] = _page_options(options, model, name, settings, upload, video).to_json()
    if not options.quiet:
        say(f"enlarge: {address.url}  (Ctrl+C ends it)")
    serve(address, max_upload=upload, browser=not options.no_browser, verbose=options.verbose)


def _size_limit(text: str, name: str) -> int:
    """The most bytes of a file. Raises `OptionError`."""
    from enlarge.memory import parse_size

    most = parse_size(text, name)
    if most < _MEGA:
        raise OptionError(f"{name} must be at least 1MB, got {text!r}")
    return most


def _page_options(
    options: AppOptions, model: Any, name: str, settings: Settings, upload: int, video: int
) -> Options:
    """The options that are passed to the page; `name`: the model's."""
    from enlarge.app.options import Options

    return Options(
        max_upload=upload,
        max_pixels=options.max_pixels * _MEGA,
        max_result=options.max_result * _MEGA,
        max_files=options.max_files,
        max_video=video,
        max_frames=options.max_frames,
        model=name,
        engine=settings.engine,
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        memory=model.memory,
    )
