"""What a video is, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from enlarge.video.muxing import stream_name
from enlarge.video.probing import opened, probe

_MATRICES = {0: "RGB", 1: "BT.709", 4: "FCC", 5: "BT.601", 6: "BT.601", 7: "SMPTE 240M"}
_MATRICES |= {9: "BT.2020", 10: "BT.2020"}
_TRANSFERS = {16: "PQ", 18: "HLG"}


def describe_video(path: Path) -> dict[str, Any]:
    """What `enlarge inspect` prints about a video. Raises `InputError` as `probe` does."""
    facts = probe(path)
    colour, assumed = facts.colour, ", ".join(facts.colour.assumed)
    with opened(path) as (container, pictures):
        others = [stream_name(one) for one in container.streams if one.index != pictures.index]
    words = [_MATRICES[colour.matrix], _TRANSFERS.get(colour.transfer)]
    words += ["full range" if colour.full_range else "limited range"]
    return {
        "format": facts.format,
        "container": facts.container,
        "codec": facts.codec,
        "width": facts.width,
        "height": facts.height,
        "frames": facts.frames,
        "seconds": round(facts.seconds, 3),
        "rate": round(float(facts.rate), 3),
        "depth": facts.depth,
        "chroma": facts.chroma,
        "colour": ", ".join(word for word in words if word),
        "assumed": assumed or None,
        "pixel_aspect": None if facts.aspect == 1 else str(facts.aspect),
        "rotation": facts.rotation or None,
        "mirrored": facts.is_flipped or None,
        "interlaced": facts.is_interlaced,
        "streams": others,
        "made": facts.made,
        "notes": list(facts.lost),
    }
