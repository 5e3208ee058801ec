"""Pictures as they are written: read back by Pillow or libvips, in every value."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from enlarge.errors import OptionError, OutputError
from enlarge.media.formats import (
    WRITERS,
    check_output,
    encoder_bytes,
    estimate_bytes,
    format_of,
)
from enlarge.media.pixels import over_white, to_depth
from enlarge.media.reading import open_picture
from enlarge.media.writing import PictureSpec, Sink, WriteOptions, create_picture

RANDOM = np.random.default_rng(11)
STREAMED = [name for name, writer in WRITERS.items() if writer.to_stream]
LOSSLESS = ("png", "tiff", "webp")


def random(channels: int, dtype: type, height: int = 61, width: int = 43) -> NDArray[Any]:
    if dtype is np.float32:
        return RANDOM.random((height, width, channels), np.float32)
    return RANDOM.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype=dtype)


def begin(target: Any, image: NDArray[Any], form: str, **options: Any) -> Sink:
    height, width, channels = image.shape
    spec = PictureSpec(width, height, channels, image.dtype)
    return create_picture(target, spec, WriteOptions(form, **options))


def write(target: Any, image: NDArray[Any], form: str, band: int = 10, **options: Any) -> list[str]:
    with begin(target, image, form, **options) as sink:
        for start in range(0, len(image), band):
            sink.write(image[start : start + band])
        sink.finish()
    return sink.notes


def pillow(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def read(path: Path) -> NDArray[Any]:
    with open_picture(path) as picture:
        return picture.rows().read(10_000)


def test_nothing_of_a_picture_outlives_it(tmp_path: Path) -> None:
    """Not even until Python's collector comes by: of a batch that would be many pictures."""
    gc.disable()
    try:
        for stopped in (False, True):
            image = random(3, np.uint8)
            alive = weakref.ref(image)
            with begin(tmp_path / f"{stopped}.png", image, "png") as sink:
                sink.write(image, copy=False)
                if not stopped:
                    sink.finish()
            del image
            assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("band", [1, 16, 100])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_8_bits(tmp_path: Path, channels: int, band: int) -> None:
    image = random(channels, np.uint8)
    assert write(tmp_path / "한글.png", image, "png", band) == []
    back = pillow(tmp_path / "한글.png")
    np.testing.assert_array_equal(back.reshape(image.shape), image)
    assert [path.name for path in tmp_path.iterdir()] == ["한글.png"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_every_depth_and_channel_count(
    tmp_path: Path, form: str, channels: int, dtype: type
) -> None:
    image = random(channels, dtype)
    path = tmp_path / f"a.{form}"
    notes = write(path, image, form)
    back = pyvips.Image.new_from_file(str(path)).numpy().reshape(image.shape)
    if form == "png" and dtype is np.float32:
        assert notes == ["PNG holds 16 bits per channel: the 32 bits are rounded"]
        np.testing.assert_array_equal(back, np.floor(image * np.float32(65535) + np.float32(0.5)))
    else:
        assert notes == []
        np.testing.assert_array_equal(back, image)
    np.testing.assert_array_equal(read(path), back)


def test_gray_of_16_bits_stays_so_for_pillow(tmp_path: Path) -> None:
    image = random(1, np.uint16)
    write(tmp_path / "a.png", image, "png")
    np.testing.assert_array_equal(pillow(tmp_path / "a.png"), image[..., 0])


def test_jpeg_is_libvips_own_without_subsampling(tmp_path: Path) -> None:
    image = np.kron(random(3, np.uint8, 8, 8), np.ones((8, 8, 1), np.uint8))
    write(tmp_path / "a.jpg", image, "jpeg")
    made = pyvips.Image.new_from_array(image).copy(interpretation="srgb")
    expected = made.jpegsave_buffer(Q=95, subsample_mode="off")
    expected = np.asarray(Image.open(io.BytesIO(expected)))
    np.testing.assert_array_equal(pillow(tmp_path / "a.jpg"), expected)
    write(tmp_path / "b.jpg", image, "jpeg", quality=30)
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size


def test_gray_jpeg(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", random(1, np.uint8), "jpeg")
    assert pillow(tmp_path / "a.jpg").shape == (61, 43)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_transparency_on_jpeg_is_laid_over_white(tmp_path: Path, dtype: type) -> None:
    image = random(4, dtype)
    image[..., 3] = 0
    notes = write(tmp_path / "a.jpg", image, "jpeg")
    assert notes[0] == "JPEG holds no transparency: the picture is composited over white"
    assert len(notes) == (1 if dtype is np.uint8 else 2)
    assert (pillow(tmp_path / "a.jpg") == 255).all()


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_of_quality_100_is_lossless(tmp_path: Path, channels: int) -> None:
    image = random(channels, np.uint8)
    write(tmp_path / "a.webp", image, "webp", quality=100)
    np.testing.assert_array_equal(pillow(tmp_path / "a.webp"), image)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_avif_and_webp_take_every_channel_count(tmp_path: Path, channels: int) -> None:
    image = np.full((32, 32, channels), 200, np.uint8)
    for form in ("avif", "webp"):
        write(tmp_path / f"a.{form}", image, form)
        back = read(tmp_path / f"a.{form}").astype(int)
        assert np.abs(back - 200).max() <= 4
        assert (back.shape[2] in (2, 4)) == (channels in (2, 4))


def test_avif_of_16_bits_keeps_ten(tmp_path: Path) -> None:
    image = np.full((32, 32, 3), 40000, np.uint16)
    notes = write(tmp_path / "a.avif", image, "avif")
    assert notes == ["AVIF holds 10 bits per channel: the 16 bits are rounded"]
    back = read(tmp_path / "a.avif")
    assert back.dtype == np.uint16
    assert np.abs(back.astype(int) - 40000).max() < 300


def test_depths_are_rounded_to_the_nearest_level() -> None:
    every = np.arange(65536, dtype=np.uint16)
    expected = np.floor(every / 257 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(to_depth(every, np.dtype(np.uint8)), expected)
    eight = np.arange(256, dtype=np.uint8)
    floats = to_depth(eight, np.dtype(np.float32))
    np.testing.assert_array_equal(to_depth(floats, np.dtype(np.uint8)), eight)
    wide = to_depth(every, np.dtype(np.float32))
    np.testing.assert_array_equal(to_depth(wide, np.dtype(np.uint16)), every)


def test_over_white() -> None:
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        image = random(4, dtype)
        colour, alpha = image[..., :3].astype(float), image[..., 3:] / top
        expected = np.floor(colour * alpha + top * (1 - alpha) + 0.5)
        assert np.abs(over_white(image) - expected).max() <= 1
        np.testing.assert_array_equal(
            over_white(np.concatenate([image[..., :3], np.full_like(image[..., :1], top)], -1)),
            image[..., :3],
        )


@pytest.mark.parametrize("form", STREAMED)
def test_standard_output(form: str) -> None:
    image = random(3, np.uint8)
    stream = io.BytesIO()
    write(stream, image, form)
    with open_picture(stream.getvalue()) as picture:
        assert picture.facts.format == form
        back = picture.rows().read(1000)
    if form in ("png", "tiff"):
        np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("form", STREAMED)
def test_abort_and_exceptions_leave_nothing(tmp_path: Path, form: str) -> None:
    image = random(3, np.uint8)
    sink = begin(tmp_path / f"a.{form}", image, form)
    sink.write(image[:20])
    sink.abort()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="finished or aborted"):
        sink.write(image[20:])
    with pytest.raises(RuntimeError, match="mine"):
        fail_midway(tmp_path / "b", image, form)
    assert list(tmp_path.iterdir()) == []
    assert not [t for t in threading.enumerate() if t.name == "enlarge-write"]


def fail_midway(path: Path, image: NDArray[Any], form: str) -> None:
    with begin(path, image, form) as sink:
        sink.write(image[:20])
        raise RuntimeError("mine")


def test_a_picture_with_rows_missing_is_not_finished(tmp_path: Path) -> None:
    image = random(3, np.uint8)
    with begin(tmp_path / "a.png", image, "png") as sink:
        sink.write(image[:20])
        with pytest.raises(ValueError, match="20 rows were written of 61"):
            sink.finish()
    assert list(tmp_path.iterdir()) == []


def test_wrong_rows_are_refused(tmp_path: Path) -> None:
    image = random(3, np.uint8)
    with begin(tmp_path / "a.png", image, "png") as sink:
        with pytest.raises(ValueError, match="expected rows"):
            sink.write(image[:, :5])
        with pytest.raises(ValueError, match="expected rows"):
            sink.write(image.astype(np.uint16))
        with pytest.raises(ValueError, match="122 rows for a picture of 61"):
            sink.write(np.concatenate([image, image]))


def test_the_array_may_change_after_it_was_written(tmp_path: Path) -> None:
    image = random(3, np.uint8)
    band = np.empty_like(image[:1])
    with begin(tmp_path / "a.png", image, "png") as sink:
        for row in image:
            band[0] = row
            sink.write(band)
        sink.finish()
    np.testing.assert_array_equal(read(tmp_path / "a.png"), image)


class Broken(io.BytesIO):
    def write(self, data: Any) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("form", STREAMED)
def test_a_stream_that_breaks_is_an_output_error(form: str) -> None:
    with pytest.raises(OutputError, match="cannot be written: Broken pipe"):
        write(Broken(), random(3, np.uint8, 400, 400), form)


@pytest.mark.parametrize("form", ["png", "tiff"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, form: str) -> None:
    script = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        import numpy as np
        from enlarge.errors import OutputError
        from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        noise = np.random.default_rng(0).integers(0, 256, (100, 500, 3), dtype=np.uint8)
        try:
            spec = PictureSpec(500, 1000, 3, noise.dtype)
            with create_picture(Path(sys.argv[1]), spec, WriteOptions("{form}")) as sink:
                for _ in range(10):
                    sink.write(noise)
                sink.finish()
        except OutputError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a: cannot be written: " in done.stdout
    assert "too large" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_what_makes_no_sense_is_refused_before_any_work(tmp_path: Path) -> None:
    image = random(3, np.uint8)
    with pytest.raises(OptionError, match="unknown format 'bmp'"):
        begin(tmp_path / "a", image, "bmp")
    with pytest.raises(OptionError, match="quality 101"):
        begin(tmp_path / "a", image, "jpeg", quality=101)
    with pytest.raises(OutputError, match="JPEG holds at most 65,535 pixels per side"):
        check_output("jpeg", 65536, 10)
    with pytest.raises(OutputError, match="WebP holds at most 16,383"):
        check_output("webp", 10, 16384)
    check_output("png", 200_000, 200_000)
    assert list(tmp_path.iterdir()) == []


def test_formats_by_suffix() -> None:
    assert [format_of(s) for s in (".JPG", ".jpeg", ".tif", ".png", "webp")] == [
        "jpeg", "jpeg", "tiff", "png", "webp",
    ]  # fmt: skip
    with pytest.raises(OptionError, match=r"cannot write \.gif"):
        format_of(".gif")


def test_only_webp_and_avif_are_encoded_whole() -> None:
    for form in STREAMED:
        grows = encoder_bytes(form, 100, 9000, 3, 1) > encoder_bytes(form, 100, 100, 3, 1)
        assert grows == (form in ("webp", "avif"))


def test_the_estimate_holds_for_noise(tmp_path: Path) -> None:
    image = random(3, np.uint8, 300, 300)
    for form in ("png", "tiff"):
        write(tmp_path / "a", image, form)
        assert (tmp_path / "a").stat().st_size <= estimate_bytes(form, 300, 300, 3, 1)


def peak(script: str, *arguments: object) -> int:
    """The peak resident memory of a child, in bytes.

    Not by `getrusage`: what it says of a child begins with its parent's peak. Freed blocks of more
    than 64 KiB are returned at once: what the heaps of its threads keep depends on their turns.
    """
    tail = "\nprint(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    command = [sys.executable, "-c", textwrap.dedent(script) + tail, *map(str, arguments)]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout) * 1024


COPY = """
    import sys
    from pathlib import Path
    from enlarge.media.reading import open_picture
    from enlarge.media.writing import PictureSpec, WriteOptions, create_picture
    from enlarge.media.rows import prefetched
    with open_picture(Path(sys.argv[1])) as picture:
        facts = picture.facts
        rows = prefetched(picture.rows(), 64)
        spec = PictureSpec(facts.width, facts.height, 3, facts.dtype)
        with create_picture(Path(sys.argv[2]), spec, WriteOptions(sys.argv[3])) as sink:
            while len(band := rows.read(64)):
                sink.write(band)
            sink.finish()
        rows.close()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("form", ["png", "jpeg", "tiff"])
def test_memory_does_not_grow_with_the_height(tmp_path: Path, form: str) -> None:
    peaks = []
    band = np.repeat(random(3, np.uint8, 64, 20), 100, axis=1)  # 2000 wide, quickly encoded
    for height in (2048, 10_240):
        source = tmp_path / f"{height}.{form}"
        write(source, np.broadcast_to(band, (height // 64, *band.shape)).reshape(-1, 2000, 3), form)
        peaks.append(peak(COPY, source, tmp_path / "out", form))
    # The pixels that were added are 49 MB.
    assert peaks[1] < peaks[0] + 8e6, peaks
    assert peaks[1] < 200e6


def test_a_pyramid_holds_smaller_copies(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (600, 900, 3), dtype=np.uint8)
    target = tmp_path / "a.tif"
    with begin(target, pixels, "tiff", pyramid=True) as sink:
        sink.write(pixels)
        assert not target.exists()
        sink.finish()
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes()[:4] == b"II+\0", "a BigTIFF"
    image = pyvips.Image.tiffload(str(target))
    assert (image.get("n-pages"), image.get("tile-width")) == (3, 256)
    assert np.array_equal(image.numpy(), pixels)
    small = pyvips.Image.tiffload(str(target), page=2)
    assert (small.width, small.height) == (225, 150)
    mean = pixels[:600, :900].reshape(150, 4, 225, 4, 3).mean((1, 3))
    assert np.abs(small.numpy() - mean).max() <= 2
    for form, place in (("png", target), ("tiff", io.BytesIO())):
        with pytest.raises(OptionError, match=r"only a \.tif file can hold a pyramid"):
            begin(place, pixels, form, pyramid=True)
