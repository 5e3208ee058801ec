"""The Python surface: `upscale()` for one call, `open_model()` for the same in steps."""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from enlarge import __version__
from enlarge.budget import USABLE, Pass, best_bytes, chain, plan_passes
from enlarge.digests import file_digest
from enlarge.engines import Engine, pick_engine
from enlarge.errors import BudgetError, EngineMemoryError, InputError, OptionError, OutputError
from enlarge.media.alpha import FillTransparent
from enlarge.media.formats import encoder_bytes
from enlarge.media.metadata import Keep, profile_fits
from enlarge.media.parts import parts_bytes
from enlarge.media.reading import Buffering, Facts, Picture, open_picture
from enlarge.media.rows import ArrayRows, CropRows, Rows, prefetched
from enlarge.media.writing import (
    PictureSpec,
    WriteOptions,
    check_output,
    create_picture,
    estimate_bytes,
    format_of,
)
from enlarge.memory import default_budget, format_size, parse_size, peak, resident
from enlarge.picture import EnlargedRows, Spread, Stages, Watcher
from enlarge.resuming import (
    can_resume,
    facts_of_bands,
    resumable,
    source_digest,
    tiles_before,
)
from enlarge.tiling import Plan
from enlarge.weights.card import Card
from enlarge.weights.catalog import DEFAULT, Weights, find_weights, list_weights

if TYPE_CHECKING:
    from PIL import Image as Pillow

MOST = 16
RESUMABLE = 100_000_000
"""Pixels of a result from which on its finished bands are kept while it is made: `fast` on two
cores takes half a minute for so many, the larger networks half an hour."""
_READ_AHEAD = 64
_BOUNDLESS = 1 << 62


