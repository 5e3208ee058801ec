"""Screenshots and drawings, made here: the same scene drawn at ×1 and at ×4."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
SIZE = (200, 150)
"""Width and height of the small one."""
_WORDS = tuple(
    "File Edit View Window Help the quick brown fox jumps over a lazy dog Save as Cancel OK "  # noqa: SIM905
    "Settings Network 192.168.0.1 error: no such file total 1,204.50 Monday".split()
)


class Drawn(NamedTuple):
    """A scene at ×1, (h, w, 3), and at ×4, uint8 RGB."""

    name: str
    low: Pixels
    high: Pixels


@dataclass
class Scene:
    """A drawing at a scale; what is drawn depends on the seed alone."""

    scale: int
    random: np.random.Generator
    background: tuple[int, ...]

    def __post_init__(self) -> None:
        self.image = Image.new("RGB", (SIZE[0] * self.scale, SIZE[1] * self.scale), self.background)
        self.draw = ImageDraw.Draw(self.image)

    def colour(self) -> tuple[int, ...]:
        """A random one."""
        return tuple(int(value) for value in self.random.integers(0, 256, 3))

    def box(self) -> list[int]:
        """A random rectangle."""
        x, y = self.random.integers(0, SIZE[0] - 40), self.random.integers(0, SIZE[1] - 30)
        width, height = self.random.integers(15, 80), self.random.integers(8, 60)
        return [int(value) * self.scale for value in (x, y, x + width, y + height)]

    def text(self, x: int, y: int, size: int, colour: tuple[int, ...], words: int) -> None:
        """A line of words."""
        line = " ".join(self.random.choice(_WORDS, words))
        font = ImageFont.load_default(size * self.scale)
        self.draw.text((x * self.scale, y * self.scale), line, colour, font)


def screenshot(scene: Scene) -> None:
    """A window with a bar, buttons and lines of text."""
    s, random = scene.scale, scene.random
    dark = scene.background[0] < 128
    ink = (230, 230, 230) if dark else (20, 20, 25)
    bar = scene.colour()
    scene.draw.rectangle((0, 0, SIZE[0] * s, 16 * s), bar)
    scene.text(6, 2, 10, (255, 255, 255), 3)
    for row in range(22, SIZE[1] - 24, int(random.integers(11, 17))):
        scene.text(int(random.integers(4, 14)), row, int(random.integers(8, 11)), ink, 5)
    for at in range(2):
        x = (20 + 70 * at) * s
        place = (x, (SIZE[1] - 20) * s, x + 50 * s, (SIZE[1] - 4) * s)
        scene.draw.rounded_rectangle(place, 4 * s, scene.colour(), ink, s)


def drawing(scene: Scene) -> None:
    """Shapes, lines and a title in flat colours."""
    s, random = scene.scale, scene.random
    for _ in range(int(random.integers(4, 9))):
        shape = scene.draw.ellipse if random.random() < 0.5 else scene.draw.rectangle
        outline = scene.colour() if random.random() < 0.6 else None
        shape(scene.box(), scene.colour(), outline, s * int(random.integers(1, 3)))
    for _ in range(int(random.integers(2, 6))):
        ends = random.integers(0, min(SIZE), 4) * s
        scene.draw.line(ends.tolist(), scene.colour(), s * int(random.integers(1, 4)))
    scene.text(8, 6, int(random.integers(12, 22)), scene.colour(), 2)


def drawn(count: int, *, seed: int = 0) -> Iterator[Drawn]:
    """As many screenshots, and as many drawings."""
    for kind in (screenshot, drawing):
        for number in range(count):
            random = np.random.default_rng([seed, number])
            background = tuple(int(value) for value in random.integers(0, 256, 3))
            if kind is screenshot:
                background = ((250, 250, 250), (30, 32, 38), (236, 240, 245))[number % 3]
            made = []
            for scale in (1, 4):
                scene = Scene(scale, np.random.default_rng([seed, number, 1]), background)
                kind(scene)
                made.append(np.asarray(scene.image))
            yield Drawn(f"{kind.__name__} {number}", *made)
