"""A fused picture's file, with its provenance."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from enlarge.fusing.result import FusedPicture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture


def write_fused(
    made: FusedPicture,
    target: Path | BinaryIO,
    options: WriteOptions,
    *,
    provenance: bool = True,
    overwrite: bool = True,
) -> None:
    """Write the picture; its file records how it was made, unless `provenance` is off. Raises
    `OptionError` or `OutputError`.
    """
    height, width = made.picture.shape[:2]
    with create_picture(
        target,
        PictureSpec(width, height, 3, made.picture.dtype),
        options,
        provenance=made.report.facts() if provenance else None,
    ) as sink:
        sink.write(made.picture)
        sink.finish(overwrite=overwrite)
