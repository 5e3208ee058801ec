"""What is no picture, or not the one that it claims to be: one clear line, never half a success."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enlarge.errors import InputError
from enlarge.media.formats.png_chunks import png_chunk
from enlarge.media.reading import open_picture

IMAGE = Image.fromarray(np.random.default_rng(5).integers(0, 256, (60, 50, 3), dtype=np.uint8))


def png(width: int, height: int, body: bytes = b"x") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def saved(form: str) -> bytes:
    out = io.BytesIO()
    IMAGE.save(out, form)
    return out.getvalue()


def read_all(path: Path, memory: int | None = None) -> int:
    with open_picture(path, memory=memory) as picture:
        rows = picture.rows()
        total = 0
        while count := len(rows.read(8)):
            total += count
    return total


NOT_PICTURES = {
    "empty": (b"", "the file is empty"),
    "text": ("그림이 아니다, just text\n".encode(), "is not a picture but a text file"),
    "page": (b"<!DOCTYPE html><html>", "a web page"),
    "document": (b"%PDF-1.7 \xff", "a PDF document"),
    "zeros": (bytes(500), "a file of zeros"),
    "film": (
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(40),
        "a video; a video is read from a file of its own",
    ),
    "camera film": (b"RIFF\x10\0\0\0AVI LIST" + bytes(40), "a video; a video is read from a file"),
    "noise": (bytes(range(128, 228)), "an unknown kind of file"),
    "no width": (png(0, 10), "claims a size of 0×10"),
    "no height": (png(10, 0), "claims a size of 10×0"),
    "bomb": (png(60000, 60000), "claims 60,000×60,000 pixels"),
    "signature": (b"\x89PNG\r\n\x1a\n", "ends within its header"),
    "jpeg start": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "copy or download it again"),
    "tiff start": (b"II*\0\x08\0\0\0", "copy or download it again"),
    "bad data": (png(20, 20, b"\x78\x9c not deflate at all"), "truncated or damaged after row 0"),
}


@pytest.mark.parametrize("case", NOT_PICTURES)
def test_one_clear_line(tmp_path: Path, case: str) -> None:
    data, words = NOT_PICTURES[case]
    path = tmp_path / "사진.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_all(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("memory", [None, 0])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "GIF", "BMP"])
def test_a_file_that_was_cut_off(
    tmp_path: Path, form: str, share: float, memory: int | None
) -> None:
    data = saved(form)
    path = tmp_path / "cut"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="again"):
        read_all(path, memory)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        open_picture(tmp_path / "none.png")
    with pytest.raises(InputError, match="directory"):
        open_picture(tmp_path)


def test_nothing_leaks_to_stderr(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(saved("JPEG")[:2000])
    script = (
        "import sys; from pathlib import Path; from enlarge.errors import InputError\n"
        "from enlarge.media.reading import open_picture\n"
        "try: open_picture(Path(sys.argv[1])).rows().read(99)\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, check=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f"{path}: this JPEG is truncated")


def test_a_cameras_raw_file_is_no_tiff(tmp_path: Path) -> None:
    """It begins as one, and its first picture is a thumbnail."""
    path = tmp_path / "DSC_0001.NEF"
    path.write_bytes(saved("TIFF"))
    with pytest.raises(
        InputError, match=r"DSC_0001\.NEF: is a camera raw file; develop it into a 16-bit TIFF"
    ):
        read_all(path)
