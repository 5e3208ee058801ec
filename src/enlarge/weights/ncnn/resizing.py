"""Interp: a blob resized by its nearest values, or linear or cubic interpolation."""

from __future__ import annotations

from enlarge.weights.ncnn.nodes import Blob, Step, sides_of

_METHODS = {1: "nearest", 2: "linear", 3: "cubic"}
_MOST_TIMES, _LARGEST = 64.0, 1 << 16


def interp(step: Step) -> Blob:
    """Resize by factors, to a fixed size, or to the size of a second blob."""
    step.check_inputs(1, 2)
    step.check_rank(3, 1)
    step.layer.refuse(9)  # expressions
    graph, blob = step.graph, step.blob
    if blob.rank == 1:  # one pixel of many channels
        name = graph.add("Unsqueeze", blob.name, graph.wholes([2, 3]))
        blob = Blob(name, (*blob.shape, 1, 1))
    channels, height, width = blob.shape
    if len(step.inputs) == 2 or step.whole(5):
        return _resized_like(step, blob)
    rows, columns = step.whole(3), step.whole(4)
    if rows and columns:
        if not 0 < min(rows, columns) <= max(rows, columns) <= _LARGEST:
            raise step.misfit(f"resizes to {columns}×{rows}")
        name = _resized(step, blob, graph.wholes([rows, columns]))
        return Blob(name, (channels, rows, columns))
    down, across = step.number(1, 1.0), step.number(2, 1.0)
    if not 0.0 < min(down, across) <= max(down, across) <= _MOST_TIMES:
        raise step.misfit(f"resizes by {across:g} and {down:g}")
    if down == across == 1.0:
        return blob
    sides = [
        None if side is None else int(side * factor)
        for side, factor in ((height, down), (width, across))
    ]
    scales = graph.floats([1.0, 1.0, down, across])
    name = graph.add("Resize", blob.name, "", scales, **_ways(step))
    return Blob(name, (channels, *sides))


def _resized_like(step: Step, blob: Blob) -> Blob:
    if len(step.inputs) != 2 or step.inputs[1].rank != 3:
        raise step.misfit("resizes to the size of a blob that has none")
    other = step.inputs[1]
    sides = sides_of(step.graph, other.name, 2, 4)
    return Blob(_resized(step, blob, sides), (blob.shape[0], *other.shape[1:]))


def _resized(step: Step, blob: Blob, sides: str) -> str:
    """The blob with these sides: a value of two whole numbers."""
    graph = step.graph
    first = sides_of(graph, blob.name, 0, 2)
    sizes = graph.add("Concat", first, sides, axis=0)
    return graph.add("Resize", blob.name, "", "", sizes, **_ways(step))


def _ways(step: Step) -> dict[str, str | float]:
    """Which values are combined, and how."""
    method = _METHODS.get(step.whole(0))
    if method is None:
        raise step.unknown(f"resizes in the way {step.whole(0)}")
    if method == "nearest":
        return {
            "mode": method, "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"
        }  # fmt: skip
    where = "align_corners" if step.whole(6) else "half_pixel"
    ways: dict[str, str | float] = {"mode": method, "coordinate_transformation_mode": where}
    return ways | {"cubic_coeff_a": -0.75} if method == "cubic" else ways
