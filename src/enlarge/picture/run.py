"""Enlarging a picture as its outlook says: through all passes, and into a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray

from enlarge.errors import BudgetError, EngineMemoryError, OutputError
from enlarge.media.formats import CONTAINERS, format_of
from enlarge.media.metadata.change import Change
from enlarge.media.reading import Facts, Picture, open_picture
from enlarge.media.rows import Rows, prefetched
from enlarge.media.temporary import existing_output
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
from enlarge.memory import peak
from enlarge.picture.background import prepare_later
from enlarge.picture.bands import EnlargedRows
from enlarge.picture.choosing import Chosen, chosen
from enlarge.picture.hooks import Hooks
from enlarge.picture.loading import layout_of
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import Outlook, plan_picture
from enlarge.picture.resuming import Transfer, earlier_tiles, facts_of_bands, resumable
from enlarge.picture.source import prepare_rows
from enlarge.picture.timings import Timings
from enlarge.settings import Settings
from enlarge.tiling import Plan
from enlarge.version import __version__

_READ_AHEAD, _READ_AHEAD_BYTES = 64, 1 << 20
"""Rows that are decoded ahead, and of small pictures more: those in so many bytes."""
NO_HOOKS = Hooks()


@dataclass(frozen=True)
class Done:
    """What became of one file: where it is, its size in pixels, how it was made, the seconds by
    stage (decode, compile, compute, encode), the process's peak memory in bytes (0: unknown),
    what the target could not hold, and the device that computed. `missing`: the share of a damaged
    input, 0 to 1, that is gray in the result (None: the input was sound). Of a video, `frames` is
    their number, and `broken` says which were damaged or missing (None: none). `reason`: why the
    model was chosen (empty: it was named).
    """

    output: str
    width: int
    height: int
    model: str
    engine: str
    precision: str
    tile: tuple[int, int]
    tiles: int
    seconds: float
    stages: dict[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    notes: tuple[str, ...] = ()
    device: str = "cpu"
    missing: float | None = None
    frames: int | None = None
    broken: str | None = None
    reason: str = ""


def enlarge_file(
    transfer: Transfer,
    settings: Settings,
    model: OpenModel,
    *,
    hooks: Hooks = NO_HOOKS,
) -> Done:
    """Enlarge a picture file (or its bytes, or a stream) into a file (or a stream).

    All checks that need no pixels come first; the target appears only when it is complete.
    Finished bands of a result of at least `RESUMABLE` pixels are kept in `TARGET.parts/` until it
    is complete, if `settings.resume` says so and the source is known; an interrupted run leaves
    them, and the next one resumes there. Raises `EnlargeError`s.
    """
    begun = time.perf_counter()
    settings = replace(
        settings,
        format=output_format(transfer.path, settings.format),
        resume=settings.resume and transfer.can_resume,
    )
    page = settings.single_page
    check_target(transfer)
    memory, salvage = settings.budget // 4, settings.salvage
    with open_picture(transfer.source, page=page, memory=memory, salvage=salvage) as picture:
        outlook = plan_picture(picture.facts, settings, model)
        outlook.check_disk(transfer.path)
        outlook.check_decoder()
        done = enlarge_picture(picture, outlook, transfer, hooks)
    return replace(done, seconds=time.perf_counter() - begun)


def enlarge_picture(
    picture: Picture, outlook: Outlook, transfer: Transfer, hooks: Hooks = NO_HOOKS
) -> Done:
    """Enlarge an open picture as its outlook says. Raises `EnlargeError`s."""
    begun, timings = time.perf_counter(), Timings()
    rows = prepare_rows(_read_ahead(picture), outlook.settings)
    try:
        choice = chosen(rows, outlook, quality=picture.facts.quality)
        rows, outlook = choice.rows, choice.outlook
        about = _about_bands(outlook, rows, transfer) if outlook.bands_bytes else None
        earlier = earlier_tiles(transfer.path, about) if about else ()
        large, plans = enlarge_rows(rows, outlook, hooks, timings=timings, earlier=earlier)
        facts = None
        if about is not None and len(plans[-1].rows) > 1:
            facts = facts_of_bands(about, plans)
        spec = PictureSpec(outlook.width, outlook.height, large.channels, large.dtype)
        provenance = _provenance(picture, choice, plans[-1])
        with (
            resumable(large, transfer, facts) as bands,
            create_picture(
                transfer.target,
                spec,
                _write_options(outlook),
                metadata=picture.metadata,
                change=_change(picture.facts, outlook),
                provenance=provenance,
            ) as sink,
        ):
            for band in bands:
                with timings.measured("encode"):
                    sink.write(band, copy=False)
            with timings.measured("encode"):
                sink.finish(bands.sealing(hooks.seal), overwrite=transfer.overwrite)
    finally:
        rows.close()
    prepare_later(outlook)
    engine = outlook.model.engine(outlook.dtype)
    return Done(
        output="-" if transfer.path is None else str(transfer.path),
        width=outlook.width,
        height=outlook.height,
        model=outlook.model.card.name,
        engine=engine.name,
        precision=engine.precision,
        tile=(plans[-1].tile_width, plans[-1].tile_height),
        tiles=sum(len(tiles) for tiles in plans),
        seconds=time.perf_counter() - begun,
        stages=dict(timings),
        peak_memory=peak(),
        notes=(*picture.notes, *bands.notes, *sink.notes),
        device=engine.device,
        missing=None if picture.salvage is None else picture.salvage.missing,
        reason=choice.reason,
    )


def _write_options(outlook: Outlook) -> WriteOptions:
    settings = outlook.settings
    return WriteOptions(
        outlook.format, settings.quality, settings.metadata, settings.pyramid, settings.colour
    )


def _read_ahead(picture: Picture) -> Rows:
    """The picture's rows, decoded by a thread ahead of their use."""
    rows = picture.rows()
    row_bytes = rows.width * rows.channels * rows.dtype.itemsize
    return prefetched(rows, max(_READ_AHEAD, _READ_AHEAD_BYTES // row_bytes))


def enlarge_rows(
    rows: Rows,
    outlook: Outlook,
    hooks: Hooks = NO_HOOKS,
    *,
    timings: Timings | None = None,
    into: NDArray[Any] | None = None,
    earlier: Sequence[tuple[int, int]] = (),
) -> tuple[EnlargedRows, list[Plan]]:
    """Rows, already cropped, through all passes; and the tiles of each pass.

    The networks are compiled, but nothing is read yet. `into`: an array that receives the result.
    `earlier`: see `Outlook.tiles`.
    """
    model, below, refusal = outlook.model, None, ""
    engine = model.engine(outlook.dtype)
    while True:
        plans = _tiles(outlook, earlier, below, refusal)
        large = rows
        try:
            for number, (step, tiles) in enumerate(zip(outlook.passes, plans, strict=True), 1):
                last = number == len(plans)
                layout = layout_of(outlook, step, tiles)
                large = EnlargedRows(
                    large,
                    layout,
                    engine,
                    hooks=hooks,
                    timings=timings,
                    last=last,
                    into=into if last else None,
                )
                large.prepare()
        except EngineMemoryError as error:  # smaller tiles; nothing was read or written yet
            refusal = str(error)
            largest = max(max(tiles.tile_width, tiles.tile_height) for tiles in plans)
            if below is not None and largest >= below:
                raise  # no side leaves anything of this network: there is no smaller plan
            below = largest
        else:
            return cast(EnlargedRows, large), plans


def _tiles(
    outlook: Outlook, earlier: Sequence[tuple[int, int]], below: int | None, refusal: str
) -> list[Plan]:
    """The tiles of each pass; where the engine ran out of memory (`refusal`: what it said), smaller
    ones than `below`. Raises `BudgetError`, with the engine's words if there are any.
    """
    if below is None:
        return outlook.tiles(earlier=earlier)
    try:
        return outlook.tiles(below=below)
    except BudgetError as error:
        raise BudgetError(f"{error} ({refusal})") from None


def output_format(target: Path | None, name: str | None) -> str:
    """The format of an output: as named, else by the target's extension, else PNG."""
    if name in CONTAINERS:
        return name
    if target is not None and (video := CONTAINERS.get(target.suffix.lower()[1:])) and not name:
        return video
    if name:
        return format_of(name if name.startswith(".") else f".{name}")
    return format_of(target.suffix) if target is not None and target.suffix else "png"


def check_target(transfer: Transfer) -> None:
    """Raise `OutputError` where the target exists and may not be replaced."""
    source, target = transfer.source, transfer.path
    if target is None or not target.exists():
        return
    if isinstance(source, Path) and source.exists() and target.samefile(source):
        raise OutputError(f"the output {target} is the input; choose another one")
    if not transfer.overwrite:
        raise existing_output(target)


def _change(facts: Facts, outlook: Outlook) -> Change:
    """What becomes of a picture, for its metadata."""
    return Change.of_crop(
        (outlook.width, outlook.height),
        (facts.width, facts.height),
        outlook.settings.crop,
        turned=facts.orientation != 1,
    )


def _provenance(picture: Picture, choice: Chosen, tiles: Plan) -> dict[str, str] | None:
    """What the result's file says of how it was made; None if it is to say nothing."""
    outlook, rows = choice.outlook, choice.rows
    settings, model = outlook.settings, outlook.model
    if not settings.provenance:
        return None
    engine = model.engine(outlook.dtype)
    across, down = _ratio(rows.width, outlook.width), _ratio(rows.height, outlook.height)
    facts = {
        "version": __version__,
        "model": model.card.name,
        "weights": model.digest_for(outlook.dtype)[:16],
        "scale": across if across == down else f"{across}x{down}",
        "engine": engine.name,
        "precision": engine.precision,
        "tile": f"{tiles.tile_width}x{tiles.tile_height}",
    }
    if settings.crop:
        facts["crop"] = ",".join(map(str, settings.crop))
    if settings.exact:
        facts["exact"] = "yes"
    if settings.ensemble:
        facts["ensemble"] = "yes"
    if choice.reason:
        facts["chosen"] = choice.reason
    if model.card.strength is not None:
        facts["strength"] = str(model.card.strength)
    words = {True: "yes", False: "no"}
    facts |= {
        name: words[value] if isinstance(value, bool) else str(value)
        for name, value in settings.newer().items()
    }
    if picture.salvage is not None:
        facts["salvaged"] = picture.salvage.mark
    return facts


def _about_bands(outlook: Outlook, rows: Rows, transfer: Transfer) -> dict[str, Any]:
    """What determines the bands of a result, beside the plan of its tiles."""
    settings, model = outlook.settings, outlook.model
    engine = model.engine(outlook.dtype)
    return {
        "version": __version__,
        "model": model.digest_for(outlook.dtype),
        "engine": f"{engine.name} {engine.device} {engine.precision}",
        "result": f"{outlook.width}x{outlook.height}x{rows.channels} {rows.dtype}",
        "crop": settings.crop,
        "tile": settings.tile_text,
        "exact": settings.exact,
        "ensemble": settings.ensemble,
        "input": transfer.source_digest(),
        **({"salvage": True} if settings.salvage else {}),
        **settings.newer(),
    }


def _ratio(size: int, target: int) -> str:
    return f"{target / size:.6g}"
