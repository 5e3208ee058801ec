"""Settings: every option about how a picture is enlarged, declared once.

The command line, Python's keyword arguments, the page, the ledger and the provenance are all built
on this class. To add an option, add a field here and use it where it takes effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal, Self

from enlarge.checks import (
    about,
    file_format,
    memory_size,
    model_name,
    number_between,
    one_of,
    page_number,
    rectangle,
    tile_side,
    time_of_day,
    whole_number,
)
from enlarge.errors import OptionError

EngineName = Literal["auto", "openvino", "onnxruntime", "torch", "ncnn"]
Precision = Literal["auto", "f32", "bf16", "f16", "int8"]
Keep = Literal["keep", "no-gps", "none"]
ColourChoice = Literal["keep", "srgb"]
Codec = Literal["h264", "hevc", "av1", "ffv1", "prores"]
Deinterlace = Literal["auto", "on", "off"]

MAX_SCALE = 16
_RECORDED_ALWAYS = frozenset(
    {
        *("scale", "width", "height", "crop", "tile", "exact", "ensemble"),
        *("format", "quality", "pyramid", "metadata", "provenance"),
    }
)
"""The options that ledgers and kept bands have always recorded. Others are recorded only where they
differ from their default, so that adding an option does not invalidate what exists."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How pictures are enlarged: every option by its name, checked when the value is made.

    Raises `OptionError`, which calls an option what the command line calls it. Values may be given
    as text ("1.5GB", "auto", "0,0,64,64") and are parsed once: `memory` is in bytes (None: half of
    the machine's), `tile` in input pixels (None: chosen automatically), `format` a name of
    `media.formats` (None: by the output's extension, else PNG), `crop` (x, y, width, height) in
    input pixels, `page` a number from 1 on, "all", or None: the file's main picture.
    """

    scale: float | None = field(
        default=None,
        metadata=about(
            "Factor by which width and height grow (default: the model's own). Beyond the model's "
            "factor, the network runs twice.",
            group="Size",
            metavar="1-16",
            check=number_between(1, MAX_SCALE),
        ),
    )
    width: int | None = field(
        default=None,
        metadata=about(
            "Width of the result, instead of --scale. Without --height, the proportions are kept.",
            group="Size",
            metavar="PIXELS",
            check=whole_number(1),
        ),
    )
    height: int | None = field(
        default=None,
        metadata=about(
            "Height of the result, instead of --scale. Without --width, the proportions are kept.",
            group="Size",
            metavar="PIXELS",
            check=whole_number(1),
        ),
    )
    crop: tuple[int, int, int, int] | None = field(
        default=None,
        metadata=about(
            "Enlarge only this rectangle, in input pixels.",
            group="Size",
            metavar="X,Y,W,H",
            check=rectangle,
        ),
    )
    page: int | str | None = field(
        default=None,
        metadata=about(
            "Which page or frame of a file to enlarge, counted from 1, or all, each into a file of "
            "its own (default: the main one, usually the first).",
            group="Inputs",
            metavar="N|all",
            check=page_number,
        ),
    )
    format: str | None = field(
        default=None,
        metadata=about(
            "Extension of the format, such as png, jpg, webp, tif, avif, or dzi or szi: DeepZoom "
            "tiles for viewers of very large pictures (default: the output's extension, else png).",
            group="Output",
            metavar="NAME",
            check=file_format,
        ),
    )
    quality: int | None = field(
        default=None,
        metadata=about(
            "Quality of lossy formats (default for jpg: 95, without chroma subsampling). Below "
            "100, DeepZoom tiles are JPEGs.",
            group="Output",
            metavar="1-100",
            check=whole_number(1, 100),
        ),
    )
    pyramid: bool = field(
        default=False,
        metadata=about(
            "Write tif as a tiled BigTIFF with smaller copies inside, for viewers of very large "
            "pictures.",
            group="Output",
        ),
    )
    colour: ColourChoice = field(
        default="keep",
        metadata=about(
            "Keep the colours and their profile, or convert the result to sRGB (default: keep).",
            group="Output",
            check=one_of(ColourChoice),
        ),
    )
    metadata: Keep = field(
        default="keep",
        metadata=about(
            "Keep EXIF, XMP, IPTC and texts, remove only coordinates and names of places, or "
            "remove all metadata (default: keep). The colour profile is always kept.",
            group="Output",
            check=one_of(Keep),
        ),
    )
    provenance: bool = field(
        default=True,
        metadata=about(
            "Do not record in the result how it was made: model, version, scale and settings.",
            group="Output",
        ),
    )
    salvage: bool = field(
        default=False,
        metadata=about(
            "Enlarge what is left of damaged pictures, the rest gray, instead of refusing them.",
            group="Inputs",
            recorded=False,
        ),
    )
    resume: bool = field(
        default=True,
        metadata=about(
            "Do not keep the finished bands of rows of a large result (100 megapixels or more) on "
            "disk. Without them, an interrupted picture starts over.",
            group="Output",
            recorded=False,
        ),
    )
    start: Fraction | None = field(
        default=None,
        metadata=about(
            "Begin at this time: seconds, or HH:MM:SS, from the first frame.",
            group="Video",
            metavar="TIME",
            check=time_of_day,
        ),
    )
    end: Fraction | None = field(
        default=None,
        metadata=about("End before this time.", group="Video", metavar="TIME", check=time_of_day),
    )
    at: Fraction | None = field(
        default=None,
        metadata=about(
            "Enlarge the one frame that is shown at this time, as a picture.",
            group="Video",
            metavar="TIME",
            check=time_of_day,
        ),
    )
    deinterlace: Deinterlace = field(
        default="auto",
        metadata=about(
            "Make full frames of interlaced ones (auto, the default), of all frames, or of none. "
            "A frame gives one frame.",
            group="Video",
            check=one_of(Deinterlace),
        ),
    )
    codec: Codec | None = field(
        default=None,
        metadata=about(
            "Codec of the result (default: h264; in webm, av1).",
            group="Video",
            check=one_of(Codec),
        ),
    )
    crf: int | None = field(
        default=None,
        metadata=about(
            "Quality of h264, hevc (0 to 51) and av1 (0 to 63): lower is better, and larger "
            "(default: 18, 20 and 24).",
            group="Video",
            metavar="0-63",
            check=whole_number(0, 63),
        ),
    )
    model: str | None = field(
        default=None,
        metadata=about(
            "A name of `enlarge models`, a model file's path, or auto (default): by each "
            "picture's looks.",
            group="Model",
            metavar="MODEL",
            check=model_name,
            recorded=False,
        ),
    )
    strength: float | None = field(
        default=None,
        metadata=about(
            "With --model photo or photo-sharp: a mixture of the two, from 0 (photo) to 1 "
            "(photo-sharp).",
            group="Model",
            metavar="0-1",
            check=number_between(0, 1, "0 (photo) and 1 (photo-sharp)"),
            recorded=False,
        ),
    )
    engine: EngineName = field(
        default="auto",
        metadata=about(
            "Engine that runs the network. auto, the default: OpenVINO on a CPU; on a GPU, torch "
            "or ONNX Runtime, whichever is installed. ncnn is for ncnn's models.",
            group="Model",
            check=one_of(EngineName),
            recorded=False,
        ),
    )
    precision: Precision = field(
        default="auto",
        metadata=about(
            "Precision of the computation. auto, the default: int8, bf16 or f16 where the device "
            "and the model allow it, else f32.",
            group="Model",
            check=one_of(Precision),
            recorded=False,
        ),
    )
    exact: bool = field(
        default=False,
        metadata=about(
            "Overlap tiles by the network's full receptive margin, even if a smaller overlap was "
            "measured to be enough.",
            group="Model",
        ),
    )
    ensemble: bool = field(
        default=False,
        metadata=about(
            "Average the results of the eight flips and rotations of the picture: slightly better, "
            "eight times slower.",
            group="Model",
        ),
    )
    device: str = field(
        default="auto",
        metadata=about(
            "cpu, cuda:0, mps, ... (default: a GPU that an installed engine supports, else cpu).",
            group="Machine",
            metavar="NAME",
            recorded=False,
        ),
    )
    memory: int | None = field(
        default=None,
        metadata=about(
            "Memory limit for this process, for example 1.5GB (default: half of the machine's).",
            group="Machine",
            metavar="SIZE",
            check=memory_size,
            recorded=False,
        ),
    )
    tile: int | None = field(
        default=None,
        metadata=about(
            "Side of a tile in input pixels (default: auto).",
            group="Machine",
            metavar="auto|PIXELS",
            check=tile_side,
        ),
    )
    threads: int = field(
        default=0,
        metadata=about(
            "Number of CPU threads (default: one per core).",
            group="Machine",
            metavar="NUMBER",
            check=whole_number(0),
            recorded=False,
        ),
    )

    def __post_init__(self) -> None:
        for entry in fields(self):
            check, value = entry.metadata["check"], getattr(self, entry.name)
            if check is not None and value is not entry.default:
                object.__setattr__(self, entry.name, check(f"--{entry.name}", value))
        if self.scale is not None and (self.width is not None or self.height is not None):
            given = "--width" if self.width is not None else "--height"
            raise OptionError(f"--scale and {given} contradict each other; give one of them")
        for one, other in (("at", "start"), ("at", "end")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise OptionError(f"--{one} and --{other} contradict each other; give one of them")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise OptionError(
                f"--start {float(self.start):g} is not before --end {float(self.end):g}"
            )

    @classmethod
    def from_keywords(
        cls, options: Mapping[str, Any], names: frozenset[str], function: str
    ) -> Self:
        """The settings that the keyword arguments of `function` ask for. `names`: those that it
        takes.

        Raises `TypeError` for another one, and `OptionError` for an invalid value.
        """
        for name in options:
            if name not in names:
                raise TypeError(
                    f"{function}() got an unexpected keyword argument {name!r}; its options are "
                    + ", ".join(sorted(names))
                )
        return cls(**options)

    def recorded(self) -> dict[str, Any]:
        """The options that can change a result's bytes, by name, as ledgers record them.

        `strength`, `engine`, `device` and `precision` are missing: what was chosen is recorded,
        not what was asked for.
        """
        values = {name: getattr(self, name) for name in sorted(_RECORDED_ALWAYS)}
        return values | {"tile": self.tile_text} | self.newer()

    def newer(self) -> dict[str, Any]:
        """Those of the recorded options that version 0.1.0 did not have, where they differ from
        their default.
        """
        return {
            entry.name: str(value) if isinstance(value, Fraction) else value
            for entry in fields(self)
            if entry.metadata["recorded"]
            and entry.name not in _RECORDED_ALWAYS
            and (value := getattr(self, entry.name)) != entry.default
        }

    @property
    def all_pages(self) -> bool:
        """Whether every picture of a file is enlarged."""
        return isinstance(self.page, str)

    @property
    def single_page(self) -> int | None:
        """The page to enlarge; None: the main picture. Raises `OptionError` for all pages."""
        if isinstance(self.page, str):
            raise OptionError("--page all gives several pictures, expected one; give a number")
        return self.page

    @property
    def budget(self) -> int:
        """The memory limit of this process in bytes: `memory`, or half of the machine's."""
        from enlarge.memory import default_budget

        return default_budget() if self.memory is None else self.memory

    @property
    def tile_text(self) -> str:
        """The tile as people write it: "auto", or its side."""
        return "auto" if self.tile is None else str(self.tile)
