"""Mutated pictures: each gives one clear error or a whole result, and never a crash or a hang."""

from __future__ import annotations

import io
import json
import os
import random
import select
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyvips
from PIL import Image

EACH, PATIENCE = 100, 10.0
_WIDTH, _HEIGHT = 61, 47

WORKER = """
import json, sys, time
from pathlib import Path
from enlarge.errors import EnlargeError
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

def copy(source, target):
    with open_picture(source, memory=64_000_000) as picture:
        facts = picture.facts
        rows = picture.rows()
        spec = PictureSpec(facts.width, facts.height, facts.channels, facts.dtype)
        options = WriteOptions("png")
        with create_picture(target, spec, options, metadata=picture.metadata) as sink:
            while len(band := rows.read(64)):
                sink.write(band)
            sink.finish()

for name in sys.stdin:
    source = Path(name.rstrip("\\n"))
    target = source.with_suffix(".out")
    begun = time.perf_counter()
    try:
        copy(source, target)
        said = "whole"
    except EnlargeError as error:
        said = f"{type(error).__name__}: {error}"
    except Exception as error:
        said = f"BUG {type(error).__name__}: {error}"
    print(json.dumps([said, target.exists(), time.perf_counter() - begun]), flush=True)
"""


@dataclass
class Fuzzed:
    """What became of mutated files: how many, by what was said; and what must not be."""

    count: int = 0
    said: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0


