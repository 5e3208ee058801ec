"""The import rules: layers point one way, and the using side needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "enlarge"

# What each part may import, directly. A name covers everything below it.
ALLOWED = {
    "errors": set(),
    "memory": {"errors"},
    "checks": {"errors", "memory", "media.formats"},
    "settings": {"errors", "memory", "checks"},
    "media": {"errors", "media"},
    "tiling": {"errors", "tiling"},
    "card": {"errors"},
    "engines": {"errors", "cache", "card", "engines"},
    "engines.torch": {"errors", "card", "engines", "networks"},
    "cache": set(),
    "digests": set(),
    "weights": {"errors", "memory", "cache", "digests", "card", "networks", "engines", "weights"},
    "picture": {
        *("errors", "memory", "digests", "card", "media", "tiling", "weights", "engines"),
        *("settings", "picture"),
    },
    "upscaler": {"errors", "card", "weights", "picture", "settings"},
    "networks": {"errors", "networks"},
    "data": {"errors", "digests", "media", "data"},
    "metrics": {
        *("errors", "memory", "media", "engines", "weights", "upscaler", "report", "metrics"),
        *("digests", "card", "data"),
    },
    "metrics.perceptual": {"errors", "networks", "weights", "metrics"},
    "report": {"errors"},
    "batch": {
        *("errors", "memory", "card", "media", "engines", "weights", "picture", "upscaler"),
        *("report", "batch", "cache", "digests", "settings"),
    },
    "app": {
        *("errors", "memory", "card", "media", "tiling", "engines", "weights", "picture"),
        *("settings", "upscaler", "metrics", "app"),
    },
    "training": {
        *("errors", "memory", "card", "data", "networks", "metrics", "weights", "training"),
        "engines.torch",
    },
    "cli": {
        *("errors", "memory", "media", "engines", "weights", "picture", "upscaler", "metrics"),
        *("report", "cli", "data", "training", "batch", "digests"),
        *("app", "settings", "checks"),
    },
    "__main__": {"cli"},
    "": {"errors", "settings", "upscaler", "card"},
}
LEARNING = (
    *("torch", "lightning", "safetensors", "onnx", "onnxruntime", "yaml", "streamlit"),
    *("ray", "fsspec", "s3fs", "boto3"),  # the cluster's
)
MAY_USE_TORCH = (
    *("networks", "training", "data.datasets", "engines.torch", "metrics.perceptual"),
    *("weights.backbones", "weights.foreign", "weights.network_file", "weights.onnx_file"),
    "weights.opening",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield str(node.module)


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


def layer_of(module: str) -> str:
    """The most telling layer that covers a module."""
    return max((part for part in ALLOWED if part and within(module, part)), key=len, default="")


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*m, id=m[0] or "enlarge") for m in modules()]
)
def test_imports_point_one_way(module: str, tree: ast.Module) -> None:
    allowed = ALLOWED[layer_of(module)]
    for imported in imports(tree):
        if imported == "enlarge" or not within(imported, "enlarge"):
            continue
        target = imported.removeprefix("enlarge.")
        assert any(within(target, part) for part in allowed), f"{module} imports {imported}"


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*m, id=m[0] or "enlarge") for m in modules()]
)
def test_torch_stays_on_the_learning_side(module: str, tree: ast.Module) -> None:
    if not any(within(module, part) for part in MAY_USE_TORCH):
        found = [name for name in imports(tree) if name.split(".")[0] == "torch"]
        assert not found, f"{module} imports {found}"


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*m, id=m[0] or "enlarge") for m in modules()]
)
def test_every_module_says_what_it_is(module: str, tree: ast.Module) -> None:
    assert ast.get_docstring(tree), f"{module or 'enlarge'} has no docstring"


def test_the_using_side_works_without_the_learning_packages() -> None:
    learning = (*MAY_USE_TORCH, "engines.onnxruntime", "app")
    using = [
        f"enlarge.{name}" if name else "enlarge"
        for name, _ in modules()
        if not any(within(name, part) for part in learning)
    ]
    code = (
        f"import sys\nfor name in {LEARNING}: sys.modules[name] = None\n"
        f"import importlib\nfor name in {using}: importlib.import_module(name)\n"
        "import enlarge, numpy\n"
        "out = enlarge.upscale(numpy.zeros((8, 8, 3), numpy.uint8))\n"
        "assert out.shape == (32, 32, 3)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
