"""What a look at a file finds, and the words that its detectors share (see `contents`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Kind = Literal["onnx", "safetensors", "checkpoint", "ncnn", "foreign", "other"]
"""onnx, safetensors, checkpoint, ncnn: enlarge reads them. foreign: a model of another program, or
what stands in place of a model. other: anything else.
"""
EXPECTED = ".onnx, .safetensors, .pth, .pt, .ckpt, .bin or .param"
HEAD = 4096
DOWNLOAD = "download the model itself"
AGAIN = "download or copy it again"
PUBLISHED = "use the .pth, .safetensors or .onnx file that is published beside it"
IN_ONNX = "give it as ONNX, from the program that made it"
GIVE = "give a model's name or file"
UNPACK = "unpack it and give the model file that is in it"


@dataclass(frozen=True)
class FileContent:
    """What a file is (`what`, a clause: "is a zip archive"), and what to do about it."""

    kind: Kind
    what: str
    advice: str = ""


class Sample(NamedTuple):
    """A regular file, its size in bytes, and its first 4,096 bytes."""

    path: Path
    size: int
    head: bytes


def foreign(name: str, advice: str) -> FileContent:
    """A model of another program, by its name with the article."""
    return FileContent("foreign", f"is {name}", advice)


def cut_off(name: str, how: str) -> FileContent:
    """A file that lacks its end; `how` says by how much."""
    return FileContent("foreign", f"is {name} that is cut off: {how}", AGAIN)


def listed(names: list[str], most: int = 4) -> str:
    """The first names of a list, in words."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
