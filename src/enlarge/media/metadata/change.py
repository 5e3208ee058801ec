"""What became of a picture between its file and the result, as far as metadata depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A result of `width` × `height` pixels, as they are stored.

    `part`: width and height of the area of the upright source that was enlarged; None: the same as
    the result. `corner`: where in the source that area begins. `cropped`: whether it is less than
    the whole picture. `turned`: whether the source was stored in another orientation.
    `orientation`: in which the result is stored, 1 to 8. `media_type`: the MIME type of its file;
    None: not known.
    """

    width: int
    height: int
    part: tuple[int, int] | None = None
    corner: tuple[int, int] = (0, 0)
    cropped: bool = False
    turned: bool = False
    orientation: int = 1
    media_type: str | None = None

    @classmethod
    def of_crop(
        cls,
        size: tuple[int, int],
        whole: tuple[int, int],
        crop: Sequence[int] | None,
        *,
        turned: bool = False,
        orientation: int = 1,
    ) -> Change:
        """The change to a result of `size` (width, height) from the area `crop` (x, y, width,
        height; None: all) of a source of the size `whole`.
        """
        x, y, width, height = crop or (0, 0, *whole)
        return cls(
            *size,
            part=(width, height),
            corner=(x, y),
            cropped=(x, y, width, height) != (0, 0, *whole),
            turned=turned,
            orientation=orientation,
        )

    @property
    def across(self) -> float:
        """The factor of the widths."""
        return self.width / self.part[0] if self.part else 1.0

    @property
    def down(self) -> float:
        """The factor of the heights."""
        return self.height / self.part[1] if self.part else 1.0

    @property
    def moved(self) -> bool:
        """Whether positions within the source are no longer those in the result times a factor."""
        return self.cropped or self.turned
