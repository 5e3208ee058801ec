"""Arrays and Pillow images: enlarged in memory, and given back as what they were."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from enlarge.errors import BudgetError, InputError, OptionError
from enlarge.media.floats import check_range
from enlarge.media.metadata.change import Change
from enlarge.media.metadata.exif import adapt_exif, orientation_of
from enlarge.media.metadata.prefixes import without_prefix
from enlarge.media.reading import Facts, open_picture
from enlarge.media.rows import ArrayRows, Rows
from enlarge.memory import format_size
from enlarge.picture.background import prepare_later
from enlarge.picture.choosing import chosen
from enlarge.picture.hooks import Hooks
from enlarge.picture.model import OpenModel
from enlarge.picture.outlook import decoder_bytes, plan_array, plan_picture
from enlarge.picture.pillow_images import ImagePixels, from_pillow, to_pillow
from enlarge.picture.run import NO_HOOKS, enlarge_rows
from enlarge.picture.source import prepare_rows
from enlarge.settings import Settings

if TYPE_CHECKING:
    from PIL import Image as Pillow


def enlarge_image(image: Any, settings: Settings, model: OpenModel, hooks: Hooks = NO_HOOKS) -> Any:
    """An array, a Pillow image, or the picture at a path (which gives an array), enlarged.

    See `Upscaler.upscale`. Raises `EnlargeError`s.
    """
    if isinstance(image, str | Path):
        return _enlarge_path(Path(image), settings, model, hooks)
    if settings.page is not None:
        raise OptionError(
            f"--page needs a picture file, got {type(image).__name__}; choose the frame of a "
            "Pillow image with its seek()"
        )
    if isinstance(image, np.ndarray):
        return _enlarge_array(image, settings, model, hooks)
    if hasattr(image, "getbands"):
        return _enlarge_pillow(image, settings, model, hooks)
    raise InputError(
        f"expected a numpy array, a Pillow image or a path, got {type(image).__name__}"
    )


def _enlarge_path(path: Path, settings: Settings, model: OpenModel, hooks: Hooks) -> NDArray[Any]:
    page, salvage = settings.single_page, settings.salvage
    with open_picture(path, page=page, memory=settings.budget // 4, salvage=salvage) as picture:
        plan_picture(picture.facts, settings, model).check_decoder()
        return _to_array(picture.rows(), settings, model, hooks, facts=picture.facts)


def _enlarge_array(
    image: NDArray[Any], settings: Settings, model: OpenModel, hooks: Hooks
) -> NDArray[Any]:
    if np.issubdtype(image.dtype, np.floating):
        check_range(image, otherwise="pass uint8 or uint16")
    if not image.dtype.isnative:
        image = image.astype(image.dtype.newbyteorder("="))
    try:
        rows = ArrayRows(image)
    except ValueError as error:
        raise InputError(str(error)) from error
    large = _to_array(rows, settings, model, hooks)
    return large[:, :, 0] if image.ndim == 2 else large


def _to_array(
    rows: Rows, settings: Settings, model: OpenModel, hooks: Hooks, facts: Facts | None = None
) -> NDArray[Any]:
    """The whole result, (height, width, channels). `facts`: of the file, if there is one."""
    rows = prepare_rows(rows, settings)
    buffers = 0 if facts is None else decoder_bytes(facts, settings)
    outlook = plan_array(rows, settings, model, buffers=buffers)
    choice = chosen(rows, outlook, quality=None if facts is None else facts.quality)
    rows, outlook = choice.rows, choice.outlook
    width, height = outlook.width, outlook.height
    try:
        result = np.empty((height, width, rows.channels), rows.dtype)
    except MemoryError:
        size = width * height * rows.channels * rows.dtype.itemsize
        raise BudgetError(
            f"the result, {width:,}×{height:,} pixels, takes {format_size(size)}, more than "
            "this machine has; write it to a file (output=), or choose a smaller scale"
        ) from None
    large, _ = enlarge_rows(rows, outlook, hooks, into=result)
    for _ in large.bands():
        pass
    prepare_later(outlook)
    return result


def _enlarge_pillow(
    image: Pillow.Image, settings: Settings, model: OpenModel, hooks: Hooks
) -> Pillow.Image:
    given = from_pillow(image)
    large = _enlarge_array(given.pixels, settings, model, hooks)
    return to_pillow(large, replace(given, info=_adapted_info(given, large, settings)))


def _adapted_info(given: ImagePixels, large: NDArray[Any], settings: Settings) -> dict[Any, Any]:
    """What the result keeps of an image's own, with EXIF that is true for it. The pixels are not
    turned, so that the orientation stays.
    """
    info = dict(given.info)
    block = info.pop("exif", None)
    if not block:
        return info
    bare = without_prefix(block)
    height, width = given.pixels.shape[:2]
    change = Change.of_crop(
        (large.shape[1], large.shape[0]),
        (width, height),
        settings.crop,
        orientation=orientation_of(bare),
    )
    with suppress(ValueError):  # what is damaged is left out
        info["exif"] = block[: len(block) - len(bare)] + adapt_exif(bare, change)
    return info
