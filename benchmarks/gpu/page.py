"""The page about a run: docs/gpu.md, from what the parts wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import DOCS, RESULTS, measured_at

Found = dict[str, Any]
TIMED_OUT = ("124", "137")


def gathered(folder: Path, parts: Sequence[str], *, small: bool) -> Found:
    """Everything that the parts wrote into the folder, and how each ended."""
    result: Found = {"rehearsal": small, "parts": {}, "ended": {}}
    for part in parts:
        path = folder / f"{part}.json"
        if path.is_file():
            result["parts"][part] = json.loads(path.read_text(encoding="utf-8"))
    status = folder / "status.tsv"
    for line in status.read_text(encoding="utf-8").splitlines() if status.is_file() else ():
        part, code, seconds = line.split("\t")
        result["ended"][part] = {"status": code, "seconds": int(seconds)}
    return result


def publish(result: Found, folder: Path, *, into_docs: bool) -> None:
    """Write FOLDER/gpu.json and FOLDER/gpu.md; `into_docs`: also benchmarks/gpu.json and
    docs/gpu.md.
    """
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    for target in (folder, RESULTS) if into_docs else (folder,):
        (target / "gpu.json").write_text(text, encoding="utf-8")
    for target in (folder, DOCS) if into_docs else (folder,):
        (target / "gpu.md").write_text(page(result), encoding="utf-8")


def page(result: Found) -> str:
    """The results as a Markdown page."""
    lines = ["# How well does it run on a GPU?", ""]
    if result["rehearsal"]:
        lines += ["**A rehearsal: its numbers mean nothing.**", ""]
    lines += [*machine(result["parts"].get("about", {})), *problems(result)]
    for part, section in SECTIONS.items():
        found = result["parts"].get(part)
        if found is None:
            continue
        try:
            lines += section(found)
        except (KeyError, IndexError, TypeError, ZeroDivisionError):
            lines += [f"(`{part}` ended before it had all of its results.)", ""]
    return "\n".join(lines)


def machine(about: Found) -> list[str]:
    """What was measured, and on what."""
    if "commit" not in about:
        return ["The machine did not tell what it is.", ""]
    gpu = f"{about['gpu']}, {about['GiB']:.0f} GiB; " if "gpu" in about else ""
    cuda = f", CUDA {about['cuda']}, cuDNN {about['cudnn']}" if "cuda" in about else ""
    return [
        f"Written by `bash benchmarks/gpu.sh` on {measured_at(about)};",
        f"{gpu}torch {about['torch']}{cuda}; {about['machine']}.",
        "Megapixels (MP) are those of the result.",
        "",
    ]


def problems(result: Found) -> list[str]:
    """What failed, part by part; nothing if nothing did."""
    lines = []
    for part, ended in result["ended"].items():
        said = list(result["parts"].get(part, {}).get("failures", []))
        if ended["status"] in TIMED_OUT:
            said.append(f"stopped after {ended['seconds']} s, unfinished")
        elif ended["status"] != "0" and not said:
            said.append(f"ended with status {ended['status']}")
        lines += [f"- **{part}**: {text}" for text in said]
    return ["## What failed", "", *lines, ""] if lines else []


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], words: Sequence[int] = (0,)
) -> list[str]:
    """A Markdown table; the columns `words` hold text, the others numbers."""
    return [
        f"| {' | '.join(head)} |",
        f"|{'|'.join('---' if at in words else '--:' for at in range(len(head)))}|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def closeness(found: Found) -> list[str]:
    """The precisions."""
    rows = []
    for model, precisions in found["rows"].items():
        for precision, row in precisions.items():
            apart = (
                ["–", "–", f"{row['against OpenVINO']:.2f} (from OpenVINO's)"]
                if precision == "f32"
                else [f"{row['psnr']:.1f}", f"{row['share']:.4%}", f"{row['worst']:.1f}"]
            )
            scores = [f"{row['to the originals']:.3f}", f"{row['SSIM']:.4f}"]
            rows.append([f"{model} {precision}", *apart, *scores])
    return [
        "## How close are bf16 and f16 to f32?",
        "",
        f"Photographs ({found['photographs']}), downscaled by the model's factor. The first three",
        "columns compare with f32 on the same device, floats in and out (f32 itself with OpenVINO",
        "on the CPU); the last two are PSNR and SSIM to the originals, 8 bits in and out.",
        "",
        *table(
            ["model", "PSNR, dB", "within 3 levels", "largest, levels", "PSNR", "SSIM"],
            rows,
        ),
    ]


def network(found: Found) -> list[str]:
    """The network alone."""
    lines = [
        "## The network alone",
        "",
        "MP a second by the side of the tile, on the device; `enlarge` includes copying 8-bit",
        "pixels there and back. `photo` is the network of `quality` with other weights.",
        "",
    ]
    for model, told in found["models"].items():
        sides = list(told["sides"])
        labels = list(dict.fromkeys(label for row in told["sides"].values() for label in row))
        rows = [[label, *(speed(told, side, label) for side in sides)] for label in labels]
        lines += table([model, *(f"{side}²" for side in sides)], rows)
        lines += [
            f"- {label}, {side}²: {row[label]}"
            for side, row in told["sides"].items()
            for label in row
            if isinstance(row[label], str)
        ]
        lines += [""] if lines[-1] else []
    return lines


def speed(told: Found, side: str, label: str) -> str:
    """A cell: MP a second from milliseconds; megabytes as they are, copies in milliseconds."""
    value = told["sides"][side].get(label)
    if value is None:
        return ""
    if isinstance(value, str):
        return "failed"
    if label.startswith("MB"):
        return f"{value:,.0f}"
    if label.startswith("copying"):
        return f"{value:.2f} ms"
    tiles = 8 if "8 tiles at once" in label else 1
    return f"{tiles * (int(side) * told['scale']) ** 2 / value / 1e3:,.1f}"


def files(found: Found) -> list[str]:
    """Whole pictures."""
    height, width = found["size"]
    lines = [
        "## Whole pictures",
        "",
        f"{width} × {height} pixels. From file to file: the better of two warm runs; `encode` is",
        "what remains of it after the last tile. The command starts Python and CUDA; seconds from",
        "the shell to the file.",
        "",
    ]
    for model, row in found["models"].items():
        rows = [[f"array, {label}", f"{rate:,.1f}", ""] for label, rate in row["arrays"].items()]
        for label, file in row["files"].items():
            stages = ", ".join(f"{name} {value:.2f}" for name, value in file["stages"].items())
            about = f"{file['seconds']:.2f} s: {stages}; {file['tiles']} tiles"
            rows.append([f"{label}, {row['precision']}", f"{file['rate']:,.1f}", about])
        if "command" in row:
            told = row["command"]
            pixels = height * width * 16 / 1e6
            about = f"{told['wall']:.2f} s, of which start {told['start']:.2f}"
            rows.append(["the command, jpg to png", f"{pixels / told['wall']:,.1f}", about])
        if "CPU" in row:
            rate, best = row["CPU"]["rate"], next(iter(row["arrays"].values()))
            label = f"OpenVINO on the CPU, array, {row['CPU']['precision']}"
            rows.append([label, f"{rate:,.1f}", f"the GPU is {best / rate:.1f}× as fast"])
        lines += table([model, "MP/s", ""], rows, (0, 2))
    return lines


def batch(found: Found) -> list[str]:
    """Many pictures."""
    busy = "" if found["busy"] is None else f" The GPU was busy for {found['busy']:.0%} of the time"
    if found["memory"] is not None:
        busy += f", with at most {found['memory']:,.0f} MB of its memory taken"
    stages = ", ".join(f"{name} {value:.1f}" for name, value in found["stages"].items())
    each = found["seconds"] / found["pictures"]
    lines = [
        f"## A batch of {found['pictures']}",
        "",
        "`enlarge in/ -o out/` with `fast`, JPEG and PNG to PNG, sides up to "
        f"{found['most']} pixels:",
        f"{found['seconds']:.1f} s in all, {each:.3f} s a picture, {found['rate']:.1f} MP/s."
        + (f"{busy}." if busy else ""),
        "Seconds by stage, over all pictures, several of which are under way at a time:",
        f"{stages}.",
    ]
    if "apart" in found:
        lines.append(f"Largest difference to pictures enlarged alone: {found['apart']} levels.")
    return [*lines, ""]


def together(found: Found) -> list[str]:
    """Two processes."""
    return [
        "## Two processes on one GPU",
        "",
        f"{found['pictures']} pictures with `fast`: one process {found['alone']:.1f} s; two at the",
        f"same time, each with all of them, {found['both']:.1f} s: {found['gain']:.2f} times the",
        f"throughput. Largest difference between their results: {found['apart']} levels.",
        "",
    ]


def memory(found: Found) -> list[str]:
    """Memory that does not suffice."""
    lines = ["## When its memory does not suffice", ""]
    if "rehearsed" in found:
        lines += [f"Rehearsed: {found['rehearsed']}.", ""]
    rows = []
    for row in found["rows"]:
        cap = f"{row['share']:.0%} of {row.get('needed', 0) / 1e6:,.0f} MB"
        taken = "×".join(map(str, row["taken"])) if "taken" in row else row["said"]
        if row["share"] == 0:
            cap, works = "none", "yes" if row["works again"] else "**no**"
            taken += f". Works again afterwards: {works}"
        apart = str(row["apart"]) if "apart" in row else ""
        rows.append([row["model"], cap, taken, apart])
    lines += [
        f"A picture of {found['side']}² pixels, one tile where memory suffices; then torch may",
        "have a share of what that tile took. Tiles of `quality` fade into each other, so results",
        "of other tiles differ.",
        "",
        *table(["model", "memory", "tiles, or what is said", "largest difference"], rows, (0, 2)),
    ]
    if "beside another" in found:
        told = found["beside another"]
        end = f"it says: {told['said']}" if told["status"] else "it succeeds, with smaller tiles"
        lines += [
            f"While another process holds all but {told['left'] / 1e6:,.0f} MB, {end}.",
            "",
        ]
    return lines


def tests(found: Found) -> list[str]:
    """The tests."""
    return [
        "## Tests on the device",
        "",
        f"{found['passed']} passed, {found['skipped']} skipped, {len(found['failures'])} failed.",
        "",
    ]


SECTIONS = {
    "files": files,
    "network": network,
    "batch": batch,
    "together": together,
    "memory": memory,
    "closeness": closeness,
    "tests": tests,
}
"""The sections of the page, by part."""
