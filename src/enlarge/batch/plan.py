"""The values of a batch: what is asked for, and what is planned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.batch import lanes
from enlarge.batch.jobs import PictureJob
from enlarge.batch.locations import Source, Target, Zip, ledger_folder, results_folder
from enlarge.batch.outcome import Outcome
from enlarge.batch.remote import Remote
from enlarge.picture.outlook import Outlook
from enlarge.settings import Settings

if TYPE_CHECKING:
    from enlarge.video.outlook import VideoOutlook

_TYPICAL = 0.3
"""A file's usual share of the most that it can take (photographs as PNG: 0.1 to 0.3, measured in
media.writing). Of a batch only the largest result counts in full: a disk that fills up later costs
one picture, a wrong refusal the batch."""
Needs = list[tuple[Path, int]]
"""Folders, each with bytes that are needed there."""


@dataclass(frozen=True)
class Request:
    """What an invocation asks for.

    `settings`: how pictures are made; their `format` is set. `target`: None for results beside
    their inputs. `suffix`: what follows the stem of a result's name. `overwrite`: replace results
    that the ledger does not know. `ledger`: the folder for the ledger, instead of the usual one.
    """

    sources: tuple[Source, ...]
    settings: Settings
    target: Target | None = None
    suffix: str | None = None
    overwrite: bool = False
    ledger: Path | None = None

    @property
    def results(self) -> Path | Remote | None:
        """Where the results are, if `target` takes several."""
        return results_folder(self.target)

    @property
    def ledger_folder(self) -> Path | None:
        """The folder whose `.enlarge/` holds the ledger."""
        return ledger_folder(self.target, self.ledger)

    def ending(self, outlook: Outlook | VideoOutlook | None, factor: int) -> str:
        """What follows the stem in the name of a result beside its input, without the extension.

        `outlook`: of the picture, needed only for results of a given width or height. `factor`:
        the model's.
        """
        settings = self.settings
        if self.suffix is not None:
            return self.suffix
        crop = "_crop" if settings.crop else ""
        if settings.width or settings.height:
            assert outlook is not None
            return f"{crop}_{outlook.width}x{outlook.height}"
        return f"{crop}_x{factor if settings.scale is None else settings.scale:.15g}"


@dataclass(frozen=True)
class PlannedPicture:
    """A job, and the forecast of its enlargement (None if it is only read when its turn comes)."""

    job: PictureJob
    outlook: Outlook | VideoOutlook | None = None

    @property
    def pixels(self) -> int:
        """Its share of the work: the pixels of the result."""
        return 1 if self.outlook is None else self.outlook.pixels_made


@dataclass(frozen=True)
class BatchPlan:
    """A planned batch: the pictures to enlarge, and the outcomes known already; among them,
    `skipped`, the pictures that a scan found and enlarge made. `notes`: a line for each thing to
    know about the names of the results, and videos that are left out.
    """

    request: Request
    todo: tuple[PlannedPicture, ...] = ()
    kept: tuple[Outcome, ...] = ()
    failed: tuple[Outcome, ...] = ()
    skipped: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def jobs(self) -> list[PictureJob]:
        """All jobs, done or to be done, sorted by name."""
        kept = [outcome.job for outcome in self.kept if outcome.job is not None]
        return sorted([item.job for item in self.todo] + kept, key=lambda job: job.name)

    @property
    def folders(self) -> set[Path]:
        """The folders that receive files."""
        return {path.parent for job in self.jobs if (path := job.path) is not None}

    def output_name(self, job: PictureJob) -> str:
        """Where a result will be found: in the archive, if it goes into one."""
        target = self.request.target
        return f"{target}/{job.name}" if isinstance(target, Zip) else str(job.target)

    def kept_outcome(self, item: PlannedPicture, width: int, height: int) -> Outcome:
        """The outcome of a picture whose result of that size exists."""
        job = replace(item.job, replace=True)
        output = self.output_name(job)
        return Outcome("kept", str(job.source), output, width, height, job=job, pixels=item.pixels)

    def file_needs(self) -> Needs:
        """The bytes that the results' files take: the largest one in full."""
        sizes = [
            (path.parent, item.outlook.file_bytes)
            for item in self.todo
            if item.outlook is not None and (path := item.job.path) is not None
        ]
        ordered = sorted(sizes, key=lambda pair: -pair[1])
        shares = [1.0] + [_TYPICAL] * len(ordered)
        needs = [
            (folder, int(size * share))
            for (folder, size), share in zip(ordered, shares, strict=False)
        ]
        target = self.request.target
        if isinstance(target, Zip):  # the archive holds all of them once more
            kept = [outcome.job.path for outcome in self.kept if outcome.job is not None]
            size = sum(path.stat().st_size for path in kept if path is not None)
            needs.append((target.path.parent, sum(size for _, size in needs) + size))
        return needs

    def band_needs(self) -> Needs:
        """The bytes of finished bands that the largest results keep on disk while they are made,
        beside those that are there: for as many results as are made at a time.
        """
        needs = [
            (path.parent, item.outlook.missing_bands(path))
            for item in self.todo
            if item.outlook is not None
            and item.outlook.bands_bytes
            and (path := item.job.path) is not None
        ]
        return sorted(needs, key=lambda need: -need[1])[: lanes.LANES]
