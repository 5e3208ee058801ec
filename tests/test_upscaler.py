from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import enlarge
from enlarge.engines import TileSpec
from enlarge.errors import (
    BudgetError,
    EngineMemoryError,
    InputError,
    OptionError,
    OutputError,
    WeightsError,
)
from enlarge.media.metadata.provenance import provenance_of
from enlarge.media.reading import open_picture
from enlarge.memory import resident
from enlarge.picture.outlook import target_size
from enlarge.picture.passes import Pass, working_set
from enlarge.settings import Settings
from tests.precisions import require


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_flat_pictures_stay_flat(value: int, precision: str) -> None:
    require(precision)
    large = enlarge.upscale(np.full((90, 110, 3), value, np.uint8), precision=precision)
    assert np.abs(large.astype(int) - value).max() <= 1
    if value == 255:
        assert (large == 255).all()


def test_a_16_bit_gradient_keeps_its_levels() -> None:
    line = np.linspace(0, 65535, 512).round().astype(np.uint16)
    large = enlarge.upscale(np.tile(line, (24, 1)))
    assert large.dtype == np.uint16
    assert len(np.unique(large)) > 10_000


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 2), (9, 7, 3), (9, 7, 4)])
def test_an_array_comes_back_as_it_went_in(
    dtype: Any, shape: tuple[int, ...], ensemble: bool
) -> None:
    image = np.random.default_rng(1).random(shape).astype(np.float32)
    if dtype != np.float32:
        image = (image * np.iinfo(dtype).max).astype(dtype)
    large = enlarge.upscale(image, ensemble=ensemble)
    assert large.dtype == dtype
    assert large.shape == (36, 28, *shape[2:])


@pytest.mark.parametrize("ensemble", [False, True])
def test_depths_agree(ensemble: bool) -> None:
    image = np.random.default_rng(2).integers(0, 256, (20, 30, 3), np.uint8)
    upscale = partial(enlarge.upscale, ensemble=ensemble)
    by_8 = upscale(image, precision="f32") / 255
    by_16 = upscale(image.astype(np.uint16) * np.uint16(257)) / 65535
    by_float = upscale(image.astype(np.float32) / np.float32(255))
    assert np.abs(by_16 - by_float).max() <= 0.6 / 65535 + 1e-6
    assert np.abs(by_8 - by_float).max() <= 0.5 / 255 + 1e-4


def test_gray_is_the_mean_of_what_rgb_gives() -> None:
    gray = np.random.default_rng(3).random((20, 30)).astype(np.float32)
    colour = enlarge.upscale(np.dstack([gray] * 3))
    inside = (colour.min(axis=2) > 0) & (colour.max(axis=2) < 1)  # clamping is not linear
    assert inside.mean() > 0.5
    assert np.abs(enlarge.upscale(gray) - colour.mean(axis=2))[inside].max() <= 1e-5


@pytest.mark.parametrize("ensemble", [False, True])
def test_alpha_is_enlarged_as_a_gray_picture(ensemble: bool) -> None:
    random = np.random.default_rng(4)
    colour = random.integers(0, 256, (24, 30, 3), np.uint8)
    alpha = random.integers(1, 256, (24, 30, 1), np.uint8)
    large = enlarge.upscale(np.concatenate([colour, alpha], axis=2), ensemble=ensemble)
    assert np.array_equal(large[..., :3], enlarge.upscale(colour, ensemble=ensemble))
    assert np.array_equal(large[..., 3:], enlarge.upscale(alpha, ensemble=ensemble))


@pytest.mark.parametrize("ensemble", [False, True])
def test_an_opaque_picture_stays_opaque(ensemble: bool) -> None:
    image = np.full((24, 30, 4), 255, np.uint8)
    image[..., :3] = np.random.default_rng(5).integers(0, 256, (24, 30, 3))
    for scale in (2, 4):
        assert (enlarge.upscale(image, scale=scale, ensemble=ensemble)[..., 3] == 255).all()


def test_resampled_colour_does_not_bleed_from_transparent_pixels() -> None:
    """Premultiplied where resampled: red next to transparent green stays red."""
    image = np.zeros((16, 32, 4), np.uint8)
    image[:, :16] = (200, 30, 30, 255)
    image[:, 16:] = (0, 255, 0, 0)
    large = enlarge.upscale(image, scale=2).astype(int)
    visible = large[large[..., 3] > 32]
    assert np.abs(visible[:, :3] - (200, 30, 30)).max() <= 12


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pillow_modes_without_a_range_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match=f"mode {mode}"):
        enlarge.upscale(Image.new(mode, (8, 8)))


def test_pillow_transparency_becomes_alpha() -> None:
    image = Image.new("RGB", (8, 8), (0, 0, 0))
    image.info["transparency"] = (0, 0, 0)
    assert enlarge.upscale(image).mode == "RGBA"


