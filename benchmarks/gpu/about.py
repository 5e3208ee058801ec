"""What the machine is, and the tests that use its device."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as Tree
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch

from benchmarks.gpu.setting import ROOT, Run
from benchmarks.record import stamp
from enlarge.engines.torch import check_device, torch_devices, torch_precisions

TESTS = (
    "tests/engines/test_devices.py",
    "tests/training/test_devices.py",
    "tests/engines/test_engines.py",
    "tests/engines/test_ensemble.py",
)
SMALL = TESTS[1:2]


def about(run: Run) -> Iterator[dict[str, Any]]:
    """The machine, its GPU, and the versions."""
    check_device(run.device)
    found: dict[str, Any] = {
        **stamp(),
        "device": run.device,
        "devices": torch_devices(),
        "precisions": list(torch_precisions(run.device)),
        "torch": torch.__version__,
        "failures": [],
    }
    if run.is_cuda:
        properties = torch.cuda.get_device_properties(run.device)
        found |= {
            "gpu": properties.name,
            "GiB": properties.total_memory / 2**30,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    yield found


def tests(run: Run) -> Iterator[dict[str, Any]]:
    """The tests that run on every device of torch: how many passed, were skipped, and which not."""
    if find_spec("pytest") is None:
        yield {"passed": 0, "skipped": 0, "failures": ["pytest is not installed here"]}
        return
    report = run.folder / "tests.xml"
    # Other versions of other packages warn of other things.
    options = ["-p", "no:cacheprovider", "-o", "filterwarnings=", f"--junitxml={report}", "-q"]
    if find_spec("xdist") is not None and not run.small:
        options += ["-n", "4"]
    chosen = SMALL if run.small else TESTS
    subprocess.run([sys.executable, "-m", "pytest", *options, *chosen], cwd=ROOT, check=False)
    yield counted(report.read_text(encoding="utf-8"))


def counted(report: str) -> dict[str, Any]:
    """What a JUnit report says."""
    cases = list(Tree.fromstring(report).iter("testcase"))
    failed = [case for case in cases if case.find("failure") is not None]
    failed += [case for case in cases if case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    return {
        "passed": len(cases) - len(failed) - len(skipped),
        "skipped": len(skipped),
        "failures": [f"{case.get('classname')}::{case.get('name')}" for case in failed],
    }
