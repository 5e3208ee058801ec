"""What a file is that was given as a model, by its content: the name's suffix decides nothing.

    look(path)         → FileContent: what it is, and what to do where it is no model for enlarge
    model_kind(path)   → onnx, safetensors, checkpoint or ncnn; else a WeightsError that says what
                         it is

Only the file's beginning and an archive's list of files are read. Nothing is unpickled, and neither
torch nor onnx is imported. `pickled`, `tensors` and `ncnn` look further into files of these kinds.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from enlarge.errors import WeightsError
from enlarge.model_file import NCNN
from enlarge.weights.files import KINDS
from enlarge.weights.ncnn.detecting import detect_ncnn, detect_ncnn_weights
from enlarge.weights.sample import (
    AGAIN,
    DOWNLOAD,
    EXPECTED,
    GIVE,
    HEAD,
    IN_ONNX,
    PUBLISHED,
    UNPACK,
    FileContent,
    Kind,
    Sample,
    cut_off,
    foreign,
    listed,
)
from enlarge.weights.texts import detect_pointer, detect_text
from enlarge.weights.wire import fields_of

MODELS = ("onnx", "safetensors", "checkpoint", NCNN)
_LARGEST_HEADER = 100_000_000
_LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The number that begins a checkpoint of torch before 1.6, pickled."""
_PICKLE_HEADS = tuple(bytes((0x80, protocol)) for protocol in range(1, 6))
_ONNX_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
"""The fields of onnx.proto3's ModelProto; 7 is the graph."""


class Signature(NamedTuple):
    """Bytes at a fixed place, and what a file is that has them there."""

    at: int
    magic: bytes
    content: FileContent


def _picture(name: str) -> FileContent:
    return FileContent("other", f"is a picture ({name})", GIVE)


def _packed(name: str) -> FileContent:
    return FileContent("other", f"is {name}", UNPACK)


_KERAS = foreign("a Keras or HDF5 file", "convert it to ONNX with tf2onnx")
_TENSORRT = foreign("a TensorRT engine, for one kind of GPU", "give its .onnx file")

SIGNATURES = (
    Signature(0, b"GGUF", foreign("a GGUF file, a language or diffusion model", PUBLISHED)),
    Signature(0, b"lmgg", foreign("a GGML file, a language or speech model", PUBLISHED)),
    Signature(0, b"tjgg", foreign("a GGML file, a language or speech model", PUBLISHED)),
    Signature(0, b"\x89HDF\r\n\x1a\n", _KERAS),
    Signature(512, b"\x89HDF\r\n\x1a\n", foreign("a MATLAB or HDF5 file", IN_ONNX)),
    Signature(0, b"MATLAB 5.0", foreign("a MATLAB file", IN_ONNX)),
    Signature(4, b"TFL3", foreign("a TensorFlow Lite model", "convert it to ONNX with tf2onnx")),
    Signature(4, b"ORTM", foreign("a model in ONNX Runtime's own format", "give its .onnx file")),
    Signature(4, b"ET1", foreign("a program for ExecuTorch", IN_ONNX)),
    Signature(0, b"ftrt", _TENSORRT),
    Signature(0, b"ptrt", _TENSORRT),
    Signature(0, b"\x93NUMPY", foreign("a numpy array", "give the file of a whole model")),
    Signature(0, b"7z\xbc\xaf\x27\x1c", _packed("a 7z archive")),
    Signature(0, b"Rar!\x1a\x07", _packed("a RAR archive")),
    Signature(0, b"\x1f\x8b", _packed("a gzip archive")),
    Signature(0, b"BZh", _packed("a bzip2 archive")),
    Signature(0, b"\xfd7zXZ\0", _packed("an xz archive")),
    Signature(0, b"\x28\xb5\x2f\xfd", _packed("a zstd archive")),
    Signature(257, b"ustar", _packed("a tar archive")),
    Signature(0, b"\x89PNG\r\n", _picture("PNG")),
    Signature(0, b"\xff\xd8\xff", _picture("JPEG")),
    Signature(0, b"GIF8", _picture("GIF")),
    Signature(8, b"WEBP", _picture("WebP")),
    Signature(0, b"II*\0", _picture("TIFF")),
    Signature(0, b"MM\0*", _picture("TIFF")),
    Signature(0, b"BM", _picture("BMP")),
    Signature(4, b"ftyp", FileContent("other", "is a picture or a video", "give a model's file")),
    Signature(0, b"%PDF", FileContent("other", "is a PDF document", DOWNLOAD)),
    Signature(0, b"\x7fELF", FileContent("other", "is a program or a library", DOWNLOAD)),
    Signature(0, b"MZ", FileContent("other", "is a program or a library", DOWNLOAD)),
    Signature(0, b"SQLite format 3", FileContent("other", "is a database", DOWNLOAD)),
)


