"""The forecast of a picture's enlargement, made once from its header and the settings."""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from enlarge.errors import BudgetError, OptionError, OutputError
from enlarge.media.formats import check_output, encoder_bytes, estimate_bytes
from enlarge.media.parts import parts_bytes
from enlarge.media.reading import Buffering, Facts
from enlarge.media.rows import Rows
from enlarge.memory import format_size, resident
from enlarge.picture.budget import USABLE, Budget, TileChoice, choose_tiles
from enlarge.picture.model import OpenModel
from enlarge.picture.passes import Pass, split_passes
from enlarge.settings import MAX_SCALE, Settings
from enlarge.tiling import Plan

RESUMABLE = 100_000_000
"""Pixels of a result from which on its finished bands are kept while it is made: `fast` on two
cores takes half a minute for so many, the larger networks half an hour."""
_UNLIMITED = 1 << 62

Needs = list[tuple[Path, int]]
"""Folders, each with the bytes that will be written there."""


@dataclass(frozen=True)
class Outlook:
    """What is known of a picture's enlargement before its pixels are read.

    The dry run, the disk check, the page's drawing of the tiles and the run itself all read this
    value. Sizes are in pixels and in bytes.

    `facts`: the picture's header (None for an array). `dtype`: of its pixels and of the result's.
    `passes`: the runs of the network, with their sizes. `buffers`: the memory that the decoder and
    an encoder that does not stream hold. `file_bytes`: about the most that the result's file takes.
    `scratch_bytes`: a temporary file of decoded pixels (0 where the picture is read in order, or
    fits in memory). `bands_bytes`: the finished bands that are kept while the result is made (0
    where it is too small for that).
    """

    settings: Settings
    model: OpenModel = field(repr=False, compare=False)
    facts: Facts | None
    dtype: np.dtype[Any]
    passes: tuple[Pass, ...]
    buffers: int
    file_bytes: int = 0
    scratch_bytes: int = 0
    bands_bytes: int = 0

    @property
    def width(self) -> int:
        """Width of the result."""
        return self.passes[-1].target_width

    @property
    def height(self) -> int:
        """Height of the result."""
        return self.passes[-1].target_height

    @property
    def pixels_read(self) -> int:
        """Pixels of the input that are enlarged."""
        return self.passes[0].width * self.passes[0].height

    @property
    def pixels_made(self) -> int:
        """Pixels of the result."""
        return self.width * self.height

    @property
    def format(self) -> str:
        """The format of the result's file."""
        return self.settings.format or "png"

    @cached_property
    def best_bytes(self) -> int:
        """Memory that the enlargement takes with the tiles that suit it best, ignoring the budget.

        Raises `OptionError` for a tile that does not suit the model.
        """
        return self.buffers + self._choice(None).best_bytes()

    def tiles(
        self, *, below: int | None = None, earlier: Sequence[tuple[int, int]] = ()
    ) -> list[Plan]:
        """The tiles of each pass that keep the process within its memory budget.

        `below`: only tiles smaller than this side. `earlier`: the tiles (width, height) of an
        interrupted run, taken again if possible. Networks that are kept from earlier
        pictures are freed where they would change the tiles: a picture gives the same bytes alone
        and in a batch. Raises `BudgetError` naming the smallest budget that works, or
        `OptionError`.
        """
        choice = self._choice(below)
        budget = Budget(self.settings.budget, self.buffers)
        try:
            plans = choose_tiles(choice, budget, earlier)
            unlimited = replace(budget, total=_UNLIMITED)
            if plans == choose_tiles(choice, unlimited, earlier) or not self.model.forget():
                return plans
        except BudgetError:
            if not self.model.forget():
                raise
        return choose_tiles(choice, budget, earlier)

    def _choice(self, below: int | None) -> TileChoice:
        settings = self.settings
        card = self.model.card_for(self.model.engine(self.dtype))
        return TileChoice(self.passes, card, settings.tile, settings.exact, below)

    def check_decoder(self) -> None:
        """Raise `BudgetError` where the decoder alone takes more than the memory budget."""
        facts, budget = self.facts, self.settings.budget
        if facts is None or buffering(facts, self.settings) is Buffering.NONE:
            return
        if facts.decode_bytes > budget * USABLE:
            least = int((facts.decode_bytes + resident()) / USABLE)
            raise BudgetError(
                f"a memory budget of {format_size(budget)} is too small for this picture: decoding "
                f"a {facts.width:,}×{facts.height:,} {facts.format.upper()} takes "
                f"{format_size(facts.decode_bytes)}, as it cannot be decoded in parts; use "
                f"--memory {format_size(least)} or more"
            )

    def check_disk(self, target: Path | None) -> None:
        """Raise `OutputError` where a disk is too small for the result at `target` (None: a
        stream), temporary files and kept bands.
        """
        needs = [(Path(tempfile.gettempdir()), self.scratch_bytes)]
        bands: Needs = []
        if target is not None:
            needs.append((target.parent, self.file_bytes))
            if self.bands_bytes:
                bands.append((target.parent, self.missing_bands(target)))
        check_disk(needs, bands)

    def missing_bands(self, target: Path) -> int:
        """Bytes of finished bands that will be kept for `target`, beside those that are there."""
        return max(self.bands_bytes - parts_bytes(target), 0)


