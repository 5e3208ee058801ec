"""Layers that move values without changing them."""

from __future__ import annotations

import math
from itertools import pairwise

from enlarge.weights.ncnn.nodes import END, Blob, Shape, Step, shaped, sides_of

_AUTO = -233
"""In sizes: what remains. In ends of a crop: the end of the axis."""
_PERMUTATIONS = {
    2: ("wh", "hw"),
    3: ("whc", "hwc", "wch", "cwh", "hcw", "chw"),
    4: (
        "whdc", "hwdc", "wdhc", "dwhc", "hdwc", "dhwc", "whcd", "hwcd", "wchd", "cwhd", "hcwd",
        "chwd", "wdch", "dwch", "wcdh", "cwdh", "dcwh", "cdwh", "hdcw", "dhcw", "hcdw", "chdw",
        "dchw", "cdhw",
    ),
}  # fmt: skip
"""By the number of axes and the kind of order: the new axes, the innermost first."""
_AXES = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
"""The names of a blob's axes."""
_KEYS = {"w": 0, "h": 1, "c": 2, "d": 11}
"""The parameters of sizes, by the axis."""
_PADS = ("constant", "edge", "reflect")


def memory_data(step: Step) -> Blob:
    """MemoryData: a constant."""
    sides = {axis: step.whole(key) for axis, key in _KEYS.items()}
    axes = "cdhw" if sides["d"] else "chw" if sides["c"] else "hw" if sides["h"] else "w"
    shape = tuple(sides[axis] or 1 for axis in axes)
    Blob("", shape)  # before anything of that size is read
    read = step.raw if step.whole(21, 1) else step.tagged
    values = read(math.prod(shape), "values")
    return Blob(step.graph.floats(values.reshape(1, *shape)), shape)


def copies(step: Step) -> list[Blob]:
    """Split and Noop: the blob, as often as it is asked for."""
    if len(step.inputs) == len(step.layer.outputs):
        return list(step.inputs)
    step.check_inputs(1)
    return [step.blob] * len(step.layer.outputs)


def concat(step: Step) -> Blob:
    """Concat."""
    step.check_inputs(1, 1024)
    rank = step.blob.rank
    axis = step.axis(step.whole(0), rank)
    if any(blob.rank != rank for blob in step.inputs):
        raise step.misfit(f"joins blobs of {sorted({blob.rank for blob in step.inputs})} axes")
    sides = [blob.shape[axis] for blob in step.inputs]
    total = None if None in sides else sum(side or 0 for side in sides)
    shape = (*step.blob.shape[:axis], total, *step.blob.shape[axis + 1 :])
    names = [blob.name for blob in step.inputs]
    return Blob(step.graph.add("Concat", *names, axis=axis + 1), shape)


def slices(step: Step) -> list[Blob]:
    """Slice: parts of an axis, by their sizes or where they begin."""
    step.check_inputs(1)
    axis = step.axis(step.whole(1), step.blob.rank)
    count, side = len(step.layer.outputs), step.blob.shape[axis]
    if cuts := step.layer.wholes(2):
        if side is None or len(cuts) != count - 1:
            raise step.misfit(f"is cut at {cuts} into {count} blobs")
        edges = [0, *(cut + side if cut < 0 else cut for cut in cuts), side]
        sizes = [stop - start for start, stop in pairwise(edges)]
    else:
        sizes = step.layer.wholes(0)
        if side is None or len(sizes) != count:
            raise step.misfit(f"is cut into {sizes} for {count} blobs")
        done = 0
        for place, size in enumerate(sizes):
            sizes[place] = (side - done) // (count - place) if size == _AUTO else size
            done += sizes[place]
    if min(sizes) < 1 or sum(sizes) > side:
        raise step.misfit(f"cuts {side} into {sizes}")
    rest = side - sum(sizes)
    parts = [*sizes, rest] if rest else sizes
    names = step.graph.split(
        "Split", len(parts), step.blob.name, step.graph.wholes(parts), axis=axis + 1
    )
    before, after = step.blob.shape[:axis], step.blob.shape[axis + 1 :]
    return [Blob(name, (*before, size, *after)) for name, size in zip(names, sizes, strict=False)]


