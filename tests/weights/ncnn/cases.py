"""Layers of ncnn, each with inputs, weights and parameters; and what ncnn itself makes of them.

    python -m tests.weights.ncnn.cases     computes `layers.npz` anew (pip install --no-deps ncnn)

ncnn runs in f32, without its faster approximations.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LIST = Path(__file__).with_name("layers.txt")
EXPECTED = Path(__file__).with_name("layers.npz")
_APPROXIMATE = ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage", "bf16_packed")


class Case(NamedTuple):
    """A layer by its type and parameters, the shapes of its inputs, (w), (h, w) or (c, h, w), its
    weights (their form and number), and how many outputs it has.
    """

    kind: str
    values: str = ""
    inputs: tuple[tuple[int, ...], ...] = ((3, 7, 9),)
    weights: tuple[tuple[str, int], ...] = ()
    outputs: int = 1

    @property
    def name(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) for shape in self.inputs)
        stored = ",".join(f"{form}{count}" for form, count in self.weights)
        return " ".join(filter(None, (self.kind, self.values, shapes, stored)))

    def arrays(self) -> list[NDArray[np.float32]]:
        """The inputs: values from 0.05 to 2 where a layer takes roots, else also negative ones."""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        low = 0.05 if self.kind in ("Log", "Power") or _is_root(self) else -2.0
        high = 0.95 if _is_arc(self) else 2.0
        return [random.uniform(low, high, shape).astype(np.float32) for shape in self.inputs]

    def content(self) -> bytes:
        """The weights, as ncnn stores them."""
        random = np.random.default_rng(1 + zlib.crc32(self.name.encode()))
        return b"".join(stored(form, random.uniform(0.1, 1.0, n)) for form, n in self.weights)

    def param(self) -> str:
        """The layer as a model of its own."""
        names = [f"in{number}" for number in range(len(self.inputs))]
        outs = " ".join(f"out{number}" for number in range(self.outputs))
        lines = [f"Input input{number} 0 1 {name}" for number, name in enumerate(names)]
        lines.append(
            f"{self.kind} layer {len(names)} {self.outputs} {' '.join(names)} {outs} {self.values}"
        )
        return f"7767517\n{len(lines)} {len(names) + self.outputs}\n" + "\n".join(lines) + "\n"


def _is_root(case: Case) -> bool:
    roots = [f"UnaryOp 0={number}" for number in (5, 6, 8, 11, 12, 13, 15, 17)]
    powers = [f"BinaryOp 0={number}" for number in (3, 6, 8, 9)] + ["Reduction 0=9"]
    return f"{case.kind} {case.values}".startswith(tuple(f"{one}" for one in roots + powers))


def _is_arc(case: Case) -> bool:
    return case.kind == "UnaryOp" and case.values in ("0=12", "0=13", "0=11")


def stored(form: str, values: NDArray[np.floating[Any]]) -> bytes:
    """Weights in one of ncnn's forms: raw, f32, plain, f16, table or int8."""
    single = values.astype("<f4")
    if form == "raw":
        return single.tobytes()
    if form in ("f32", "plain"):
        return struct.pack("<I", 0x0002C056 if form == "f32" else 0) + single.tobytes()
    if form == "f16":
        content = values.astype("<f2").tobytes()
        return struct.pack("<I", 0x01306B47) + content + bytes(-len(content) % 4)
    if form == "int8":
        content = np.rint(values * 127).astype("i1").tobytes()
        return struct.pack("<I", 0x000D4B38) + content + bytes(-len(content) % 4)
    table = np.linspace(-1.0, 1.0, 256, dtype="<f4")
    content = np.rint((values + 1.0) * 127.5).astype(np.uint8).tobytes()
    return struct.pack("<I", 1) + table.tobytes() + content + bytes(-len(content) % 4)


def _read(line: str) -> Case:
    """TYPE PARAMETERS | shapes of inputs | FORM:NUMBER of weights | number of outputs"""
    layer, shapes, weights, outputs = [*(part.strip() for part in line.split("|")), "", "", ""][:4]
    kind, _, values = layer.partition(" ")
    inputs = tuple(tuple(map(int, shape.split("x"))) for shape in shapes.split())
    pairs = tuple((one.split(":")[0], int(one.split(":")[1])) for one in weights.split())
    return Case(kind, values, inputs, pairs, int(outputs or 1))


CASES = tuple(map(_read, LIST.read_text(encoding="utf-8").splitlines()))


def from_ncnn(case: Case) -> list[NDArray[np.float32]]:
    """The outputs that ncnn computes."""
    import ncnn

    with tempfile.TemporaryDirectory() as name:
        param, weights = Path(name) / "m.param", Path(name) / "m.bin"
        param.write_text(case.param(), encoding="utf-8")
        weights.write_bytes(case.content())
        net = ncnn.Net()
        for option in _APPROXIMATE:
            setattr(net.opt, f"use_{option}", False)
        net.opt.use_int8_inference = False
        if net.load_param(str(param)) or net.load_model(str(weights)):
            raise ValueError("ncnn refuses it")
        run = net.create_extractor()
        kept = case.arrays()
        for number, array in enumerate(kept):
            run.input(f"in{number}", ncnn.Mat(array).clone())
        found = []
        for number in range(case.outputs):
            code, mat = run.extract(f"out{number}")
            if code:
                raise ValueError(f"ncnn returns {code}")
            found.append(np.array(mat, np.float32))
        return found


def main() -> None:
    """See above."""
    kept: dict[str, Any] = {}
    for case in CASES:
        try:
            outputs = from_ncnn(case)
        except ValueError as error:
            print(f"{case.name}: {error}", file=sys.stderr)
            continue
        for number, array in enumerate(outputs):
            kept[f"{case.name} -> {number}"] = array
    np.savez_compressed(EXPECTED, **kept)


if __name__ == "__main__":
    main()