def model_kind(path: Path) -> Kind:
    """onnx, safetensors, checkpoint or ncnn, by the file's content.

    Raises `WeightsError`, which says what the file is and what to do, if it is none of them or is
    incomplete.
    """
    content = look(path)
    if content.kind not in MODELS:
        advice = f"; {content.advice}" if content.advice else ""
        raise WeightsError(f"{path}: {content.what}{advice}")
    return content.kind


def look(path: Path) -> FileContent:
    """What a file or folder is. Raises `WeightsError` if there is none, or it cannot be read."""
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        if path.is_symlink():
            what = "is a link to a file that is missing"
            return FileContent("foreign", what, f"{DOWNLOAD} (git-annex: git annex get)")
        raise WeightsError(f"{path}: no such file")
    if not path.is_file():
        return FileContent("other", "is not a regular file", GIVE)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error
    sample = Sample(path, size, head)
    for signature in SIGNATURES:
        if head[signature.at :].startswith(signature.magic):
            return signature.content
    for detect in DETECTORS:
        if (found := detect(sample)) is not None:
            return found
    return FileContent("other", "is not a model that enlarge knows", f"expected {EXPECTED}")


def _folder(path: Path) -> FileContent:
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error
    if "saved_model.pb" in names:
        return foreign("a TensorFlow model (SavedModel)", "convert it to ONNX with tf2onnx")
    if "Manifest.json" in names:
        return foreign("a Core ML model (mlpackage)", IN_ONNX)
    if "data.pkl" in names:
        return foreign("a checkpoint that was unpacked", "give the file as it was published")
    models = [name for name in names if Path(name).suffix.lower() in KINDS]
    advice = f"give one of its files: {listed(models)}" if models else GIVE
    return FileContent("other", "is a folder, not a model", advice)


def _empty(sample: Sample) -> FileContent | None:
    if not sample.size:
        return FileContent("other", "is empty (0 bytes)", AGAIN)
    if sample.head.strip(b"\0") or sample.size < 16:
        return None
    with sample.path.open("rb") as file:
        while part := file.read(1 << 20):
            if part.strip(b"\0"):
                return None
    return FileContent("other", "holds nothing but zeros, as an interrupted download does", AGAIN)


def _safetensors(sample: Sample) -> FileContent | None:
    head = sample.head
    length = int.from_bytes(head[:8], "little")
    begins = head[8:9] == b"{" and (length <= sample.size or length < _LARGEST_HEADER)
    if len(head) < 9 or not begins:
        return None
    if length > sample.size - 8:
        return cut_off("a safetensors file", f"its header of {length} bytes is not complete")
    try:
        with sample.path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(length))
        tensors = [entry for key, entry in header.items() if key != "__metadata__"]
        whole = 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return FileContent("foreign", "is a damaged safetensors file", AGAIN)
    if whole > sample.size:
        return cut_off("a safetensors file", f"only {sample.size} of {whole} bytes are there")
    return FileContent("safetensors", "is a safetensors file")


