"""Mutated pictures: each gives one clear error or a whole result, and never a crash or a hang."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tests.media.mutating import mutations

EACH, PATIENCE = 500, 10.0
MEMORY = 768 << 20
"""Bytes that a process may take beyond what it has when it begins."""
_WORDS = 2_000
"""Characters of a crashed process's standard error that are reported."""
BROKEN = Path(__file__).with_name("broken")
"""Where files are kept that once gave a fault."""

WORKER = """
import faulthandler, json, logging, resource, sys, time
from dataclasses import replace
from pathlib import Path
logging.disable()
faulthandler.enable()
from enlarge.errors import BudgetError, EnlargeError
from enlarge.media.formats import FORMATS
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, WriteOptions, create_picture

TARGETS = ("png", "jpeg", "tiff", "webp")
KEEP = ("keep", "no-gps")
MOST = 4_000_000

def copy(source, target, number, **options):
    with open_picture(source, memory=64_000_000, **options) as picture:
        facts = picture.facts
        pixels = facts.width * facts.height
        if pixels > MOST or facts.decode_bytes > 64 * MOST:
            raise BudgetError("larger than this test reads")
        rows = picture.rows()
        spec = PictureSpec(facts.width, facts.height, facts.channels, facts.dtype)
        write = WriteOptions(TARGETS[number % 4], keep=KEEP[number // 4 % 2])
        with create_picture(target, spec, write, metadata=picture.metadata) as sink:
            total = 0
            while len(band := rows.read(64)):
                assert band.shape[1:] == (facts.width, facts.channels), band.shape
                assert band.dtype == facts.dtype
                total += len(band)
                sink.write(band)
            assert total == facts.height, (total, facts.height)
            sink.finish()

def limited(extra):
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + extra, size + extra))

for plugin in ("pillow_heif", "pillow_jxl", "PIL.Jpeg2KImagePlugin", "PIL.AvifImagePlugin"):
    try:
        __import__(plugin)
    except ImportError:
        pass
first = True
for line in sys.stdin:
    name, number, extra = json.loads(line)
    if first and extra and sys.platform == "linux":
        limited(extra)
    first = False
    source = Path(name)
    begun = time.perf_counter()
    told = []
    for options in ({"page": 2}, {}, {"salvage": True}):
        target = source.with_suffix(".out")
        target.unlink(missing_ok=True)
        try:
            copy(source, target, number, **options)
            said = "whole"
        except EnlargeError as error:
            said = f"{type(error).__name__}: {error}"
            if "\\n" in said:
                said = f"BUG of several lines: {said}"
        except Exception as error:
            said = f"BUG {type(error).__name__}: {error}"
        if target.exists() != (said == "whole"):
            said = f"BUG output {target.exists()}: {said}"
        if "page" in options:
            told = [said] if said.startswith("BUG") else []
            continue
        told.append(said)
        if said == "whole":
            break
    print(json.dumps([told, time.perf_counter() - begun]), flush=True)
"""


@dataclass
class Fuzzed:
    """What became of mutated files: how many, by what was said; and what must not be."""

    count: int = 0
    said: Counter[str] = field(default_factory=Counter)
    salvaged: int = 0
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0


def fuzz(count: int, *, each: int = EACH, seed: int = 0, keep: Path | None = None) -> Fuzzed:
    """Read `count` mutated files, and write what can be read, `each` of them in one process; with
    `--salvage` what is refused without it. Files that give a fault are kept in the folder `keep`
    (None: the system's for temporary files).
    """
    return read_all(mutations(count, seed), each=each, keep=keep, label=f"seed{seed}")


def read_all(
    files: Iterable[tuple[str, bytes]],
    *,
    each: int = EACH,
    keep: Path | None = None,
    label: str = "fuzz",
) -> Fuzzed:
    """The same for given files, (what it is, its bytes)."""
    result = Fuzzed()
    left = iter(files)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        run = _Run(Path(name), keep or Path(tempfile.gettempdir()), label, result)
        while part := list(islice(left, each)):
            while part:
                part = part[run.one_process(part) :]
    return result


@dataclass
class _Run:
    folder: Path
    keep: Path
    label: str
    result: Fuzzed

    def one_process(self, part: list[tuple[str, bytes]]) -> int:
        """Read files in a process of its own. Returns how many were read: all of them, unless it
        had to be given up.
        """
        result = self.result
        with tempfile.TemporaryFile() as words, subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, text=True,
            env={**os.environ, "TMPDIR": str(self.folder), "MALLOC_ARENA_MAX": "2",
                 "VIPS_CONCURRENCY": "1"},
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            for number, (kind, data) in enumerate(part):
                path = self.folder / f"{result.count:05}"
                path.write_bytes(data)
                process.stdin.write(json.dumps([str(path), result.count, MEMORY]) + "\n")
                process.stdin.flush()
                result.count += 1
                # The first line waits for the imports too.
                ready, _, _ = select.select([process.stdout], [], [], PATIENCE + 60 * (number == 0))
                line = process.stdout.readline() if ready else ""
                if not line:
                    process.kill()
                    process.wait()
                    hung = f"no answer within {PATIENCE:.0f} s"
                    words.seek(0)
                    said = words.read().decode(errors="replace")[-_WORDS:]
                    what = hung if ready == [] else f"crash ({process.returncode})"
                    self._fault(path, kind, f"{what}; its last words: {said!r}" if said else what)
                    self._clear()
                    return number + 1
                self._note(path, kind, json.loads(line))
            process.stdin.close()
            if process.wait(timeout=60):
                result.faults.append(f"a process ended with {process.returncode}")
        return len(part)

    def _fault(self, path: Path, kind: str, what: str) -> None:
        self.keep.mkdir(exist_ok=True)
        kept = self.keep / f"{self.label}-{path.name}-{kind.replace(' ', '-')}"
        kept.write_bytes(path.read_bytes())
        self.result.faults.append(f"{kind}: {what}; kept as {kept}")

    def _note(self, path: Path, kind: str, told: list[list[str]]) -> None:
        said, seconds = told[0], float(str(told[1]))
        result = self.result
        result.said["whole" if said[0] == "whole" else said[0].partition(":")[0]] += 1
        result.salvaged += len(said) > 1 and said[1] == "whole"
        result.slowest = max(result.slowest, seconds)
        known = (path, path.with_suffix(".out"))
        left = [other.name for other in self.folder.iterdir() if other not in known]
        bad = [word for word in said if word.startswith("BUG")]
        if bad or left or seconds > PATIENCE:
            self._fault(path, kind, f"{'; '.join(bad or said)} ({seconds:.1f} s) {left or ''}")
        self._clear()

    def _clear(self) -> None:
        for other in self.folder.iterdir():
            other.unlink()


def broken() -> Iterator[tuple[str, bytes]]:
    """The files that once gave a fault, by their names."""
    for path in sorted(BROKEN.iterdir()):
        yield path.name, path.read_bytes()
