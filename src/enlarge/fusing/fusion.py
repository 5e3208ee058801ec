"""Frames → registration → reconstruction → network: the steps of `enlarge.fuse`."""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import Cancelled, InputError, OptionError
from enlarge.fusing.camera import View, view_of
from enlarge.fusing.finishing import Finished, finish, network_of
from enlarge.fusing.frames import Frame, Frames, read_frames
from enlarge.fusing.memory import check_memory, threads_within
from enlarge.fusing.motion import displacement
from enlarge.fusing.opencv import load_opencv
from enlarge.fusing.reconstruction import Reconstruction, reconstruct, tiles
from enlarge.fusing.registration import Registration
from enlarge.fusing.result import FrameReport, FusedPicture, FusionReport
from enlarge.fusing.settings import NONE, FuseOptions, FuseSettings, settings_of
from enlarge.fusing.tracking import Region, to_luma, track
from enlarge.fusing.understanding import Understood, understood
from enlarge.fusing.verdict import verdict

Progress = Callable[[int, int], None]
"""Called with what is done, and of how many."""

_MARGIN = 8
"""Pixels around the region that are fused too, where the frame has them, and then cut off."""
_LEAST_SIDE = 16


def register(
    frames: Iterable[Any], region: Sequence[int] | None = None, *, reference: int = 0
) -> list[Registration]:
    """Where each frame shows a region (x, y, width, height) of the reference (None: all of it), in
    the order of the frames.

    `frames`: arrays (H, W, 3), RGB, uint8 or uint16, or paths of pictures. The motions map pixel
    coordinates of the reference to those of the frame. Raises `InputError` and `OptionError`.
    """
    load_opencv()
    settings = FuseSettings(region=region, reference=reference)
    read = read_frames(frames, sys.maxsize, reference)
    area = _area(read, settings)
    return _registered(read.kept, area, reference)


def fuse(
    frames: Iterable[Any],
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    **options: Unpack[FuseOptions],
) -> FusedPicture:
    """Fuse several frames of one scene into one picture, with details that no single frame has.

    `frames`: arrays (H, W, 3), RGB, sRGB-coded, uint8 or uint16 (also gray, and with alpha), or
    paths of pictures, all of one size. The options:

    `region`: (x, y, width, height) in pixels of the reference; it alone is registered and fused.
    `reference`: the frame whose view the result has, from 0 (default: the first). `scale`: how many
    times larger the result is (default: 4). `then`: the model that enlarges what was fused, or
    "none": then nothing in the result was learned from other pictures. `limit`: how many frames are
    fused at most. `fields`: the frames are interlaced; each counts as two, of its even and its odd
    rows. `memory`: the limit of this process ("1.5GB"). `engine`, `device`, `precision`, `threads`:
    as in `open_model`.

    `progress` is called with what is done of what; `cancel`, when set, ends the work with
    `Cancelled`. Raises `EnlargeError`s: `InputError` where fewer than two frames show the region.
    """
    return fuse_with(settings_of(options), frames, progress=progress, cancel=cancel)