def crop(step: Step) -> Blob:
    """Crop: by starts and ends, by offsets and sizes, or to the size of a second blob."""
    if step.layer.values.get(9) or step.layer.values.get(10):
        return _crop_between(step)
    if len(step.inputs) == 2:
        return _crop_like(step)
    step.check_inputs(1)
    keys = {"w": (0, 3, 6), "h": (1, 4, 7), "d": (13, 14, 15), "c": (2, 5, 8)}
    ranges: dict[int, tuple[int, int]] = {}
    for axis, name in enumerate(_AXES[step.blob.rank]):
        before, size, after = (step.whole(key) for key in keys[name])
        if min(before, after) < 0 or (size < 0 and size != _AUTO):
            raise step.misfit(f"crops {before}, {size} and {after} pixels")
        stop = -after if after else END
        if size > 0:
            side = step.blob.shape[axis]
            if after and side is None:
                raise step.misfit(f"crops {size} pixels, at most up to {after} from the end")
            stop = before + size if side is None else min(before + size, side - after)
        ranges[axis] = (before, stop)
    return _cropped(step, ranges)


def _crop_between(step: Step) -> Blob:
    starts, ends, axes = (step.layer.wholes(key) for key in (9, 10, 11))
    rank = step.blob.rank
    axes = [step.axis(axis, rank) for axis in axes] if axes else list(range(len(starts)))
    if not len(starts) == len(ends) == len(axes) or len(axes) > rank:
        raise step.misfit(f"has {len(starts)} starts, {len(ends)} ends and {len(axes)} axes")
    ranges = {}
    for start, end, axis in zip(starts, ends, axes, strict=True):
        ranges[axis] = (0 if start == _AUTO else start, END if end in (_AUTO, 0) else end)
    return _cropped(step, ranges)


def _cropped(step: Step, ranges: dict[int, tuple[int, int]]) -> Blob:
    """The blob from a start up to an end of each of these axes; negative ones count from behind."""
    ranges = {axis: both for axis, both in ranges.items() if both != (0, END)}
    if not ranges:
        return step.blob
    shape = list(step.blob.shape)
    for axis, (start, stop) in ranges.items():
        if (side := shape[axis]) is not None:
            shape[axis] = len(range(side)[start:stop])
        elif 0 <= start < stop < END:
            shape[axis] = stop - start
    lists = [list(one) for one in zip(*ranges.values(), strict=True)]
    starts, ends, axes = (step.graph.wholes(v) for v in (*lists, [axis + 1 for axis in ranges]))
    return Blob(step.graph.add("Slice", step.blob.name, starts, ends, axes), tuple(shape))


def _crop_like(step: Step) -> Blob:
    step.check_rank(3)
    graph, other = step.graph, step.inputs[1]
    if other.rank != 3:
        raise step.misfit(f"crops to a blob of {other.rank} axes")
    starts = graph.wholes([step.whole(2), step.whole(1), step.whole(0)])
    ends = graph.add("Add", sides_of(graph, other.name, 1, 4), starts)
    name = graph.add("Slice", step.blob.name, starts, ends, graph.wholes([1, 2, 3]))
    return Blob(name, other.shape)


def permute(step: Step) -> Blob:
    """Permute, by the kind of its order."""
    step.check_rank(2, 3, 4)
    kinds, axes, kind = _PERMUTATIONS[step.blob.rank], _AXES[step.blob.rank], step.whole(0)
    if not 0 <= kind < len(kinds):
        raise step.unknown(f"has the order {kind}")
    order = [axes.index(name) for name in reversed(kinds[kind])]
    name = step.graph.add("Transpose", step.blob.name, perm=[0, *(axis + 1 for axis in order)])
    return Blob(name, tuple(step.blob.shape[axis] for axis in order))


