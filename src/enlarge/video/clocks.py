"""The times of streams that are copied: they have to rise in every one of them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from enlarge.video.probing import as_fraction
from enlarge.video.reading import JUMP

if TYPE_CHECKING:
    from av.packet import Packet

_JUMP_IN_PACKETS = 2
"""Durations of a packet that the next one's time lies before its own where a recording begins."""
_JUMP_IN_SECONDS = Fraction(1, 20)
"""And seconds that it does at least: some streams are not quite in order."""


class Clock:
    """Corrects the times of one stream's packets. `jumps`: as `FrameReader` found them, by which a
    stream is moved where its own times begin again, so that it stays with the pictures. Where the
    pictures go on and a stream begins again, it is moved behind itself; subtitles are not, which
    may overlap.
    """

    def __init__(self, jumps: Sequence[Fraction]) -> None:
        self._jumps, self._count = jumps, 0
        self._moved = Fraction(0)
        self._given: tuple[Fraction, Fraction] | None = None  # when the last packet begins and ends
        self._last: int | None = None

    def move(self, packet: Packet[Any]) -> None:
        """Move a packet to where it belongs after a jump."""
        at = packet.dts if packet.dts is not None else packet.pts
        if at is None:
            return
        base = as_fraction(packet.time_base)
        time = at * base
        length = (packet.duration or 0) * base
        if self._given is not None:
            begin, end = self._given
            if self._count < len(self._jumps):
                if begin - time > max(_JUMP_IN_PACKETS * length, _JUMP_IN_SECONDS):
                    self._moved = self._jumps[self._count]
                    self._count += 1
            elif begin - time > JUMP and packet.stream.type != "subtitle":
                self._moved += end - time
        self._given = time, time + length
        _shift(packet, round(self._moved / base))

    def steady(self, packet: Packet[Any], base: Fraction) -> None:
        """Put a packet behind the last one where it is not, as damaged files have it; the muxers
        refuse it. `base`: seconds of a tick of the container.
        """
        if packet.dts is None or packet.stream.type not in ("audio", "video"):
            return
        step = max(1, -(-base // as_fraction(packet.time_base)))
        if self._last is not None and packet.dts < self._last + step:
            packet.dts = self._last + step
            if packet.pts is not None:
                packet.pts = max(packet.pts, packet.dts)
        self._last = packet.dts


def _shift(packet: Packet[Any], ticks: int) -> None:
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks
