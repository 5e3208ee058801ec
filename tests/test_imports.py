"""The import rules: imports point down and never in a ring, and using needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "enlarge"

_BELOW_WEIGHTS = {
    *("version", "errors", "forks", "digests", "luma", "cache", "memory", "card", "model_file"),
}
ALLOWED: dict[str, set[str]] = {
    "version": set(),
    "errors": set(),
    "digests": set(),
    "luma": set(),
    "cache": set(),
    "cores": set(),
    "memory": {"errors"},
    "card": {"errors"},
    "model_file": {"errors", "digests", "card"},
    "report": {"errors"},
    "tiling": {"errors"},
    "forks": {"errors"},
    "networks": {"errors"},
    "media": {"errors", "forks", "cores"},
    "checks": {"errors", "memory", "media.formats"},
    "settings": {"errors", "memory", "checks"},
    "engines": {"version", "errors", "forks", "cache", "card", "model_file"},
    "engines.torch": {"errors", "card", "networks", "engines"},
    "weights": {*_BELOW_WEIGHTS, "networks", "engines"},
    "picture": {
        *_BELOW_WEIGHTS,
        *("tiling", "media", "settings", "engines", "weights"),
    },
    "keywords": {"settings"},
    "upscaler": {"errors", "card", "settings", "keywords", "engines", "weights", "picture"},
    "video": {
        *("version", "errors", "luma", "memory", "card", "tiling", "media", "settings", "keywords"),
        *("engines", "weights", "picture"),
    },
    "data": {"errors", "digests", "luma", "cores", "media"},
    "metrics": {
        *("version", "errors", "digests", "luma", "cores", "memory", "card", "report", "media"),
        *("engines", "model_file", "weights", "upscaler", "data"),
    },
    "metrics.perceptual": {"errors", "networks", "weights", "metrics"},
    "trying": {
        "errors",
        "card",
        "model_file",
        "engines",
        "weights",
        "media",
        "metrics",
        "upscaler",
    },
    "fusing": {
        *("version", "errors", "digests", "cores", "memory", "checks", "engines", "weights"),
        *("media", "metrics", "upscaler", "video"),
    },
    "training": {
        *(
            "errors",
            "luma",
            "memory",
            "card",
            "networks",
            "engines.torch",
            "weights",
            "data",
            "metrics",
        ),
        "upscaler",
    },
    "batch": {
        *("version", "errors", "digests", "cache", "memory", "card", "report", "media"),
        *("model_file", "settings", "engines", "weights", "picture", "upscaler", "video"),
    },
    "app": {
        *("errors", "memory", "card", "tiling", "media", "settings", "engines", "weights"),
        *("model_file", "picture", "upscaler", "metrics", "fusing", "video"),
    },
    "cli": {
        *("version", "errors", "digests", "memory", "card", "report", "media", "checks"),
        *("model_file", "settings", "engines", "weights", "picture", "upscaler", "data", "metrics"),
        *("trying", "fusing", "training", "batch", "app", "video"),
    },
    "__main__": {"cli"},
    "": {"version", "errors", "card", "settings", "upscaler", "video", "fusing"},
}
"""The parts of the package from the bottom to the top, and what each may import directly, beside
itself. A name covers everything below it.
"""
LEARNING = (
    *("torch", "lightning", "safetensors", "onnx", "onnxruntime", "yaml", "streamlit"),
    *("ray", "fsspec", "s3fs", "boto3"),  # the cluster's
    "cv2",  # that of fusing frames
    "av",  # of videos
    "ncnn",
)
MAY_USE_TORCH = (
    *("networks", "training", "data.datasets", "engines.torch", "metrics.perceptual"),
    *("weights.backbones", "weights.foreign", "weights.network_file", "weights.onnx_file"),
    *("weights.activations", "weights.opening", "weights.spandrel_networks"),
    *("weights.ncnn_writing", "weights.sharing"),
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


MODULES = dict(modules())


def nodes(tree: ast.AST, *, annotations: bool) -> Iterator[ast.AST]:
    """All nodes; without `annotations`, not those below `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(tree):
        is_for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if is_for_types and not annotations:
            continue
        yield child
        yield from nodes(child, annotations=annotations)


def imports(tree: ast.AST, *, annotations: bool = True) -> Iterator[str]:
    """The modules that are imported, also inside functions."""
    for node in nodes(tree, annotations=annotations):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if module.removeprefix("enlarge.") in MODULES else str(node.module)


def dependencies(tree: ast.Module) -> set[str]:
    """The modules of the package that are imported when the code runs."""
    found = imports(tree, annotations=False)
    return {name.removeprefix("enlarge.") for name in found if name.startswith("enlarge.")}


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


def part_of(module: str) -> str:
    """The longest name in the table that covers a module."""
    return max((part for part in ALLOWED if part and within(module, part)), key=len, default="")


def check_rings(graph: Mapping[str, Set[str]]) -> None:
    """Fail if following imports can lead back to where they started."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' ← '.join(error.args[1])}")


def test_the_table_points_down() -> None:
    parts = list(ALLOWED)
    for number, part in enumerate(parts):
        above = {name for name in ALLOWED[part] if part_of(name) not in parts[:number]}
        assert not above, f"{part} may import {above}, which are not below it"


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*m, id=m[0] or "enlarge") for m in MODULES.items()]
)
def test_imports_point_one_way(module: str, tree: ast.Module) -> None:
    part = part_of(module)
    allowed = {*ALLOWED[part], part.partition(".")[0]}
    for imported in imports(tree):
        if within(imported, "enlarge"):
            target = imported.removeprefix("enlarge").removeprefix(".")
            assert any(within(target, name) for name in allowed), f"{module} imports {imported}"


def test_no_modules_import_each_other() -> None:
    check_rings({module: dependencies(tree) for module, tree in MODULES.items()})


def test_no_packages_import_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for module, tree in MODULES.items():
        part = module.partition(".")[0]
        others = {name.partition(".")[0] for name in dependencies(tree)}
        graph.setdefault(part, set()).update(others - {part})
    check_rings(graph)


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*m, id=m[0] or "enlarge") for m in MODULES.items()]
)
def test_torch_stays_on_the_learning_side(module: str, tree: ast.Module) -> None:
    if not any(within(module, part) for part in MAY_USE_TORCH):
        found = [name for name in imports(tree) if name.split(".")[0] == "torch"]
        assert not found, f"{module} imports {found}"


@pytest.mark.parametrize(
    ("module", "tree"), [pytest.param(*m, id=m[0] or "enlarge") for m in MODULES.items()]
)
def test_every_module_says_what_it_is(module: str, tree: ast.Module) -> None:
    assert ast.get_docstring(tree), f"{module or 'enlarge'} has no docstring"


def test_the_using_side_works_without_the_learning_packages() -> None:
    extras = ("engines.onnxruntime", "engines.ncnn", "weights.onnx_wrapping", "app")
    learning = (*MAY_USE_TORCH, *extras)
    using = [
        f"enlarge.{name}" if name else "enlarge"
        for name in MODULES
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
