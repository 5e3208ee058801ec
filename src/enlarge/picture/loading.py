"""What a pass of a picture is compiled for, and compiling it while the picture is opened."""

from __future__ import annotations

import contextlib
import threading

from enlarge.picture.choosing import for_kind
from enlarge.picture.layout import Layout
from enlarge.picture.looking import likely_kind
from enlarge.picture.outlook import Outlook
from enlarge.picture.passes import Pass
from enlarge.picture.tiles import RowRunner
from enlarge.picture.timings import Timings
from enlarge.tiling import Plan


def layout_of(outlook: Outlook, step: Pass, tiles: Plan) -> Layout:
    """How one of the outlook's passes is put together from these tiles."""
    return Layout(
        size=(step.width, step.height),
        target=step.target,
        plan=tiles,
        scale=outlook.model.card.scale,
        channels=step.channels,
        dtype=outlook.dtype,
        fades=outlook.model.card.margin is None,
        ensemble=step.ensemble,
    )


def load_ahead(outlook: Outlook) -> None:
    """Begin to load the network for a picture's first pass in a thread, if a CPU runs it. Who needs
    it meanwhile waits for that; what fails here fails there again, and is reported.
    """
    threading.Thread(target=_load, args=(outlook,), name="enlarge-load").start()


def _load(outlook: Outlook) -> None:
    with contextlib.suppress(Exception):
        if outlook.model.weights.choices:  # it is known for sure when pixels have been seen
            quality = None if outlook.facts is None else outlook.facts.quality
            outlook = for_kind(outlook, likely_kind(quality))
        engine = outlook.model.engine(outlook.dtype)
        if engine.device == "cpu":
            layout = layout_of(outlook, outlook.passes[0], outlook.tiles()[0])
            RowRunner(engine, layout, Timings()).prepare()