def reshape(step: Step) -> Blob:
    """Reshape: to sizes, of which 0 keeps that of the axis of this name, and -1 is what remains."""
    step.check_inputs(1)
    step.layer.refuse(3, 6)  # channels last; expressions
    given = {name: step.whole(key, _AUTO) for name, key in _KEYS.items()}
    rank = next((n for n, name in enumerate("whcd") if given[name] == _AUTO), 4)
    if not rank:
        raise step.misfit("has no size")
    graph, old, axes = step.graph, _AXES[step.blob.rank], _AXES[rank]
    sizes = [given[name] for name in axes]
    for place, name in enumerate(axes):
        if sizes[place] == 0:
            known = step.blob.shape[old.index(name)] if name in old else 1
            sizes[place] = known if known is not None else 0
    if min(sizes) < -1 or sizes.count(-1) > 1:
        raise step.misfit(f"has the size {sizes}")
    shape: Shape = tuple(size if size > 0 else None for size in sizes)
    moved = [
        name
        for place, name in enumerate(axes)
        if not sizes[place] and old[place : place + 1] != name
    ]
    if not moved:
        return Blob(shaped(graph, step.blob.name, [1, *sizes]), _remaining(step, shape))
    parts = [graph.wholes([1])]
    for size, name in zip(sizes, axes, strict=True):
        at = old.index(name) + 1 if not size else 0
        parts.append(sides_of(graph, step.blob.name, at, at + 1) if at else graph.wholes([size]))
    target = graph.add("Concat", *parts, axis=0)
    return Blob(graph.add("Reshape", step.blob.name, target), shape)


