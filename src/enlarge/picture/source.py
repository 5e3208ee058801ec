"""The rows of what is enlarged: a part of a picture, with colours under transparent pixels."""

from __future__ import annotations

from enlarge.errors import OptionError
from enlarge.media.alpha import FillTransparent
from enlarge.media.rows import CropRows, Rows
from enlarge.settings import Settings


def prepare_rows(rows: Rows, settings: Settings) -> Rows:
    """The part of a picture that is enlarged, with colours under transparent pixels filled in.

    Raises `OptionError` where the crop is not inside the picture.
    """
    if settings.crop is not None:
        try:
            rows = CropRows(rows, *settings.crop)
        except ValueError as error:
            raise OptionError(f"--crop: {error}") from error
    return FillTransparent(rows) if rows.channels in (2, 4) else rows