@dataclass(frozen=True)
class Done:
    """What became of one file: where it lies, its size in pixels, how it was made, the seconds by
    stage (decode, compile, compute, encode), the process's peak memory in bytes (0: unknown),
    what the target could not hold, and the device that computed.
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


def target_size(
    width: int,
    height: int,
    *,
    scale: float | None,
    to_width: int | None,
    to_height: int | None,
    factor: int,
) -> tuple[int, int]:
    """The output's size: by scale (default: the model's `factor`), or by width and/or height.

    One of width and height alone keeps the shape. Raises `OptionError` outside 1 to 16.
    """
    if scale is not None and (to_width is not None or to_height is not None):
        given = "--width" if to_width is not None else "--height"
        raise OptionError(f"--scale and {given} contradict each other; give one of them")
    if to_width is not None or to_height is not None:
        if to_width is None:
            assert to_height is not None
            to_width = max(1, round(width * to_height / height))
        if to_height is None:
            to_height = max(1, round(height * to_width / width))
        target = (to_width, to_height)
    else:
        scale = factor if scale is None else scale
        if not 1 <= scale <= MOST:
            raise OptionError(f"scale must lie between 1 and {MOST}, got {scale:g}")
        target = (int(width * scale + 0.5), int(height * scale + 0.5))
    if not (width <= target[0] <= MOST * width and height <= target[1] <= MOST * height):
        raise OptionError(
            f"the result must be 1 to {MOST} times as large as the {width}×{height} input, "
            f"got {target[0]}×{target[1]}"
        )
    return target


@dataclass(frozen=True)
class Forecast:
    """What the header of a picture tells of its enlargement: the result's size in pixels, about the
    most bytes of its file, those of a temporary file (0 where the picture is read in order), and
    those of the bands that are kept while it is made (0 where it is too small for that).
    """

    width: int
    height: int
    file_bytes: int
    scratch_bytes: int
    parts_bytes: int = 0


def forecast(
    facts: Facts,
    kind: str,
    *,
    factor: int,
    scale: float | None = None,
    width: int | None = None,
    height: int | None = None,
    crop: tuple[int, int, int, int] | None = None,
    pyramid: bool = False,
    resume: bool = True,
) -> Forecast:
    """Reckon with a picture's enlargement into a file of format `kind`, before any work.

    `factor`: the model's own. `resume`: see `Upscaler.upscale_file`. Raises `OptionError` for a
    crop or a size that cannot be, and `OutputError` where the format cannot hold the result.
    """
    x, y, wide, high = crop or (0, 0, facts.width, facts.height)
    if min(x, y) < 0 or min(wide, high) < 1 or x + wide > facts.width or y + high > facts.height:
        raise OptionError(
            f"--crop {x},{y},{wide},{high} is not inside {facts.width}×{facts.height}"
        )
    size = target_size(wide, high, scale=scale, to_width=width, to_height=height, factor=factor)
    check_output(kind, *size)
    file_bytes = estimate_bytes(kind, *size, facts.channels, facts.dtype.itemsize, pyramid=pyramid)
    pixels = size[0] * size[1]
    kept = pixels * facts.channels * facts.dtype.itemsize if pixels >= RESUMABLE and resume else 0
    return Forecast(*size, file_bytes, facts.disk_bytes, kept)


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
                f"{folders[device]}: the disk is too small: {format_size(size)} may be needed, "
                f"{format_size(free)} are free; free some space, or choose another place"
                + (", or give --no-resume, which keeps no finished bands" if bands else "")
            )


def _tile_side(tile: int | str) -> int | None:
    if tile == "auto":
        return None
    try:
        side = int(tile)
    except ValueError:
        raise OptionError(f"tile must be auto or a side in input pixels, got {tile!r}") from None
    if side < 1:
        raise OptionError(f"tile must be a positive number of input pixels, got {side}")
    return side


class Upscaler:
    """A model, opened. Engines are made when first needed, and kept, with the last networks that
    they compiled, so that a next picture of that size begins at once. Threads may share it.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        threads: int = 0,
    ) -> None:
        self.card: Card = weights.card
        self._path = weights.path
        self._wish: dict[str, Any] = {
            "engine": engine, "device": device, "precision": precision, "threads": threads,
        }  # fmt: skip
        self._engines: dict[bool, Engine] = {}
        self._lock = threading.Lock()

    def engine(self, dtype: np.dtype[Any]) -> Engine:
        """What runs pictures of that dtype: only where the precision is auto may it be another for
        16 bits and floats. Raises `EngineError` or `OptionError`.
        """
        deep = dtype != np.uint8 and self._wish["precision"] == "auto"
        with self._lock:
            if deep not in self._engines:
                wish = self._wish | {"deep": deep}
                self._engines[deep] = pick_engine(self._path, self.card, **wish)
            return self._engines[deep]

    def _card_on(self, engine: Engine) -> Card:
        """The card with the working sets of this engine."""
        sets = {side: round(size * engine.memory_factor) for side, size in self.card.tiles.items()}
        return replace(self.card, tiles=sets)

    def upscale(
        self,
        image: Any,
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        crop: tuple[int, int, int, int] | None = None,
        tile: int | str = "auto",
        memory: int | str | None = None,
        exact: bool = False,
        ensemble: bool = False,
        progress: Watcher | None = None,
        cancel: threading.Event | None = None,
    ) -> Any:
        """Enlarge an array, a Pillow image or the picture at a path.

        Arrays are H×W, H×W×3 or H×W×4 (also H×W×1 and H×W×2), RGB order, straight alpha, uint8,
        uint16 or float32 in [0, 1]; an array of the same dtype and channels comes back. A Pillow
        image gives a Pillow image of the same mode where it is L, LA, RGB, RGBA or I;16 (others
        come back as RGB or RGBA; CMYK goes through its profile). A path gives an array.
        `ensemble`: the mean over the eight flips and rotations, eight times slower. Raises
        `EnlargeError`s.
        """
        options: dict[str, Any] = {
            "scale": scale, "width": width, "height": height, "crop": crop, "tile": tile,
            "memory": memory, "exact": exact, "ensemble": ensemble, "progress": progress,
            "cancel": cancel,
        }  # fmt: skip
        if isinstance(image, str | Path):
            with open_picture(Path(image), memory=_budget(memory) // 4) as picture:
                held = _held_by_reading(picture)
                _refuse_decoding(picture, _budget(memory))
                return self._to_array(picture.rows(), held=held, **options)
        if isinstance(image, np.ndarray):
            if np.issubdtype(image.dtype, np.floating):
                _refuse_values(image)
            if not image.dtype.isnative:
                image = image.astype(image.dtype.newbyteorder("="))
            try:
                rows = ArrayRows(image)
            except ValueError as error:
                raise InputError(str(error)) from error
            large = self._to_array(rows, **options)
            return large[:, :, 0] if image.ndim == 2 else large
        if hasattr(image, "getbands"):
            return self._upscale_pillow(image, options)
        raise InputError(
            f"expected a numpy array, a Pillow image or a path, got {type(image).__name__}"
        )

    def _upscale_pillow(self, image: Pillow.Image, options: dict[str, Any]) -> Pillow.Image:
        from PIL import Image

        if image.mode in ("I", "F"):
            raise InputError(
                f"a Pillow image of mode {image.mode} does not say its range; give its pixels as a "
                "uint16 array, or as float32 in [0, 1]"
            )
        has_alpha = "transparency" in image.info or image.mode in ("PA", "La", "RGBa")
        kept = image.mode.startswith("I;16") or image.mode in ("L", "LA", "RGB", "RGBA")
        # What Pillow's own methods keep, and save again.
        info: dict[Any, Any]
        info = {key: image.info[key] for key in ("icc_profile", "exif") if image.info.get(key)}
        if image.mode == "CMYK" and "icc_profile" in info:
            image = _through_profile(image, info.pop("icc_profile"))
        if has_alpha or not kept:
            image = image.convert("RGBA" if has_alpha else "RGB")
        if not profile_fits(info.get("icc_profile", b""), len(image.getbands())):
            info.pop("icc_profile", None)
        result = Image.fromarray(self.upscale(np.asarray(image), **options))
        result.info |= info
        return result

    def _to_array(self, rows: Rows, held: int = 0, **options: Any) -> NDArray[Any]:
        crop = options.pop("crop")
        memory = _budget(options.pop("memory"))
        rows = self._prepared(rows, crop)
        target = target_size(
            rows.width,
            rows.height,
            scale=options.pop("scale"),
            to_width=options.pop("width"),
            to_height=options.pop("height"),
            factor=self.card.scale,
        )
        sample = rows.channels * rows.dtype.itemsize
        reading = held + (rows.width * rows.height + target[0] * target[1]) * sample
        try:
            result = np.empty((target[1], target[0], rows.channels), rows.dtype)
        except MemoryError:
            raise BudgetError(
                f"the result, {target[0]:,}×{target[1]:,} pixels, takes "
                f"{format_size(target[0] * target[1] * sample)}, which this machine does not have; "
                "write it into a file (output=), or choose a smaller scale"
            ) from None
        options |= {"memory": memory, "reading": reading, "into": result}
        large, _ = self._enlarged(rows, target, **options)
        for _ in large.bands():
            pass
        return result

    def _prepared(self, rows: Rows, crop: tuple[int, int, int, int] | None) -> Rows:
        if crop is not None:
            if len(crop) != 4:
                raise OptionError(f"crop is (x, y, width, height), got {crop}")
            try:
                rows = CropRows(rows, *crop)
            except ValueError as error:
                raise OptionError(f"--crop: {error}") from error
        return FillTransparent(rows) if rows.channels in (2, 4) else rows

    def _enlarged(
        self,
        rows: Rows,
        target: tuple[int, int],
        *,
        memory: int,
        reading: int,
        tile: int | str,
        exact: bool,
        ensemble: bool,
        progress: Watcher | None,
        cancel: threading.Event | None,
        stages: Stages | None = None,
        into: NDArray[Any] | None = None,
        spread: Spread | None = None,
        before: Sequence[tuple[int, int]] = (),
    ) -> tuple[EnlargedRows, list[Plan]]:
        engine = self.engine(rows.dtype)
        sizes = (rows.width, rows.height, *target)
        first = Pass(*sizes, rows.channels, rows.dtype.itemsize, ensemble)
        passes = chain(first, self.card.scale)
        below = None
        while True:
            make = partial(
                plan_passes,
                passes,
                self._card_on(engine),
                tile=_tile_side(tile),
                exact=exact,
                below=below,
                reading=reading,
                before=before if below is None else (),
            )
            plans = _planned(make, memory, engine)
            large = rows
            try:
                for step, plan in zip(passes, plans, strict=True):
                    large = EnlargedRows(
                        large,
                        step.target_width,
                        step.target_height,
                        engine=engine,
                        scale=self.card.scale,
                        plan=plan,
                        stages=stages,
                        watch=progress,
                        cancel=cancel,
                        last=step is passes[-1],
                        into=into if step is passes[-1] else None,
                        feathered=self.card.margin is None,
                        ensemble=ensemble,
                        spread=spread,
                    )
                    large.prepare()
            except EngineMemoryError:  # the next rung down; nothing was read or written yet
                largest = max(max(plan.tile_width, plan.tile_height) for plan in plans)
                if below is not None and largest >= below:
                    raise  # no rung leaves anything of this network: there is no smaller plan
                below = largest
            else:
                return cast(EnlargedRows, large), plans

    @property
    def path(self) -> Path:
        """The model's file."""
        return self._path

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the model's file, in hexadecimal digits."""
        return file_digest(self._path)

    def need(
        self,
        facts: Facts,
        outlook: Forecast,
        kind: str,
        *,
        crop: tuple[int, int, int, int] | None = None,
        tile: int | str = "auto",
        exact: bool = False,
        ensemble: bool = False,
    ) -> int:
        """Bytes that a picture takes while it is enlarged in the tiles that suit it best.

        Raises `OptionError` for a tile that cannot be.
        """
        width, height = crop[2:] if crop else (facts.width, facts.height)
        sizes = (width, height, outlook.width, outlook.height)
        first = Pass(*sizes, facts.channels, facts.dtype.itemsize, ensemble)
        reading = 0 if facts.in_order else facts.memory_bytes
        reading += encoder_bytes(
            kind, outlook.width, outlook.height, facts.channels, facts.dtype.itemsize
        )
        passes = chain(first, self.card.scale)
        card = self._card_on(self.engine(facts.dtype))
        return reading + best_bytes(passes, card, tile=_tile_side(tile), exact=exact)

    def _provenance(
        self,
        rows: Rows,
        size: tuple[int, int],
        plan: Plan,
        crop: tuple[int, int, int, int] | None,
        exact: bool,
        ensemble: bool,
    ) -> dict[str, str]:
        """How a result of `size` is made of `rows`: what its file says of that."""
        engine = self.engine(rows.dtype)
        across, down = _ratio(rows.width, size[0]), _ratio(rows.height, size[1])
        facts = {
            "version": __version__,
            "model": self.card.name,
            "weights": self.digest[:16],
            "scale": across if across == down else f"{across}x{down}",
            "engine": engine.name,
            "precision": engine.precision,
            "tile": f"{plan.tile_width}x{plan.tile_height}",
        }
        if crop:
            facts["crop"] = ",".join(map(str, crop))
        if exact:
            facts["exact"] = "yes"
        if ensemble:
            facts["ensemble"] = "yes"
        if self.card.strength is not None:
            facts["strength"] = str(self.card.strength)
        return facts

    def _about_bands(
        self,
        rows: Rows,
        size: tuple[int, int],
        crop: tuple[int, int, int, int] | None,
        tile: int | str,
        exact: bool,
        ensemble: bool,
    ) -> dict[str, Any]:
        """What decides about the bands of a result, beside its input and the plan."""
        engine = self.engine(rows.dtype)
        return {
            "version": __version__,
            "model": self.digest,
            "engine": f"{engine.name} {engine.device} {engine.precision}",
            "result": f"{size[0]}x{size[1]}x{rows.channels} {rows.dtype}",
            "crop": crop,
            "tile": str(tile),
            "exact": exact,
            "ensemble": ensemble,
        }

    def upscale_file(
        self,
        source: str | Path | bytes | BinaryIO,
        target: str | Path | BinaryIO,
        *,
        scale: float | None = None,
        width: int | None = None,
        height: int | None = None,
        crop: tuple[int, int, int, int] | None = None,
        format: str | None = None,  # noqa: A002 - the option's name everywhere
        quality: int | None = None,
        metadata: Keep = "keep",
        pyramid: bool = False,
        tile: int | str = "auto",
        memory: int | str | None = None,
        exact: bool = False,
        ensemble: bool = False,
        overwrite: bool = False,
        provenance: bool = True,
        resume: bool = True,
        digest: str | None = None,
        progress: Watcher | None = None,
        cancel: threading.Event | None = None,
        seal: Callable[[BinaryIO], None] | None = None,
        spread: Spread | None = None,
    ) -> Done:
        """Enlarge a picture file (or its bytes, or a stream) into a file (or a stream).

        The format is `format`, or the target's extension, or PNG. Everything that can be known
        beforehand is checked before any work; the target appears only when it is complete.
        `pyramid`: as a tiled TIFF with smaller copies. `provenance`: the result says how it was
        made. `resume`: of a result of at least `RESUMABLE` pixels the finished bands are kept in
        `TARGET.parts/` until it is complete; a run that was interrupted, killed or cancelled leaves
        them, and the next one goes on there. (Not of a stream, unless `digest` tells it: what
        identifies the source's content; default: the SHA-256 of the file.) `seal` is given the
        whole file before it appears; what it raises prevents that. `spread`: what computes rows of
        tiles elsewhere; the result is the same. Raises `EnlargeError`s.
        """
        begun = time.perf_counter()
        stages = Stages()
        budget = _budget(memory)
        if isinstance(target, str):
            target = Path(target)
        if isinstance(source, str):
            source = Path(source)
        kind = output_format(target if isinstance(target, Path) else None, format)
        if isinstance(target, Path) and target.exists():
            if isinstance(source, Path) and source.exists() and target.samefile(source):
                raise OutputError(f"the output {target} is the input; name another place")
            if not overwrite:
                raise OutputError(
                    f"{target} exists; --overwrite replaces it, -o names another place"
                )
        with open_picture(source, memory=budget // 4) as picture:
            facts = picture.facts
            plan = forecast(
                facts,
                kind,
                factor=self.card.scale,
                scale=scale,
                width=width,
                height=height,
                crop=crop,
                pyramid=pyramid,
                resume=resume and can_resume(source, target, digest),
            )
            size = (plan.width, plan.height)
            scratch = plan.scratch_bytes if picture.buffering() is Buffering.FILE else 0
            needs = [(Path(tempfile.gettempdir()), scratch)]
            kept: list[tuple[Path, int]] = []
            if isinstance(target, Path):
                needs.append((target.parent, plan.file_bytes))
                if plan.parts_bytes:
                    bands_needed = max(plan.parts_bytes - parts_bytes(target), 0)
                    kept = [(target.parent, bands_needed)]
            check_disk(needs, kept)
            _refuse_decoding(picture, budget)
            rows = self._prepared(prefetched(picture.rows(), _READ_AHEAD), crop)
            try:
                about = None
                if plan.parts_bytes:
                    about = self._about_bands(rows, size, crop, tile, exact, ensemble)
                    about["input"] = digest or source_digest(source)
                large, plans = self._enlarged(
                    rows,
                    size,
                    before=tiles_before(target, about) if about else (),
                    memory=budget,
                    reading=_held_by_reading(picture)
                    + encoder_bytes(
                        kind, *size, facts.channels, facts.dtype.itemsize, pyramid=pyramid
                    ),
                    tile=tile,
                    exact=exact,
                    ensemble=ensemble,
                    progress=progress,
                    cancel=cancel,
                    stages=stages,
                    spread=spread,
                )
                kept_facts = None
                if about is not None and len(plans[-1].rows) > 1:
                    kept_facts = facts_of_bands(about, plans)
                with (
                    resumable(large, source, target, kept_facts) as bands,
                    create_picture(
                        target,
                        PictureSpec(*size, large.channels, large.dtype),
                        WriteOptions(kind, quality, metadata, pyramid),
                        metadata=picture.metadata,
                        provenance=self._provenance(rows, size, plans[-1], crop, exact, ensemble)
                        if provenance
                        else None,
                    ) as sink,
                ):
                    for band in bands:
                        with stages.timed("encode"):
                            sink.write(band, copy=False)
                    with stages.timed("encode"):
                        sink.finish(bands.sealing(seal))
            finally:
                rows.close()
        engine = self.engine(large.dtype)
        return Done(
            output=str(target) if isinstance(target, Path) else "-",
            width=size[0],
            height=size[1],
            model=self.card.name,
            engine=engine.name,
            precision=engine.precision,
            tile=(plans[-1].tile_width, plans[-1].tile_height),
            tiles=sum(len(plan) for plan in plans),
            seconds=time.perf_counter() - begun,
            stages=dict(stages),
            peak_memory=peak(),
            notes=(*facts.notes, *bands.notes, *sink.notes),
            device=engine.device,
        )


def _planned(plan: Callable[..., list[Plan]], budget: int, engine: Engine) -> list[Plan]:
    """The plan within the budget. What the engine keeps of earlier pictures is given up where it
    would change the plan: a picture gives the same bytes alone and in a batch.
    """
    try:
        plans = plan(budget=budget)
        if plans == plan(budget=_BOUNDLESS) or not engine.forget():
            return plans
    except BudgetError:
        if not engine.forget():
            raise
    return plan(budget=budget)


def _refuse_values(image: NDArray[Any]) -> None:
    """Raise `InputError` where floats cannot be meant as [0, 1]. What is a little beyond is not
    refused: filters ring.
    """
    if not np.isfinite(image).all():
        raise InputError("expected finite values in [0, 1], got NaN or infinity")
    if image.size and image.max() > 2:
        raise InputError(
            f"expected values in [0, 1], got up to {image.max():g}; divide them by what white is "
            "(255, 65535), or give uint8 or uint16"
        )


def _through_profile(image: Pillow.Image, icc: bytes) -> Pillow.Image:
    """A CMYK picture in sRGB by its own profile, as a file's is; by Pillow's formula where the
    profile is damaged.
    """
    from PIL import ImageCms

    try:
        converted = ImageCms.profileToProfile(
            image, io.BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:
        return image.convert("RGB")
    assert converted is not None
    return converted


def _ratio(size: int, target: int) -> str:
    return f"{target / size:.6g}"


def output_format(target: Path | None, wish: str | None) -> str:
    """The format of an output: the wish, else the target's extension, else PNG."""
    if wish:
        return format_of(wish if wish.startswith(".") else f".{wish}")
    return format_of(target.suffix) if target is not None and target.suffix else "png"


def _held_by_reading(picture: Picture) -> int:
    """Bytes that the open picture holds: nothing to speak of where it is streamed."""
    facts = picture.facts
    match picture.buffering():
        case Buffering.NONE:
            return 0
        case Buffering.MEMORY:
            return facts.memory_bytes
        case Buffering.FILE:
            return facts.decode_bytes


def _refuse_decoding(picture: Picture, budget: int) -> None:
    """Raise `BudgetError` where the decoder alone takes more than there is, before it begins."""
    if picture.buffering() is Buffering.NONE:
        return
    facts = picture.facts
    if facts.decode_bytes > budget * USABLE:
        least = int((facts.decode_bytes + resident()) / USABLE)
        raise BudgetError(
            f"a memory budget of {format_size(budget)} is too small for this picture: decoding "
            f"{facts.width:,}×{facts.height:,} pixels of {facts.format.upper()}, which come all at "
            f"once, takes {format_size(facts.decode_bytes)}; give it {format_size(least)} or more"
        )


def _budget(memory: int | str | None) -> int:
    if memory is None:
        return default_budget()
    return parse_size(memory) if isinstance(memory, str) else memory


def open_model(
    name_or_path: str | Path = DEFAULT,
    *,
    strength: float | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
) -> Upscaler:
    """Open a model by its name (`models()` lists them) or by the path of its file.

    `engine`: auto, openvino, onnxruntime or torch; `device`: auto, cpu, cuda:0, mps; `precision`:
    auto, f32, bf16, f16 or int8. auto picks what is fastest here and safe for the model. `threads`
    0: all cores. `strength`, 0 to 1, of the models `photo` and `photo-sharp`: their mixture, where
    0 is the first itself and 1 the second. Raises `WeightsError`, or `OptionError` for a strength
    that cannot be; the first picture may raise `EngineError` or `OptionError`.
    """
    weights = find_weights(name_or_path, strength=strength)
    return Upscaler(weights, engine=engine, device=device, precision=precision, threads=threads)


def upscale(
    image: Any,
    *,
    scale: float | None = None,
    model: str | Path | None = None,
    strength: float | None = None,
    output: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    **options: Any,
) -> Any:
    """Enlarge a picture: array → array, Pillow → Pillow, path → array, or the written path when
    `output` names one.

    >>> large = enlarge.upscale(pixels, scale=4)              # H×W×3 uint8 → 4H×4W×3 uint8
    >>> enlarge.upscale("photo.jpg", output="large.png")      # → PosixPath('large.png')

    `model`: its name or file (default: `fast`). `strength`: see `open_model`. The other options are
    those of `Upscaler.upscale` and, with `output`, of `Upscaler.upscale_file`.
    """
    weights = find_weights(model or DEFAULT, scale, strength=strength)
    upscaler = Upscaler(weights, engine=engine, device=device, precision=precision, threads=threads)
    if output is None:
        return upscaler.upscale(image, scale=scale, **options)
    if not isinstance(image, str | Path):
        raise OptionError(f"output= needs a path as input, got {type(image).__name__}")
    upscaler.upscale_file(image, output, scale=scale, **options)
    return Path(output)


def models() -> list[Card]:
    """The cards of the models that can be called by name."""
    return [weights.card for weights in list_weights()]