def _remaining(step: Step, shape: Shape) -> Shape:
    """The shape with the side that remains, where the blob's size is known."""
    if None in step.blob.shape or shape.count(None) != 1:
        return shape
    rest = math.prod(side for side in shape if side is not None)
    total = math.prod(side for side in step.blob.shape if side is not None)
    return tuple(total // rest if side is None else side for side in shape)


def flatten(step: Step) -> Blob:
    """Flatten: all values along one axis."""
    known = None if None in step.blob.shape else math.prod(side or 0 for side in step.blob.shape)
    return Blob(shaped(step.graph, step.blob.name, [1, -1]), (known,))


def squeeze(step: Step) -> Blob:
    """Squeeze: without the axes that are named, where their size is 1."""
    rank = step.blob.rank
    axes = [step.axis(axis, rank) for axis in step.layer.wholes(3)]
    if not axes:
        axes = [axis for axis, name in enumerate(_AXES[rank]) if step.whole(_KEYS[name])]
    axes = [axis for axis in axes if step.blob.shape[axis] in (1, None)]
    kept = tuple(side for axis, side in enumerate(step.blob.shape) if axis not in axes)
    if not axes or not kept:
        return step.blob
    name = step.graph.add("Squeeze", step.blob.name, step.graph.wholes([a + 1 for a in axes]))
    return Blob(name, kept)


def expand_dims(step: Step) -> Blob:
    """ExpandDims: with new axes of the size 1."""
    step.layer.refuse(0, 1, 2, 11)  # the older form, by the axes' names
    given = step.layer.wholes(3)
    rank = step.blob.rank + len(given)
    axes = sorted({step.axis(axis, rank) for axis in given})
    if len(axes) != len(given) or rank > 4:
        raise step.misfit(f"adds the axes {given}")
    shape = list(step.blob.shape)
    for axis in axes:
        shape.insert(axis, 1)
    name = step.graph.add("Unsqueeze", step.blob.name, step.graph.wholes([a + 1 for a in axes]))
    return Blob(name, tuple(shape))


def padding(step: Step) -> Blob:
    """Padding: with a value, the edge or a reflection; also of channels."""
    step.check_inputs(1)
    step.check_rank(1, 2, 3)
    top, bottom, left, right, front, behind = (step.whole(key) for key in (0, 1, 2, 3, 7, 8))
    kind = step.whole(4)
    if kind not in (0, 1, 2) or step.whole(6):
        raise step.unknown(f"pads in the way {kind}")
    rank = step.blob.rank
    before, after = [front, top, left][-rank:], [behind, bottom, right][-rank:]
    if min(*before, *after) < 0 or max(*before, *after) > 4096:
        raise step.misfit(f"pads {before} and {after} pixels")
    graph = step.graph
    given = [step.blob.name, graph.wholes([0, *before, 0, *after])]
    given += [] if kind else [graph.floats(step.number(5))]
    sides = zip(step.blob.shape, before, after, strict=True)
    shape = tuple(None if side is None else side + b + a for side, b, a in sides)
    return Blob(graph.add("Pad", *given, mode=_PADS[kind]), shape)


def pixel_shuffle(step: Step) -> Blob:
    """PixelShuffle: channels become pixels."""
    step.check_rank(3)
    factor, mode = step.whole(0, 1), step.whole(1)
    channels, height, width = step.blob.shape
    if mode not in (0, 1) or factor < 1 or not channels or channels % factor**2:
        raise step.misfit(f"makes {channels} channels {factor}² pixels, in the mode {mode}")
    way = "DCR" if mode else "CRD"
    name = step.graph.add("DepthToSpace", step.blob.name, blocksize=factor, mode=way)
    sides = (None if side is None else side * factor for side in (height, width))
    return Blob(name, (channels // factor**2, *sides))


def reorg(step: Step) -> Blob:
    """Reorg: pixels become channels."""
    step.check_rank(3)
    factor, mode = step.whole(0, 1), step.whole(1)
    channels, height, width = step.blob.shape
    if mode not in (0, 1) or not 1 <= factor <= 64 or not channels:
        raise step.misfit(f"makes {factor}² pixels channels, in the mode {mode}")
    graph, name = step.graph, step.blob.name
    if mode == 0:  # those of one channel together
        name = graph.add("Transpose", name, perm=[1, 0, 2, 3])
    name = graph.add("SpaceToDepth", name, blocksize=factor)
    if mode == 0:
        name = shaped(graph, name, [1, channels * factor**2, 0, 0])
    sides = (None if side is None else side // factor for side in (height, width))
    return Blob(name, (channels * factor**2, *sides))


def shuffle_channel(step: Step) -> Blob:
    """ShuffleChannel: the channels of several groups, taken in turn."""
    step.check_rank(3)
    groups, channels = step.whole(0, 1), step.blob.shape[0]
    if groups < 1 or not channels or channels % groups:
        raise step.misfit(f"shuffles {channels} channels in {groups} groups")
    if step.whole(1):
        groups = channels // groups
    each = channels // groups
    order = [group * each + place for place in range(each) for group in range(groups)]
    return step.same(step.graph.add("Gather", step.blob.name, step.graph.wholes(order), axis=1))


def tile(step: Step) -> Blob:
    """Tile: repeated along its axes."""
    rank = step.blob.rank
    repeats = step.layer.wholes(2)
    if not repeats:
        repeats = [1] * rank
        repeats[step.axis(step.whole(0), rank)] = step.whole(1, 1)
    if len(repeats) > rank or min(repeats) < 1 or max(repeats) > 4096:
        raise step.misfit(f"repeats a blob of {rank} axes {repeats} times")
    repeats = [1] * (rank - len(repeats)) + repeats
    sides = zip(step.blob.shape, repeats, strict=True)
    shape = tuple(None if side is None else side * count for side, count in sides)
    return Blob(step.graph.add("Tile", step.blob.name, step.graph.wholes([1, *repeats])), shape)