def plan_picture(facts: Facts, settings: Settings, model: OpenModel) -> Outlook:
    """The forecast for a picture with this header.

    `settings.format` names the result's format (None: PNG); `settings.resume` says whether its
    finished bands may be kept. Raises `OptionError` for a crop or a size that does not suit the
    picture, and `OutputError` where the format cannot hold the result.
    """
    x, y, width, height = settings.crop or (0, 0, facts.width, facts.height)
    model = model.current()
    if x + width > facts.width or y + height > facts.height:
        raise OptionError(
            f"--crop {x},{y},{width},{height} is not inside {facts.width}×{facts.height}"
        )
    target = target_size(width, height, settings, model.card.scale)
    form, pixel = settings.format or "png", (facts.channels, facts.dtype.itemsize)
    check_output(form, *target)
    first = Pass(width, height, *target, *pixel, settings.ensemble)
    result_bytes = target[0] * target[1] * facts.channels * facts.dtype.itemsize
    is_resumable = settings.resume and target[0] * target[1] >= RESUMABLE
    is_in_file = buffering(facts, settings) is Buffering.FILE
    return Outlook(
        settings=settings,
        model=model,
        facts=facts,
        dtype=facts.dtype,
        passes=split_passes(first, model.card.scale),
        buffers=decoder_bytes(facts, settings)
        + encoder_bytes(form, *target, *pixel, pyramid=settings.pyramid),
        file_bytes=estimate_bytes(form, *target, *pixel, pyramid=settings.pyramid),
        scratch_bytes=facts.disk_bytes if is_in_file else 0,
        bands_bytes=result_bytes if is_resumable else 0,
    )


def plan_array(rows: Rows, settings: Settings, model: OpenModel, *, buffers: int = 0) -> Outlook:
    """The forecast for rows (already cropped) that become an array.

    `buffers`: what the decoder holds of them; the input and the result count as well.
    """
    model = model.current()
    target = target_size(rows.width, rows.height, settings, model.card.scale)
    pixel = (rows.channels, rows.dtype.itemsize)
    first = Pass(rows.width, rows.height, *target, *pixel, settings.ensemble)
    pixels = rows.width * rows.height + target[0] * target[1]
    return Outlook(
        settings=settings,
        model=model,
        facts=None,
        dtype=rows.dtype,
        passes=split_passes(first, model.card.scale),
        buffers=buffers + pixels * rows.channels * rows.dtype.itemsize,
    )


def buffering(facts: Facts, settings: Settings) -> Buffering:
    """Where the decoded picture goes: a quarter of the memory budget may hold it."""
    return Buffering.NONE if facts.in_order else facts.buffering(settings.budget // 4)


def decoder_bytes(facts: Facts, settings: Settings) -> int:
    """Memory that the open picture holds: nothing to speak of where it is streamed."""
    match buffering(facts, settings):
        case Buffering.NONE:
            return 0
        case Buffering.MEMORY:
            return facts.memory_bytes
        case Buffering.FILE:
            return facts.decode_bytes


def target_size(width: int, height: int, settings: Settings, factor: int) -> tuple[int, int]:
    """The result's size: by scale (default: the model's `factor`), or by width and/or height.

    Width or height alone keeps the proportions. Raises `OptionError` for a result that is not 1 to
    16 times as large.
    """
    to_width, to_height = settings.width, settings.height
    if to_width is None and to_height is None:
        scale = factor if settings.scale is None else settings.scale
        target = (int(width * scale + 0.5), int(height * scale + 0.5))
    else:
        if to_width is None:
            assert to_height is not None
            to_width = max(1, round(width * to_height / height))
        if to_height is None:
            to_height = max(1, round(height * to_width / width))
        target = (to_width, to_height)
    if not all(
        size <= wanted <= MAX_SCALE * size
        for size, wanted in zip((width, height), target, strict=True)
    ):
        raise OptionError(
            f"the result must be 1 to {MAX_SCALE} times as large as the {width}×{height} input, "
            f"got {target[0]}×{target[1]}"
        )
    return target


def check_disk(needs: Iterable[tuple[Path, int]], bands: Iterable[tuple[Path, int]] = ()) -> None:
    """Raise `OutputError` where a disk has less free than `needs`, pairs of a folder (which need
    not exist yet) and bytes; what goes to the same disk is added up. `bands`: what more is needed
    where finished bands are kept.
    """
    disks: dict[int, int] = defaultdict(int)
    folders: dict[int, Path] = {}
    bands = list(bands)
    for folder, size in [*needs, *bands]:
        place = folder.absolute()
        while not place.is_dir() and place != place.parent:
            place = place.parent
        device = place.stat().st_dev
        disks[device] += size
        folders.setdefault(device, place)
    for device, size in disks.items():
        free = shutil.disk_usage(folders[device]).free
        if size > free:
            raise OutputError(
                f"{folders[device]}: not enough disk space: up to {format_size(size)} needed, "
                f"{format_size(free)} free; free some space, or choose another folder"
                + (", or use --no-resume, which keeps no finished bands" if bands else "")
            )