def test_big_endian_and_broken_values() -> None:
    image = np.random.default_rng(10).integers(0, 65536, (8, 9), np.uint16)
    assert np.array_equal(enlarge.upscale(image.astype(">u2")), enlarge.upscale(image))
    with pytest.raises(InputError, match="NaN"):
        enlarge.upscale(np.full((8, 8, 3), np.nan, np.float32))


def test_constant_float_alpha_is_clamped() -> None:
    image = np.full((8, 8, 4), 0.5, np.float32)
    image[..., 3] = 1.5
    assert enlarge.upscale(image)[..., 3].max() == 1


def test_a_tile_that_is_nearly_all_halo_is_refused() -> None:
    with pytest.raises(OptionError, match="at least 66"):
        enlarge.upscale(np.zeros((200, 200, 3), np.uint8), scale=3, tile=44)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "P", "1", "CMYK"])
def test_pillow_in_pillow_out(mode: str) -> None:
    base = Image.fromarray(np.random.default_rng(6).integers(0, 256, (12, 10, 4), np.uint8))
    image = base.convert("RGB").convert(mode) if mode in ("P", "CMYK") else base.convert(mode)
    large = enlarge.upscale(image)
    assert large.size == (40, 48)
    assert large.mode == (mode if mode in ("L", "LA", "RGB", "RGBA", "I;16") else "RGB")


def test_paths(tmp_path: Path) -> None:
    image = np.random.default_rng(7).integers(0, 256, (12, 10, 3), np.uint8)
    source = tmp_path / "사진.png"
    Image.fromarray(image).save(source)
    wanted = enlarge.upscale(image)
    assert np.array_equal(enlarge.upscale(source), wanted)
    written = enlarge.upscale(source, output=tmp_path / "큰 사진.png")
    assert np.array_equal(np.asarray(Image.open(written)), wanted)
    with pytest.raises(OutputError, match="--overwrite"):
        enlarge.upscale(source, output=written)