def fuse_with(
    settings: FuseSettings,
    frames: Iterable[Any],
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> FusedPicture:
    """`fuse`, with its options as one value."""
    begun = time.perf_counter()
    load_opencv()
    network = network_of(settings)
    reference = settings.reference or 0
    given = read_frames(frames, settings.limit, reference, partial(check_memory, settings))
    given = given.fields() if settings.fields else given
    region = _area(given, settings)
    window = _around(region, given.kept[0])
    work = _Work(progress, cancel, 3 + len(tiles(window.width, window.height)))
    registered = _registered(given.kept, region, reference)
    work.tick()
    _check_found(given.kept, registered, reference)
    views = _views(given.kept, registered, window)
    inner = Region(region.x - window.x, region.y - window.y, region.width, region.height)
    size = window.width, window.height
    keeps_edges = settings.then == NONE
    threads = threads_within(settings, *size)
    seen = understood(
        views, inner, size, reference, keeps_edges=keeps_edges, threads=threads, check=work.check
    )
    work.tick()
    used, effort = seen.views, seen.held_out.effort
    if not seen.held_out.gains:
        used = [view for view in seen.views if view.frame == reference]
        effort = seen.held_out.single_effort
        registered = [_without_gain(entry, reference) for entry in registered]
    made = reconstruct(used, size, seen.optics, effort, threads=threads, tick=work.tick)
    window_alone = None if seen.held_out.gains else _single(given, window, reference)
    depth = given.kept[0].pixels.dtype
    finished = finish(made.scene, inner, depth, settings, network, window_alone)
    work.tick()
    report = _report(given, region, reference, registered, made, seen, finished)
    report = replace(report, settings=_as_text(settings), seconds=time.perf_counter() - begun)
    return FusedPicture(finished.picture, finished.fused, _single(given, region, reference), report)


class _Work:
    """What is done of a fusion, for the caller's progress, and whether it is cancelled."""

    def __init__(
        self, progress: Progress | None, cancel: threading.Event | None, total: int
    ) -> None:
        self._progress, self._cancel = progress, cancel
        self._done, self._total = 0, total

    def check(self) -> None:
        """Raise `Cancelled` if the caller wants that."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("cancelled")

    def tick(self) -> None:
        """One more part is done. Raises `Cancelled`."""
        self.check()
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _area(frames: Frames, settings: FuseSettings) -> Region:
    """The region, inside the reference frame. Raises `OptionError` and `InputError`."""
    read, count = frames.kept, frames.count
    height, width = read[0].pixels.shape[:2]
    reference = settings.reference or 0
    if reference >= count:
        raise OptionError(
            f"there is no frame {reference} (reference): there are {count}, counted from 0"
        )
    if len(read) < 2:
        raise InputError(
            f"{read[0].name} is the only frame; expected at least two of one scene. To enlarge one "
            "picture: enlarge PICTURE"
        )
    if settings.region is None:
        region = Region(0, 0, width, height)
    else:
        region = Region(*map(int, settings.region))
    if region.x + region.width > width or region.y + region.height > height:
        raise OptionError(
            f"--region {','.join(map(str, region))} is not inside the frames, {width}×{height}"
        )
    if min(region.width, region.height) < _LEAST_SIDE:
        raise OptionError(
            f"--region {','.join(map(str, region))} is too small to register; expected at least "
            f"{_LEAST_SIDE} pixels in width and height"
        )
    return region


def _registered(read: Sequence[Frame], region: Region, reference: int) -> list[Registration]:
    lumas = [to_luma(frame.filled) for frame in read]
    place = next(n for n, frame in enumerate(read) if frame.number == reference)
    found = track(lumas, region, place)
    return [replace(entry, frame=frame.number) for entry, frame in zip(found, read, strict=True)]


def _check_found(read: Sequence[Frame], found: Sequence[Registration], reference: int) -> None:
    """Raise `InputError` where no other frame shows the region of the reference."""
    if sum(entry.is_used for entry in found) >= 2:
        return
    reasons = sorted({entry.reason for entry in found if entry.reason})
    name = next(frame.name for frame in read if frame.number == reference)
    raise InputError(
        f"no frame shows the region of {name} again: {len(read) - 1} others were sought from their "
        "neighbours' motion and by correlation over the whole frame, and aligned by translation, "
        f"affine motion and homography ({'; '.join(reasons)}). Choose a region with more detail, "
        "or another --reference"
    )


def _around(region: Region, frame: Frame) -> Region:
    """The window: the region with a margin, where the frame has it."""
    height, width = frame.pixels.shape[:2]
    left, top = max(0, region.x - _MARGIN), max(0, region.y - _MARGIN)
    right = min(width, region.x + region.width + _MARGIN)
    bottom = min(height, region.y + region.height + _MARGIN)
    return Region(left, top, right - left, bottom - top)


def _views(read: Sequence[Frame], registered: Sequence[Registration], window: Region) -> list[View]:
    """What the used frames show of the window."""
    return [
        view_of(frame, entry.motion, (entry.gain, entry.offset), window)
        for frame, entry in zip(read, registered, strict=True)
        if entry.is_used
    ]


def _without_gain(entry: Registration, reference: int) -> Registration:
    """The registration of a frame that fitted, and added nothing to the reference."""
    if entry.frame == reference or not entry.is_used:
        return entry
    return replace(entry, reason="adds nothing to what the reference shows")


def _single(given: Frames, region: Region, reference: int) -> NDArray[Any]:
    """The region in the reference."""
    pixels = next(frame.filled for frame in given.kept if frame.number == reference)
    return pixels[region.y : region.y + region.height, region.x : region.x + region.width]


def _report(
    given: Frames,
    region: Region,
    reference: int,
    registered: Sequence[Registration],
    made: Reconstruction,
    seen: Understood,
    finished: Finished,
) -> FusionReport:
    """The evidence."""
    weights = np.array(made.weights)
    shares = iter(weights / weights.max())
    by_place = [float(next(shares)) if entry.is_used else 0.0 for entry in registered]
    frames = _frame_reports(given, registered, by_place, region)
    return FusionReport(
        reference=reference,
        region=region,
        scale=finished.picture.shape[1] / region.width,
        frames=frames,
        noise=made.noise,
        noise_gain=float(weights.sum() / np.sqrt(np.square(weights).sum())),
        resolution=seen.resolution,
        samples=_cut(made.samples, region, given.kept[0]),
        flow=seen.flow,
        gains=seen.held_out.gains,
        verdict=verdict(seen, [frame.shift for frame in frames if frame.inside]),
        held_out=seen.held_out,
        then=finished.model,
        provenance=_provenance(frames, finished.words),
        digest=hashlib.sha256(finished.picture.tobytes()).hexdigest(),
        settings={},
        seconds=0.0,
    )


def _cut(samples: NDArray[np.float32], region: Region, frame: Frame) -> NDArray[np.float32]:
    """The part of a map of the window that is the region's."""
    window = _around(region, frame)
    x, y = region.x - window.x, region.y - window.y
    return samples[y : y + region.height, x : x + region.width]


def _frame_reports(
    given: Frames,
    registered: Sequence[Registration],
    weights: Sequence[float],
    region: Region,
) -> tuple[FrameReport, ...]:
    middle = np.array(
        [[region.x + (region.width - 1) / 2, region.y + (region.height - 1) / 2]], np.float64
    )
    reports = []
    for frame, entry, weight in zip(given.kept, registered, weights, strict=True):
        across, down = displacement(entry.motion, middle)[0]
        reports.append(
            FrameReport(
                number=frame.number,
                name=frame.name,
                used=entry.is_used,
                reason=entry.reason,
                digest=frame.digest,
                motion=entry.motion,
                shift=(float(across), float(down)),
                weight=weight,
                correlation=entry.correlation,
                gain=entry.gain,
                offset=entry.offset,
                inside=entry.inside,
            )
        )
    reason = f"not among the {len(given.kept)} sharpest"
    reports += [
        FrameReport(number=number, name=name, used=False, reason=reason, digest=digest)
        for number, name, digest in given.dropped
    ]
    return tuple(sorted(reports, key=lambda entry: entry.number))


def _provenance(frames: Sequence[FrameReport], words: str) -> str:
    used = sum(frame.used for frame in frames)
    return f"fused from {used} of {len(frames)} frames; {words}"


def _as_text(settings: FuseSettings) -> dict[str, str]:
    values = {
        "region": settings.region and ",".join(map(str, settings.region)),
        "scale": f"{settings.scale:g}",
        "reference": settings.reference,
        "then": settings.then,
        "limit": settings.limit,
        "fields": "yes" if settings.fields else None,
    }
    return {name: str(value) for name, value in values.items() if value is not None}
