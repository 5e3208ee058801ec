"""`python -m benchmarks.speed`: see the package."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import speed
from benchmarks.caps import CAPS, cap_in_force, restart_under

SECTIONS = ("process", "pairs", "models", "engines", "sides", "plans")


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(
        description=speed.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="section", help=", ".join(SECTIONS))
    parser.add_argument("--cap", choices=CAPS, help="limit the instruction sets")
    parser.add_argument("--model", action="append", help="for sides and plans")
    parser.add_argument("--against", metavar="COMMIT", help="for pairs")
    parser.add_argument("--try", action="store_true", dest="trial", help="tiny, nothing is written")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"unknown section {sorted(unknown)[0]!r}; there are: {', '.join(SECTIONS)}")
    if "pairs" in arguments.sections and not arguments.against:
        parser.error("pairs needs --against COMMIT")
    restart_under(arguments.cap, "benchmarks.speed")
    with tempfile.TemporaryDirectory(prefix="enlarge-speed-") as cache:
        os.environ["ENLARGE_CACHE"] = cache
        _measure(arguments)


def _measure(arguments: argparse.Namespace) -> None:
    """Measure the sections, into what was recorded before; each is written when it is done."""
    # torch and OpenVINO read the cap when they are imported
    from benchmarks.record import RESULTS, stamp, write
    from benchmarks.speed.page import page

    file = RESULTS / "speed.json"
    recorded: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    result = {} if arguments.trial else recorded
    mine = result.setdefault(cap_in_force() or "none", {})
    known = stamp()
    for section, parts in _parts(arguments).items():
        for part, measured in parts.items():
            print(f"{section} {part}…", flush=True)
            found = {**known, **measured()}
            if part:
                mine.setdefault(section, {})[part] = found
            else:
                mine[section] = found
            write("speed", result, page(result), trial=arguments.trial)


def _parts(arguments: argparse.Namespace) -> dict[str, dict[str, Callable[[], dict[str, Any]]]]:
    """By section and, where it has several, by model: what measures it."""
    from benchmarks.speed import engines, plans, process

    trial = arguments.trial

    def by_model(measure: Any, models: Any) -> dict[str, Callable[[], dict[str, Any]]]:
        wanted = [name for name in models if not arguments.model or name in arguments.model]
        return {name: partial(measure, name, trial=trial) for name in wanted}

    known: dict[str, dict[str, Callable[[], dict[str, Any]]]] = {
        "process": {"": partial(process.process, trial=trial)},
        "models": {"": lambda: {"rows": process.models(trial=trial)}},
        "engines": {"": partial(engines.engines, trial=trial)},
        "sides": by_model(engines.sides, engines.SIDES),
        "plans": by_model(plans.plans, plans.MODELS),
    }
    if arguments.against:
        known["pairs"] = {"": partial(process.pairs, arguments.against, trial=trial)}
    return {name: known[name] for name in SECTIONS if name in (arguments.sections or known)}


if __name__ == "__main__":
    main()