def seeds() -> dict[str, bytes]:
    """Small pictures of every kind that the six formats have, by name."""
    noise = np.random.default_rng(5)
    coarse = noise.integers(0, 256, (7, 9, 4), dtype=np.uint8)
    rgba = Image.fromarray(coarse).resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    palette = rgb.quantize(64)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    found = {}
    for name, image, form, options in (
        ("rgb", rgb, "JPEG", {"quality": 90, "exif": exif}),
        ("progressive", rgb, "JPEG", {"progressive": True}),
        ("gray", gray, "JPEG", {}),
        ("cmyk", rgb.convert("CMYK"), "JPEG", {}),
        ("rgb", rgb, "PNG", {}),
        ("rgba", rgba, "PNG", {"exif": exif}),
        ("palette", palette, "PNG", {}),
        ("bits", rgb.convert("1"), "PNG", {}),
        ("lossy", rgba, "WEBP", {"exif": exif}),
        ("lossless", rgba, "WEBP", {"lossless": True}),
        ("rgb", rgb, "BMP", {}),
        ("palette", palette, "BMP", {}),
        ("gray", gray, "BMP", {}),
        ("plain", palette, "GIF", {}),
        ("moving", palette, "GIF", {"save_all": True, "append_images": [palette.rotate(90)]}),
        ("plain", rgb, "TIFF", {}),
        ("lzw", rgb, "TIFF", {"compression": "tiff_lzw"}),
        ("packbits", palette, "TIFF", {"compression": "packbits"}),
        ("fax", rgb.convert("1"), "TIFF", {"compression": "group4"}),
        ("jpeg", rgb, "TIFF", {"compression": "jpeg"}),
    ):
        out = io.BytesIO()
        image.save(out, form, **options)
        found[f"{form.lower()} {name}"] = out.getvalue()
    pixels = pyvips.Image.new_from_array(np.asarray(rgb))
    deep = (pixels.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    found["png interlaced"] = pixels.pngsave_buffer(interlace=True)
    found["png deep"] = deep.pngsave_buffer()
    found["tiff tiled"] = pixels.tiffsave_buffer(tile=True, tile_width=16, tile_height=16)
    found["tiff deep"] = deep.tiffsave_buffer(compression="deflate", predictor="horizontal")
    found["tiff float"] = (pixels / 255.0).cast("float").tiffsave_buffer(bigtiff=True)
    return found


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """One of the ways in which files are damaged, or made on purpose; some twice."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = _mutated_once(data, other, chance)
    if data.startswith(b"\x89PNG") and chance.random() < 0.6:
        data = with_checksums(data)  # else hardly any would come further than those
    return data


def _mutated_once(data: bytes, other: bytes, chance: random.Random) -> bytes:
    size = len(data)
    # Headers are where it hurts.
    at = chance.randrange(min(size, 120)) if chance.random() < 0.6 else chance.randrange(size)
    span = chance.choice((1, 2, 4, 8, 64, 300))
    match chance.randrange(8):
        case 0:  # flipped bits
            out = bytearray(data)
            for _ in range(chance.choice((1, 3, 20))):
                out[(at + chance.randrange(span)) % size] ^= 1 << chance.randrange(8)
            return bytes(out)
        case 1:  # a field of an extreme value
            number = chance.choice((0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            form = chance.choice(("<H", ">H", "<I", ">I"))
            field_ = struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
            return data[:at] + field_ + data[at + len(field_) :]
        case 2:  # noise over it
            return data[:at] + chance.randbytes(span) + data[at + span :]
        case 3:  # a piece missing
            return data[:at] + data[at + span :] or data[:1]
        case 4:  # a piece twice
            return data[: at + span] + data[at:]
        case 5:  # cut off
            return data[: chance.randrange(1, size)]
        case 6:  # another file's end
            return data[:at] + other[min(at, len(other) - 1) :]
        case _:  # noise in between
            return data[:at] + chance.randbytes(span) + data[at:]


def with_checksums(data: bytes) -> bytes:
    """A PNG with the right checksum at the end of every chunk, as far as they can be found."""
    out, at = data[:8], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out + data[at:]


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` mutated files, (what it was, its bytes): the same ones for the same seed."""
    every = list(seeds().items())
    chance = random.Random(seed)
    for number in range(count):
        name, data = every[number % len(every)]
        yield name, mutated(data, chance.choice(every)[1], chance)


def fuzz(count: int, *, each: int = EACH, seed: int = 0) -> Fuzzed:
    """Read `count` mutated files, and write what can be read, `each` of them in one process."""
    result = Fuzzed()
    waiting = list(mutations(count, seed))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        while waiting:
            part, waiting = waiting[:each], waiting[each:]
            rest = _one_process(Path(name), part, result)
            waiting = rest + waiting
    return result


def _one_process(
    folder: Path, part: list[tuple[str, bytes]], result: Fuzzed
) -> list[tuple[str, bytes]]:
    """Read files in a process of its own; those that are left where it had to be given up."""
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        first = True
        for number, (kind, data) in enumerate(part):
            path = folder / f"{result.count:05}"
            path.write_bytes(data)
            result.count += 1
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            # The first line waits for the imports too.
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE + 60 * first)
            first = False
            line = process.stdout.readline() if ready else ""
            if not line:
                _give_up(process, path, kind, result, hung=not ready)
                return part[number + 1 :]
            _note(path, kind, json.loads(line), result)
        process.stdin.close()
        if process.wait(timeout=60):
            result.faults.append(f"a process ended with {process.returncode}")
    return []


def _give_up(
    process: subprocess.Popen[str], path: Path, kind: str, result: Fuzzed, *, hung: bool
) -> None:
    process.kill()
    process.wait()
    what = f"no answer within {PATIENCE:.0f} s" if hung else f"crash ({process.returncode})"
    kept = Path(tempfile.gettempdir()) / f"fuzz-{path.name}"
    kept.write_bytes(path.read_bytes())
    result.faults.append(f"{kind}: {what}; kept as {kept}")


def _note(path: Path, kind: str, told: list[object], result: Fuzzed) -> None:
    said, is_there, seconds = str(told[0]), bool(told[1]), float(str(told[2]))
    result.said["whole" if said == "whole" else said.partition(":")[0]] += 1
    result.slowest = max(result.slowest, seconds)
    left = [other for other in path.parent.iterdir() if other.name.endswith((".part", ".tmp"))]
    if said.startswith("BUG") or is_there != (said == "whole") or left or seconds > PATIENCE:
        kept = Path(tempfile.gettempdir()) / f"fuzz-{path.name}"
        kept.write_bytes(path.read_bytes())
        result.faults.append(f"{kind}: {said} ({seconds:.1f} s); kept as {kept}")
    for other in path.parent.iterdir():
        other.unlink()
