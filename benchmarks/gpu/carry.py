"""Pack what enlarge needs, for a machine that has PyTorch but no network: `python -m
benchmarks.gpu.carry [--python 3.12]`.

Writes runs/carried/, to be copied there with the tree, about 30 MB; `benchmarks/gpu.sh` finds it.
It holds the packages of the base installation in their versions here (of OpenVINO only what the CPU
needs), eight photographs, and the current commit. What such a machine has to have itself: torch,
safetensors, numpy and rich; for the tests also pytest, onnx, onnxscript and onnxruntime.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distribution, version
from pathlib import Path

from benchmarks.gpu.setting import CARRIED
from benchmarks.record import commit
from enlarge.data.photos import list_photos
from enlarge.training.config import data_root

PURE = ("pyvips", "pycparser", "cyclopts", "docstring-parser", "rich-rst", "attrs")
COMPILED = ("cffi", "pyvips-binary", "openvino")
SYSTEMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
NOT_NEEDED = (
    *("intel_gpu", "intel_npu", "cache.json", "tensorflow", "paddle", "pytorch", "jax", "gguf"),
    *("hetero", "auto_batch", "openvino_c."),
)
"""In the names of OpenVINO's libraries."""
PHOTOGRAPHS = 8


def install(site: Path, python: str) -> None:
    """Put the packages into a folder, for that version of Python on Linux."""
    for name in PURE:
        for file in distribution(name).files or ():
            found = Path(str(file.locate()))
            if ".." not in file.parts and file.suffix != ".pyc" and found.is_file():
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, site / file)
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
        line += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
        line += [f"--platform={system}" for system in SYSTEMS]
        subprocess.run([*line, *(f"{name}=={version(name)}" for name in COMPILED)], check=True)
        for wheel in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if not is_needless(name)]
                archive.extractall(site, names)


def is_needless(name: str) -> bool:
    """Whether a file is one of OpenVINO's libraries that ONNX files on the CPU do not need."""
    return name.startswith("openvino/libs/") and any(part in name for part in NOT_NEEDED)


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="3.12", help="the other machine's; default: 3.12")
    python = parser.parse_args().python
    shutil.rmtree(CARRIED, ignore_errors=True)
    (CARRIED / "photos").mkdir(parents=True)
    for photo in list_photos(data_root() / "photos", ["valid"])[:PHOTOGRAPHS]:
        shutil.copyfile(photo, CARRIED / "photos" / photo.name)
    (CARRIED / "commit").write_text(commit() + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder), python)
        shutil.make_archive(str(CARRIED / "site"), "xztar", folder)
    size = sum(path.stat().st_size for path in CARRIED.rglob("*") if path.is_file())
    print(f"{CARRIED}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
