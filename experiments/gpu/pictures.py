"""Photographs on the GPU: tiles decoded, degraded and laid out flat, and batches cut from them."""

from __future__ import annotations

import functools
import io
import json
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """An HR tile and its low-resolution partner for each factor (uint8 H×W×3)."""

    name: str
    high: Pixels
    low: dict[int, Pixels]


def decode_rgb(data: bytes) -> Pixels:
    """A JPEG XL file as uint8 H×W×3."""
    import pillow_jxl  # noqa: F401  (registers the JPEG XL decoder)
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _decode(item: tuple[str, bytes, float], scales: Sequence[int]) -> Tile:
    from PIL import Image

    from enlarge.media.resample import imresize

    name, data, reduce = item
    image = Image.fromarray(decode_rgb(data))
    if reduce != 1.0:
        size = (round(image.width * reduce), round(image.height * reduce))
        image = image.resize(size, Image.Resampling.LANCZOS)
        name = f"{name}@{reduce}"
    high = np.asarray(image)
    if name.startswith("city-"):
        return Tile(name, high, {})
    height, width = (side - side % max(scales) for side in high.shape[:2])
    high = np.ascontiguousarray(high[:height, :width])
    return Tile(name, high, {s: imresize(high, height // s, width // s) for s in scales})


def packed(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The names and files of a pack, as `pack.write` left them."""
    data = (folder / "pictures.bin").read_bytes()
    start = 0
    for name, size in json.loads((folder / "pictures.json").read_text()):
        yield name, data[start : start + size]
        start += size


def as_tensors(low: Pixels, high: Pixels, device: torch.device) -> tuple[Tensor, Tensor]:
    """A pair to judge by, (3, H, W) and uint8 each, on the device."""
    lows, highs = (torch.from_numpy(side).permute(2, 0, 1).to(device) for side in (low, high))
    return lows, highs


def read(
    folder: Path, *, smaller: Sequence[float], scales: Sequence[int], workers: int, first: int = 0
) -> list[Tile]:
    """Every picture of a pack, training tiles of 384 and more also reduced to each `smaller`."""
    items = [(name, data, 1.0) for name, data in packed(folder)]
    items = items[:first] if first else items
    decode = functools.partial(_decode, scales=scales)
    with ProcessPoolExecutor(workers) as pool:
        tiles = list(pool.map(decode, items, chunksize=4))
        again = [
            (name, data, reduce)
            for (name, data, _), tile in zip(items, tiles, strict=True)
            if name.startswith("train/") and min(tile.high.shape[:2]) >= 384
            for reduce in smaller
        ]
        return tiles + list(pool.map(decode, again, chunksize=4))


def ensembled(network: nn.Module, low: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] to the mean of a network's outputs over the eight orientations."""
    total = torch.zeros((), device=low.device)
    for turn in (False, True):
        for sides in ((), (-1,), (-2,), (-2, -1)):
            seen = (low.mT if turn else low).flip(sides).contiguous()
            with torch.autocast(low.device.type, torch.bfloat16, cache_enabled=False):
                out = network(seen)
            out = out.float().flip(sides)
            total = total + (out.mT if turn else out) / 8
    return total


class Pool:
    """Pairs of tiles lying flat on a device, and random patches cut from them there.

    `pairs`: (low, high, weight); a tile is drawn by its area times its weight.
    """

    def __init__(
        self, pairs: Sequence[tuple[Pixels, Pixels, float]], scale: int, device: torch.device
    ) -> None:
        self.scale = scale
        self.device = device
        places: dict[int, int] = {}  # HR tiles that several pairs share are kept once
        highs: list[Pixels] = []
        end = 0
        for _, high, _ in pairs:
            if id(high) not in places:
                places[id(high)] = end
                highs.append(high.reshape(-1, 3))
                end += len(highs[-1])
        lows = [low.reshape(-1, 3) for low, _, _ in pairs]
        self.low = torch.from_numpy(np.concatenate(lows)).to(device)
        self.high = torch.from_numpy(np.concatenate(highs)).to(device)
        lengths = np.cumsum([0, *map(len, lows)])[:-1]

        def whole(values: Sequence[int]) -> Tensor:
            return torch.tensor(values, dtype=torch.int64, device=device)

        self.low_at = whole([int(length) for length in lengths])
        self.high_at = whole([places[id(high)] for _, high, _ in pairs])
        self.rows = whole([low.shape[0] for low, _, _ in pairs])
        self.columns = whole([low.shape[1] for low, _, _ in pairs])
        mass = np.cumsum(
            [len(flat) * weight for flat, (_, _, weight) in zip(lows, pairs, strict=True)]
        )
        self.mass = torch.tensor(mass / mass[-1], dtype=torch.float64, device=device)
        self.taught: Tensor | None = None

    @torch.no_grad()
    def teach(self, network: nn.Module) -> None:
        """Keep what a network makes of every LR tile (the mean over its eight orientations)."""
        self.taught = torch.empty_like(self.high)
        alike: dict[tuple[int, int], list[int]] = {}
        shapes = zip(self.rows.tolist(), self.columns.tolist(), strict=True)
        for tile, shape in enumerate(shapes):
            alike.setdefault(shape, []).append(tile)
        for (rows, columns), tiles in alike.items():
            inside = torch.arange(rows * columns, device=self.device)
            outside = torch.arange(rows * columns * self.scale**2, device=self.device)
            for some in torch.tensor(tiles, device=self.device).split(8):
                low = self.low[self.low_at[some, None] + inside].view(-1, rows, columns, 3)
                made = ensembled(network, low.permute(0, 3, 1, 2).float() / 255.0)
                pixels = made.clamp(0, 1).mul(255.0).round().byte().permute(0, 2, 3, 1)
                place = self.high_at[some, None] + outside
                self.taught[place] = pixels.reshape(len(some), -1, 3)

    def batch(
        self, count: int, patch: int, flat: float, turned: str = "dihedral"
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """LR (B, 3, p, p), HR (B, 3, sp, sp) and what was taught for it, all in [0, 1], and which
        are of one colour, (B,).

        All eight orientations, or horizontal and vertical flips, or none. A share `flat` is
        replaced by patches of one colour, a third of those black or white.
        """
        device = self.device
        drawn = torch.rand(count, dtype=torch.float64, device=device)
        tile = torch.searchsorted(self.mass, drawn).clamp_(max=len(self.rows) - 1)
        rows, columns = self.rows[tile], self.columns[tile]
        y = (torch.rand(count, device=device) * (rows - patch + 1)).long()
        x = (torch.rand(count, device=device) * (columns - patch + 1)).long()
        turn, down, across = torch.randint(0, 2, (3, count, 1, 1), device=device).bool()
        turn = turn & (turned == "dihedral")
        down, across = down & (turned != "none"), across & (turned != "none")

        def cut(flat_pixels: Tensor, at: Tensor, factor: int) -> Tensor:
            side = patch * factor
            axis = torch.arange(side, device=device)
            row, column = axis[None, :, None], axis[None, None, :]
            row, column = torch.where(turn, column, row), torch.where(turn, row, column)
            row = torch.where(down, side - 1 - row, row) + (y * factor)[:, None, None]
            column = torch.where(across, side - 1 - column, column) + (x * factor)[:, None, None]
            place = at[:, None, None] + row * (columns * factor)[:, None, None] + column
            return flat_pixels[place].permute(0, 3, 1, 2).float() / 255.0

        low, high = (
            cut(self.low, self.low_at[tile], 1),
            cut(self.high, self.high_at[tile], self.scale),
        )
        taught = high
        if self.taught is not None:
            taught = cut(self.taught, self.high_at[tile], self.scale)
        plain = torch.rand(count, device=device) < flat
        colour = torch.randint(0, 256, (count, 3, 1, 1), device=device).float() / 255.0
        extreme = torch.randint(0, 2, (count, 1, 1, 1), device=device).float()
        often = torch.rand(count, 1, 1, 1, device=device) < 1 / 3
        colour = torch.where(often, extreme, colour)
        shown = plain[:, None, None, None]
        low, high, taught = (torch.where(shown, colour, each) for each in (low, high, taught))
        return low, high, taught, plain


def _degrade(task: tuple[str, Pixels, str, int]) -> tuple[Pixels, Pixels | None]:
    from enlarge.data.degradations import chain_of

    _, high, chain, seed = task
    low, changed = chain_of(chain)(high, 4, np.random.default_rng(seed))
    return low, (None if changed is high or chain != "old" else changed)


CHAINS = {"compressed": 0.34, "cctv": 0.24, "old": 0.17, "real": 0.18, "bicubic": 0.07}


def degrade(tiles: Sequence[Tile], folder: Path, *, workers: int, sets: int, seed: int) -> None:
    """Write `sets` files, each with one degraded partner for every training tile."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    train = [tile for tile in tiles if tile.name.startswith("train/") and "@" not in tile.name]
    with ProcessPoolExecutor(workers) as pool:
        for number in range(sets):
            chains = random.choice(list(CHAINS), len(train), p=list(CHAINS.values()))
            seeds = random.integers(0, 2**31, len(train))
            tasks = [
                (tile.name, tile.high, str(chain), int(seed))
                for tile, chain, seed in zip(train, chains, seeds, strict=True)
            ]
            made = list(pool.map(_degrade, tasks, chunksize=8))
            done = {task[0]: pair for task, pair in zip(tasks, made, strict=True)}
            part = folder / f"{number:03}.part"
            part.write_bytes(pickle.dumps(done, protocol=5))
            part.rename(folder / f"{number:03}.pickle")


def degraded_pairs(
    tiles: Sequence[Tile], folder: Path, city: float
) -> list[tuple[Pixels, Pixels, float]]:
    """The degraded pairs that are ready, and City100's with a share `city` of all draws."""
    highs = {tile.name: tile.high for tile in tiles}
    pairs: list[tuple[Pixels, Pixels, float]] = []
    for path in sorted(folder.glob("*.pickle")):
        for name, (low, changed) in pickle.loads(path.read_bytes()).items():
            pairs.append((low, highs[name] if changed is None else changed, 1.0))
    photographed = []
    for name, high in highs.items():
        if name.startswith("city-high/"):
            low = highs[name.replace("high", "low")]
            height, width = low.shape[:2]
            photographed.append((low, np.ascontiguousarray(high[: 4 * height, : 4 * width])))
    ours = sum(low.size for low, _, _ in pairs)
    theirs = sum(low.size for low, _ in photographed)
    weight = city / (1.0 - city) * ours / theirs if pairs else 1.0
    return [*pairs, *((low, high, weight) for low, high in photographed)]
