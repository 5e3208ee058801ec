"""Chains of FFmpeg's filters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from enlarge.video.missing import check_av

if TYPE_CHECKING:
    from av import VideoFrame


class Chain:
    """Filters in a row, each a name with its arguments, for frames like `model`."""

    def __init__(self, model: VideoFrame, filters: Sequence[tuple[str, str]]) -> None:
        self._av = check_av()
        from av.filter import Graph

        base = model.time_base or Fraction(1, 25)
        self._graph = Graph()
        self._graph.threads = 1  # the same result everywhere, and cores are busy anyway
        last = self._graph.add(
            "buffer",
            f"video_size={model.width}x{model.height}:pix_fmt={model.format.name}"
            + f":time_base={base.numerator}/{base.denominator}"
            + f":colorspace={int(model.colorspace)}:range={int(model.color_range)}",
        )
        for name, arguments in (*filters, ("buffersink", "")):
            context = self._graph.add(name, arguments or None)
            last.link_to(context)
            last = context
        self._graph.configure()

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """What comes out once a frame has gone in; after None, all that is left."""
        self._graph.vpush(frame)
        while True:
            try:
                yield self._graph.vpull()
            except (self._av.error.BlockingIOError, self._av.error.EOFError):
                return