def _zip(sample: Sample) -> FileContent | None:
    if not sample.head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(sample.path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error):
        length = int.from_bytes(sample.head[26:28], "little")
        first = sample.head[30 : 30 + length].decode("utf-8", "replace")
        is_torch = "/" in first and first.split("/", 1)[1] in ("data.pkl", "byteorder", "data/0")
        name = "a checkpoint of torch" if is_torch else "a zip archive"
        return cut_off(name, "the archive's end is missing")
    inner = {name.partition("/")[2] for name in names}
    if "data.pkl" in inner and ("constants.pkl" in inner or any(n[:5] == "code/" for n in inner)):
        return foreign(
            "a TorchScript program, not a checkpoint",
            "give the checkpoint it was made from, or export it as ONNX with torch.onnx.export",
        )
    if "data.pkl" in inner:
        return FileContent("checkpoint", "is a checkpoint of torch")
    if any(name.endswith("exported_program.json") for name in names) or "archive_format" in inner:
        return foreign("a program of torch.export", "export it as ONNX with torch.onnx.export")
    if names and all(name.endswith(".npy") for name in names):
        return foreign("a numpy archive (.npz)", "give the file of a whole model")
    if "model.weights.h5" in names:
        return _KERAS
    if any(Path(name).name in ("coremldata.bin", "Manifest.json") for name in names):
        return foreign("a Core ML model", IN_ONNX)
    held = [name for name in names if Path(name).suffix.lower() in KINDS]
    if held:
        return FileContent("other", f"is a zip archive of {listed(held)}", UNPACK)
    return FileContent("other", "is a zip archive without a model", f"expected {EXPECTED}")


def _pickle(sample: Sample) -> FileContent | None:
    old = re.match(rb"[(}\]](dp|lp|p|q|\.|\(|X)|c[a-z_.]+\n\w+\n", sample.head[:200])  # 0 and 1
    if not sample.head.startswith(_PICKLE_HEADS) and not (old and _is_pickle(sample.head)):
        return None
    if _LEGACY in sample.head[:32]:
        return FileContent("checkpoint", "is a checkpoint of torch before 1.6")
    return FileContent("checkpoint", "is a pickle")


def _is_pickle(head: bytes) -> bool:
    import pickletools

    count = 0
    try:
        for _ in pickletools.genops(head):
            count += 1
    except (ValueError, IndexError):  # cut at the end of the sample
        return count > 8
    return count > 1


def _protobuf(sample: Sample) -> FileContent | None:
    """ONNX, and what other programs keep as protobuf messages."""
    with sample.path.open("rb") as file:
        found, whole = fields_of(file, sample.size)
    numbers = {number for number, _ in found}
    if (7, 2) in found and numbers <= _ONNX_FIELDS:
        if not whole:
            return cut_off("an ONNX file", f"only {sample.size} bytes are there")
        return FileContent("onnx", "is an ONNX file")
    is_model = sample.head[:1] == b"\x08" and (b"onnx" in sample.head or b"torch" in sample.head)
    if not whole:
        return cut_off("an ONNX file", "its graph is missing") if is_model else None
    if not found:
        return None
    if numbers & {200, 303, 403, 500, 502} and (1, 0) in found:
        return foreign("a Core ML model (.mlmodel)", IN_ONNX)
    if numbers <= {1, 2, 3, 4, 5} and b"Placeholder" in sample.head:
        return foreign("a TensorFlow graph (.pb)", "convert it to ONNX with tf2onnx")
    if numbers == {1, 2} and (1, 0) in found:
        if b"Placeholder" in sample.head or b"tensorflow" in sample.head.lower():
            return foreign("a TensorFlow model (SavedModel)", "convert it to ONNX with tf2onnx")
        return FileContent("foreign", "is an ONNX file without a graph", "export it again")
    if numbers & {2, 100} and (1, 2) in found and numbers <= {1, 2, 3, 4, 5, 6, 7, 8, 100}:
        return foreign("a model of Caffe or another program", IN_ONNX)
    return None


def _mnn(sample: Sample) -> FileContent | None:
    root = int.from_bytes(sample.head[:4], "little")
    if not 4 <= root < HEAD or root % 4:
        return None
    with sample.path.open("rb") as file:
        file.seek(max(0, sample.size - HEAD))
        tail = file.read()
    return foreign("a model of MNN", PUBLISHED) if b"MNN" in sample.head + tail else None


DETECTORS: tuple[Callable[[Sample], FileContent | None], ...] = (
    _empty, detect_ncnn, detect_pointer, _safetensors, _zip, _pickle, detect_text, _mnn, _protobuf,
    detect_ncnn_weights,
)  # fmt: skip
"""Tried in this order where no signature fits."""