def test_an_ensemble_in_a_file(tmp_path: Path) -> None:
    """It holds what the array holds, and says so."""
    image = np.random.default_rng(7).integers(0, 256, (12, 10, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    for ensemble in (False, True):
        target = tmp_path / f"{ensemble}.png"
        enlarge.upscale(tmp_path / "a.png", output=target, ensemble=ensemble)
        wanted = enlarge.upscale(image, ensemble=ensemble)
        assert np.array_equal(np.asarray(Image.open(target)), wanted)
        with open_picture(target) as picture:
            facts = provenance_of(picture.metadata)
        assert facts is not None
        assert facts.get("ensemble") == ("yes" if ensemble else None)


def test_an_ensemble_is_reckoned_with() -> None:
    """Its sums in float, and a tile that is not square in both its shapes."""
    card = enlarge.open_model("fast").card
    plain = Pass(500, 400, 2000, 1600, 3, 1)
    eight = replace(plain, ensemble=True)
    assert eight.halo(card, exact=False) == plain.halo(card, exact=False)
    sums = 16 * 4 * 4 * 3 * 256 * 128
    both = working_set(card, 256 * 128)
    assert eight.bytes(card, 256, 128, 90) - plain.bytes(card, 256, 128, 90) == both + sums
    assert eight.bytes(card, 128, 128, 90) - plain.bytes(card, 128, 128, 90) == sums // 2


def test_crop() -> None:
    image = np.random.default_rng(8).integers(0, 256, (40, 50, 3), np.uint8)
    part = enlarge.upscale(image, crop=(10, 5, 30, 20))
    assert np.array_equal(part, enlarge.upscale(image[5:25, 10:40]))
    with pytest.raises(OptionError, match="crop"):
        enlarge.upscale(image, crop=(30, 0, 30, 20))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, (400, 280)),
        ({"scale": 1}, (100, 70)),
        ({"scale": 2.345}, (235, 164)),
        ({"width": 333}, (333, 233)),
        ({"height": 140}, (200, 140)),
        ({"width": 300, "height": 300}, (300, 300)),
    ],
)
def test_target_sizes(options: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert target_size(100, 70, Settings(**options), factor=4) == wanted


@pytest.mark.parametrize(
    "options",
    [{"scale": 0.5}, {"scale": 17}, {"scale": float("nan")}, {"width": 9}, {"height": 10**6},
     {"scale": 2, "width": 30}, {"threads": -3}, {"crop": (0, 0, 5)},
     {"tile": "big"}, {"memory": "much"},
     {"precision": "f12"}, {"engine": "abacus"}],
)  # fmt: skip
def test_impossible_wishes(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        enlarge.upscale(np.zeros((10, 10, 3), np.uint8), **options)


@pytest.mark.parametrize(
    "image", [None, 3, np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4, 3), np.int64),
              np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)],
)  # fmt: skip
def test_what_is_no_picture(image: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        enlarge.upscale(image)


def test_a_budget_that_is_too_small_names_the_smallest_that_works() -> None:
    image = np.zeros((2000, 300, 3), np.uint8)
    with pytest.raises(BudgetError, match=r"the smallest that works is [\d.]+ [MG]B"):
        enlarge.upscale(image, memory="100MB")


def test_what_cannot_be_decoded_within_the_budget_is_refused_before(tmp_path: Path) -> None:
    """WebP comes all at once: 8 bytes a pixel."""
    path = tmp_path / "a.webp"
    Image.new("RGB", (4000, 2500), "teal").save(path, quality=1)
    before = resident()
    with pytest.raises(BudgetError, match=r"decoding a 4,000×2,500 WEBP takes .* use --memory"):
        enlarge.upscale(path, memory="60MB")
    with pytest.raises(BudgetError, match="decoding"):
        enlarge.upscale(path, output=tmp_path / "b.png", memory="60MB")
    assert resident() - before < 30_000_000
    assert not (tmp_path / "b.png").exists()


def test_unknown_models(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there are: .*fast"):
        enlarge.open_model("fastest")
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match=r"model\.onnx"):
        enlarge.open_model(tmp_path / "model.onnx")


def test_public_names() -> None:
    for name in enlarge.__all__:
        assert getattr(enlarge, name) is not None
    assert enlarge.models()[0].name == "fast"


class Cramped:
    """An engine that runs out of memory on tiles above a side, and repeats pixels below it."""

    name, device, precision, memory_factor = "cramped", "cpu", "f32", 1.0

    def __init__(self, most: int) -> None:
        self.most, self.tried = most, []  # type: ignore[var-annotated]

    def forget(self) -> bool:
        return False

    def session(self, spec: TileSpec) -> Any:
        self.tried.append((spec.width, spec.height))
        if max(spec.width, spec.height) > self.most:
            raise EngineMemoryError("no room")
        return lambda tile: tile.repeat(4, axis=0).repeat(4, axis=1)


def test_out_of_memory_takes_the_next_rung_down(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Cramped(128)
    monkeypatch.setattr("enlarge.picture.model.pick_engine", lambda *_, **__: engine)
    image = np.random.default_rng(9).integers(0, 256, (300, 280, 3), np.uint8)
    large = enlarge.upscale(image)
    assert np.array_equal(large, image.repeat(4, axis=0).repeat(4, axis=1))
    assert max(engine.tried[0]) > 128
    assert max(engine.tried[-1]) <= 128
    monkeypatch.setattr(engine, "most", 10)
    with pytest.raises(BudgetError, match=r"smallest tiles.*\(no room\)"):
        enlarge.upscale(image)


def test_the_output_is_never_the_input(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source)
    before = source.read_bytes()
    (tmp_path / "link.png").symlink_to(source)
    for target in (source, tmp_path / "link.png"):
        with pytest.raises(OutputError, match="is the input; choose another one"):
            enlarge.upscale(source, output=target, overwrite=True)
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata": None}, "metadata is one of keep, no-gps, none, got None"),
        ({"metadata": "None"}, "got 'None'"),
        ({"quality": 50}, "quality 50 and png contradict each other"),
    ],
)
def test_options_of_a_file_are_checked(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source)
    with pytest.raises(OptionError, match=said):
        enlarge.upscale(source, output=target, **options)
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scal": 2}, "unexpected keyword argument 'scal'"),
        ({"quality": 90}, "quality= only with output="),
        ({"overwrite": True}, "overwrite= only with output="),
    ],
)
def test_keywords_that_do_not_apply(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        enlarge.upscale(np.zeros((8, 8, 3), np.uint8), **options)


def test_no_model_is_the_default_one() -> None:
    image = np.random.default_rng(8).integers(0, 256, (9, 8, 3), np.uint8)
    assert np.array_equal(enlarge.upscale(image, model=None), enlarge.upscale(image))


def test_a_result_that_no_memory_holds_is_refused_before_it_is_made() -> None:
    wide = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (500_000, 500_000, 3))
    with pytest.raises(BudgetError, match=r"8,000,000×8,000,000 pixels, takes 192 TB"):
        enlarge.upscale(wide, scale=16)


def test_floats_of_another_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"in \[0, 1\], got up to 200; divide them"):
        enlarge.upscale(np.full((8, 8, 3), 200, np.float32))
    assert enlarge.upscale(np.full((8, 8, 3), 1.1, np.float32)).max() == 1


def test_pillow_keeps_a_profile_only_where_it_fits() -> None:
    """A CMYK picture goes through its profile, as a file does; a gray one's is none of RGB's."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = Image.fromarray(np.full((8, 8, 3), 90, np.uint8))
    plain.info["icc_profile"] = srgb
    assert enlarge.upscale(plain).info["icc_profile"] == srgb
    for profile in (srgb[:16] + b"GRAY" + srgb[20:], srgb[:16] + b"CMYK" + srgb[20:]):
        for image in (plain.copy(), plain.convert("CMYK")):
            image.info["icc_profile"] = profile
            assert "icc_profile" not in enlarge.upscale(image).info
