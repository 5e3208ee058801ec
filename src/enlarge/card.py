"""The card: all that the rest of the package needs to know about a model, as one frozen value.

It is stored as a JSON string under the key `enlarge.card` in the metadata of a weight file, so a
file can be opened without anything beside it. It is read here without the packages that write
such files:

    safetensors   8 bytes of header length (little-endian), then JSON with `__metadata__`
    ONNX          a protobuf message (onnx.proto3); field 14 of ModelProto holds key-value pairs.
                  Other top-level fields are skipped by their length, so large files are cheap.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from enlarge.errors import WeightsError

KEY = "enlarge.card"
SPANDREL = "spandrel:"
"""The prefix of the names of spandrel's networks."""
EXACT = 64
"""Up to this margin tiles overlap by all of it, so their results equal the whole picture's."""
_METADATA_FIELD = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Card:
    """What the package knows about a model.

    name, network, options   the model's name; its architecture, and the arguments that build it
    scale                    output pixels per input pixel and axis
    margin                   receptive margin in input pixels (None: unbounded)
    halo                     the margin by which tiles overlap, in input pixels
    multiple                 input sides must be multiples of it
    minimum                  and at least as large as this
    step                     and tiles start on multiples of it too: many networks divide what they
                             get into windows
    tiles                    side of a tile → measured working set in bytes, in f32
    fixed                    the only side that the file's input may have (0: any)
    precisions               those in which the scores hold
    parameters, flops        their number; floating-point operations per output pixel
    data, licence, recipe    what it was trained on and how
    hours                    of training
    scores                   by protocol, as measured on the published file
    tiling                   the cost of tiles, as measured on the published file: "tile", their
                             side; "psnr" in dB in f32 against the whole picture; "throughput" as a
                             share of the network's own
    int8                     of an 8-bit form, a file NAME.int8.onnx: "of", the SHA-256 of the
                             NAME.onnx that it belongs to; "isa", the instruction set that it was
                             measured with; "valid", "detail" and "drawing", what it loses against
                             f32 in dB of PSNR, on photographs and on the worst drawing; "flat"
                             and "gradient", its largest distance from f32 in levels of 255, on
                             pictures of one colour and on gradients
    version                  of the package that wrote the card
    strength                 of a mixture of two models (see `mixing`), the share of the second
    """

    name: str
    network: str
    options: dict[str, Any]
    scale: int
    margin: int | None
    halo: int
    multiple: int = 1
    minimum: int = 0
    step: int = 1
    tiles: dict[int, int] = field(default_factory=dict)
    fixed: int = 0
    precisions: tuple[str, ...] = ("f32",)
    parameters: int = 0
    flops: float = 0.0
    data: str = ""
    licence: str = ""
    recipe: str = ""
    hours: float = 0.0
    scores: dict[str, Any] = field(default_factory=dict)
    tiling: dict[str, float] = field(default_factory=dict)
    int8: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    strength: float | None = None

    @property
    def is_global(self) -> bool:
        """Whether tiles differ from the whole picture visibly, since the network relates all of its
        parts: then a picture that fits into a tile is not divided.
        """
        return self.margin is None and self.halo >= EXACT

    @property
    def is_from_spandrel(self) -> bool:
        """Whether spandrel builds the network, not this package."""
        return self.network.startswith(SPANDREL)

    @property
    def grid(self) -> int:
        """What tiles start on multiples of."""
        return math.lcm(self.step, self.multiple)

    def padded(self, side: int) -> int:
        """The side, in pixels, that a picture of `side` pixels is padded to, where the network runs
        on the whole of it.
        """
        least = max(side, self.minimum)
        return max(-(-least // self.multiple) * self.multiple, self.fixed)

    def to_json(self) -> str:
        """The card as a JSON string, with keys in the order of the fields."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def _check_types(self) -> None:
        """Raise `TypeError` if a field that decides how the network is run is of another kind."""
        for key, least in (
            *(("scale", 1), ("multiple", 1), ("minimum", 0), ("step", 1), ("halo", 0)),
            *(("fixed", 0), ("margin", 0)),
        ):
            value = getattr(self, key)
            if value is None and key == "margin":
                continue
            if not isinstance(value, int) or value < least:
                raise TypeError(f"{key} is {value!r}, expected a whole number from {least} on")
        if not (isinstance(self.name, str) and isinstance(self.network, str)):
            raise TypeError("name and network must be texts")
        for key in ("options", "int8"):
            if not isinstance(table := getattr(self, key), dict):
                raise TypeError(f"{key} is {table!r}, expected a table")

    @classmethod
    def from_json(cls, text: str, source: str) -> Card:
        """The card from a weight file's metadata; `source` names the file in errors."""
        try:
            values = json.loads(text)
            values["tiles"] = {int(side): int(size) for side, size in values["tiles"].items()}
            values["precisions"] = tuple(values["precisions"])
            known = {f.name for f in fields(cls)}
            card = cls(**{key: value for key, value in values.items() if key in known})
            card._check_types()
            return card
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{source}: its enlarge.card is invalid ({error}); export the model again"
            ) from error


def read_card(path: Path) -> Card | None:
    """The card of a safetensors or ONNX file, with any suffix, or None if it has none.

    Raises `WeightsError` if the file is missing, or is neither.
    """
    try:
        with path.open("rb") as file:
            head = file.read(9)
            file.seek(0)
            brief = len(head) < 9 and path.suffix.lower() != ".onnx"
            is_onnx = head[8:] != b"{" and not brief
            metadata = (_onnx_metadata if is_onnx else _safetensors_metadata)(file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be opened ({error.strerror})") from error
    except (ValueError, EOFError, AttributeError) as error:
        raise WeightsError(
            f"{path}: is not a readable safetensors or ONNX file ({error}); download it again"
        ) from error
    return Card.from_json(metadata[KEY], str(path)) if KEY in metadata else None


def _safetensors_metadata(file: BinaryIO) -> dict[str, str]:
    length = int.from_bytes(_exactly(file, 8), "little")
    if length > 100_000_000:
        raise ValueError(f"its header claims {length} bytes")
    metadata = json.loads(_exactly(file, length)).get("__metadata__", {})
    return {str(key): str(value) for key, value in metadata.items()}


def _onnx_metadata(file: BinaryIO) -> dict[str, str]:
    found: dict[str, str] = {}
    size = os.fstat(file.fileno()).st_size

    def skip(length: int) -> None:
        if file.tell() + length > size:
            raise EOFError("it is truncated")
        file.seek(length, 1)

    while (tag := _varint(file)) is not None:
        field, kind = tag >> 3, tag & 7
        if not field:
            raise ValueError("not a protobuf message")
        if kind == _BYTES:
            length = _varint(file) or 0
            if field == _METADATA_FIELD:
                key, value = _entry(_exactly(file, length))
                found[key] = value
            else:
                skip(length)
        elif kind == _VARINT:
            _varint(file)
        elif kind in (_FIXED64, _FIXED32):
            skip(8 if kind == _FIXED64 else 4)
        else:
            raise ValueError("not a protobuf message")
    return found


def _entry(message: bytes) -> tuple[str, str]:
    """A StringStringEntryProto: field 1 is the key, field 2 the value."""
    stream, parts = BytesIO(message), {1: "", 2: ""}
    while (tag := _varint(stream)) is not None:
        parts[tag >> 3] = _exactly(stream, _varint(stream) or 0).decode()
    return parts[1], parts[2]


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise EOFError("it is truncated")
    return data


def _varint(file: BinaryIO) -> int | None:
    """A base-128 number; None at the end of the file."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
        if shift > 63:
            raise ValueError("not a protobuf message")
    if shift:
        raise EOFError("it is truncated")
    return None
