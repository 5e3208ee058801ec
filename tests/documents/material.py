"""The pictures, data and models that the documents' examples name, small, made where named."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.conftest import ROOT

Make = Callable[[Path], None]
_WEIGHTS = ROOT / "src" / "enlarge" / "weights" / "data"


def picture(path: Path, width: int = 144, height: int = 108) -> None:
    """A part of the sample photograph; another one for every path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(ROOT / "samples" / "photo.jpg") as sample:
        seed = zlib.crc32(str(path).encode())
        left, top = seed % (sample.width - width), seed // 7 % (sample.height - height)
        sample.crop((left, top, left + width, top + height)).save(path)


def pages(path: Path) -> None:
    """Two pages in one file."""
    picture(path, 48, 36)
    with Image.open(path) as first:
        first.load()
        first.save(path, save_all=True, append_images=[first.rotate(180)])


def folder(path: Path) -> None:
    picture(path / "photo.jpg", 48, 36)
    picture(path / "beach" / "second.png", 40, 30)


def photographs(path: Path) -> None:
    """Large enough for a training patch of any recipe."""
    picture(path / "one.png", 300, 280)
    picture(path / "two.png", 280, 300)


def pair(high: Path, low: Path, size: int) -> None:
    """A picture, and the same by the factor 4 smaller."""
    picture(high, size, size)
    low.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(high) as image:
        image.resize((size // 4, size // 4)).save(low)


def pair_folders(path: Path) -> None:
    """HR/ and LR/; every command takes them as it takes a prepared store."""
    for number in range(10):
        name = f"{number}.png"
        pair(path / "HR" / name, path / "LR" / name, 300 if path.name == "STORE" else 48)


def pairs(path: Path, size: int) -> None:
    """A CSV with the columns LR and HR, and its pictures."""
    rows = ["LR,HR"]
    for number in range(5):
        name = f"{number}.png"
        pair(path.parent / "high" / name, path.parent / "low" / name, size)
        rows.append(f"low/{name},high/{name}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def listing(path: Path) -> None:
    picture(path.parent / "photo.jpg")
    path.write_text("LR\nphoto.jpg\n", encoding="utf-8")


def archive(path: Path) -> None:
    picture(path.parent / "photo.jpg")
    with zipfile.ZipFile(path, "w") as made:
        made.write(path.parent / "photo.jpg", "photo.jpg")


def tape(path: Path) -> None:
    """A video of 101 seconds, a frame for each, with sound."""
    from tests.video.material import Recipe, make

    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"b": "200k"} if path.suffix == ".avi" else {"crf": "20", "preset": "ultrafast"}
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    seconds = range(0, 101 * 25, 25)
    make(path, Recipe(codec=codec, options=options, size=(32, 24), times=seconds, audio=1))


def checkpoint(path: Path) -> None:
    import torch

    from tests.networks.tiny import tiny

    torch.save({"params_ema": tiny("srvgg").state_dict()}, path)


def pair_of_ncnn(path: Path) -> None:
    from tests.weights.ncnn.tiny import write_pair

    path.parent.mkdir(parents=True, exist_ok=True)
    write_pair(path.parent, path.stem)


def model(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_WEIGHTS / "fast.onnx", path)


def frames(folder: Path) -> None:
    """A burst of one scene."""
    from tests.fusing.bursts import burst

    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(burst(4).frames):
        Image.fromarray(frame).save(folder / f"{number}.jpg")


def street(path: Path) -> None:
    """A video of half a second that moves over a scene."""
    import av

    from tests.fusing.bursts import burst

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for pixels in burst(12, sigma=2).frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode(None))


MATERIAL: dict[str, Make] = {
    "pages.tif": pages,
    **dict.fromkeys(["tape.mp4", "tape.avi"], tape),
    "tapes/": lambda path: tape(path / "tape.mp4"),
    **dict.fromkeys(["photo.jpg", "old.jpg", "scan.tif", "large/photo.png"], picture),
    **dict.fromkeys(["a.png", "b.png"], picture),
    **dict.fromkeys(["original.png", "hdr.png"], picture),
    **dict.fromkeys(["holidays/", "in/", "photos/", "inbox/", "frames/"], folder),
    "in/**/*.jpg": lambda path: folder(path.parents[1]),
    "test.csv": listing,
    "scans.zip": archive,
    **dict.fromkeys(["PHOTOS", "FOLDER"], photographs),
    "PAIRS.csv": lambda path: pairs(path, 96),
    "train.csv": lambda path: pairs(path, 300),
    **dict.fromkeys(["SET/x4", "STORE"], pair_folders),
    **dict.fromkeys(["RealESRGAN_x4plus.pth", "model.pth", "MODEL.pth"], checkpoint),
    "models/realesrgan-x4plus.param": pair_of_ncnn,
    **dict.fromkeys(["runs/mine/model.onnx", "model8.onnx"], model),
    "runs/taught/LR": folder,
    "burst/": frames,
    "street.mp4": street,
    "burst/*.jpg": lambda path: frames(path.parent),
}
"""What an example may read: its name in a command, or what follows `=` there."""
