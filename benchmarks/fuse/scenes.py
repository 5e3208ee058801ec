"""Scenes: photographs of the validation part, and rendered number plates of six countries."""

from __future__ import annotations

import importlib.util
import string
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks.fuse.camera import MARGIN, SCALE, Floats, Scene
from enlarge.data.photos import list_photos, read_rgb
from enlarge.training.config import data_root

LETTERS = "".join(sorted(set(string.ascii_uppercase) - set("IOQ")))
"""Letters of the plates. I, O and Q are left out, as on the plates of several countries: no reader
tells them from digits by their shape.
"""


@dataclass(frozen=True)
class Style:
    """A country's plates: how the text is formed (A a letter, 9 a digit), font and colours."""

    form: str
    font: str
    ground: tuple[int, int, int]
    ink: tuple[int, int, int]
    band: tuple[int, int, int] | None = None  # at the left


STYLES = {
    "Germany": Style("A AA 999", "DejaVuSans-Bold", (244, 244, 240), (16, 16, 18), (20, 60, 150)),
    "United Kingdom": Style("AA99 AAA", "Lato-Black", (240, 205, 60), (14, 14, 14)),
    "United States": Style("9AAA999", "FjallaOne-Regular", (238, 240, 246), (30, 46, 110)),
    "France": Style(
        "AA-999-AA", "HankenGrotesk-Bold", (246, 246, 244), (12, 12, 12), (20, 60, 150)
    ),
    "India": Style("AA 99 AA 9999", "DejaVuSansCondensed-Bold", (236, 236, 230), (20, 20, 20)),
    "Netherlands": Style(
        "99-AAA-9", "DejaVuSansMono-Bold", (244, 190, 40), (14, 14, 20), (20, 60, 150)
    ),
}
"""DejaVu is Debian's fonts-dejavu-core, which matplotlib carries too; the others come from PyPI:
font-lato, font-fjallaone, font-hanken-grotesk. All are free.
"""
_PACKAGES = {"Lato": "font_lato", "Fjalla": "font_fjallaone", "Hanken": "font_hanken_grotesk"}


@dataclass(frozen=True)
class Plate:
    """A rendered plate: its scene, the text without spaces and dashes, its country, the height of
    a character in LR pixels, and where the line of text lies in the region, in scene pixels.
    """

    scene: Scene
    text: str
    country: str
    height: int
    line: tuple[int, int, int, int]


def photographs(count: int) -> list[Scene]:
    """The first `count` photographs of the part `valid`, of up to 480 × 320 pixels."""
    found = []
    for path in list_photos(data_root() / "photos", ["valid"])[:count]:
        high = read_rgb(path).astype(np.float32)
        across, down = (480, 320) if high.shape[1] >= high.shape[0] else (320, 480)
        y, x = (high.shape[0] - down) // 2, (high.shape[1] - across) // 2
        found.append(whole(path.stem, np.ascontiguousarray(high[y : y + down, x : x + across])))
    return found


def whole(name: str, pixels: Floats) -> Scene:
    """A scene whose region is everything but the margin."""
    height, width = (side // SCALE for side in pixels.shape[:2])
    return Scene(name, pixels, (MARGIN, MARGIN, width - 2 * MARGIN, height - 2 * MARGIN))


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font by its file's name."""
    for start, package in _PACKAGES.items():
        if name.startswith(start):
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:
                raise SystemExit(f"the plates need: pip install {package.replace('_', '-')}")
            file = next((Path(spec.origin).parent / "files").glob(f"{name}.*"))
            return ImageFont.truetype(str(file), size)
    return ImageFont.truetype(f"{name}.ttf", size)


def sized_font(name: str, height: int) -> ImageFont.FreeTypeFont:
    """The font in which an H is `height` pixels high."""
    trial = font(name, 200)
    _, top, _, bottom = trial.getbbox("H")
    return font(name, round(200 * height / (bottom - top)))


def text_of(form: str, random: np.random.Generator) -> str:
    """A random text of a form."""
    sets = {"A": LETTERS, "9": string.digits}
    return "".join(str(random.choice(list(sets[c]))) if c in sets else c for c in form)


def plate(country: str, height: int, random: np.random.Generator) -> Plate:
    """A plate with characters of `height` LR pixels on a car's body; the region is the plate."""
    style = STYLES[country]
    text = text_of(style.form, random)
    fine = 4  # rendered at a multiple of the scene, for smooth edges
    tall = fine * SCALE * height
    face = sized_font(style.font, tall)
    left, _, right, _ = (int(side) for side in face.getbbox(text))
    across, down = right - left + round(1.6 * tall), round(1.9 * tall)
    edge = fine * SCALE * (MARGIN + 4)
    unit = fine * SCALE * 4
    width, full = (-(-(side + 2 * edge) // unit) * unit for side in (across, down))
    image = Image.new("RGB", (width, full), (0, 0, 0))
    image.paste(_body(width, full, random))
    draw = ImageDraw.Draw(image)
    x, y = (width - across) // 2, (full - down) // 2
    box = (x, y, x + across, y + down)
    draw.rounded_rectangle(box, tall // 6, style.ground, (24, 24, 24), max(1, tall // 18))
    inset = 0
    if style.band is not None:
        inset = round(0.5 * tall)
        draw.rectangle(
            (x + tall // 10, y + tall // 10, x + inset, y + down - tall // 10), style.band
        )
    at = (x + (across + inset - (right - left)) // 2 - left, y + (down - tall) // 2 - _cap(face))
    draw.text(at, text, style.ink, face)
    small = image.resize((width // fine, full // fine), Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float32)
    frame = fine * SCALE
    region = (x // frame - 2, y // frame - 2, -(-across // frame) + 4, -(-down // frame) + 4)
    seen = draw.textbbox(at, text, face)
    line = tuple(
        round(side / fine) - SCALE * region[number % 2] for number, side in enumerate(seen)
    )
    scene = Scene(f"{country}, {height} px", pixels, region)
    plain = "".join(c for c in text if c.isalnum())
    return Plate(scene, plain, country, height, (line[0], line[1], line[2], line[3]))


def _cap(face: ImageFont.FreeTypeFont) -> int:
    """From where text is drawn down to the top of its capitals."""
    return int(face.getbbox("H")[1])


def _body(width: int, height: int, random: np.random.Generator) -> Image.Image:
    """A car's painted body: one colour, lit from above, with a fine texture."""
    colour = random.uniform(40, 170, 3).astype(np.float32)
    light = np.linspace(1.25, 0.75, height, dtype=np.float32)[:, None, None]
    grain = random.normal(0, 1, (height // 24 + 1, width // 24 + 1)).astype(np.float32)
    grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return Image.fromarray((colour * light + 7 * grain).clip(0, 255).astype(np.uint8))


def before_still(moving: Plate, behind: Floats) -> Scene:
    """The plate, which moves, before a photograph, which stands still."""
    scene = moving.scene
    height, width = scene.pixels.shape[:2]
    x, y, across, down = (SCALE * side for side in scene.region)
    shape = np.zeros((height, width), np.float32)
    shape[y + 4 : y + down - 4, x + 4 : x + across - 4] = 1
    still = cv2.resize(behind, (width, height), interpolation=cv2.INTER_AREA)
    return replace(
        scene, name=f"{scene.name}, before a still background", behind=still, shape=shape
    )
