"""The Python surface: `upscale()` for one call, `open_model()` for the same in steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Unpack

from enlarge.card import Card
from enlarge.engines import EngineOptions
from enlarge.errors import OptionError
from enlarge.keywords import AllOptions, FileOptions, PictureOptions
from enlarge.picture.arrays import enlarge_image
from enlarge.picture.hooks import Hooks, ProgressCallback
from enlarge.picture.model import OpenModel, engine_options
from enlarge.picture.resuming import Transfer
from enlarge.picture.run import Done, enlarge_file
from enlarge.settings import Settings
from enlarge.weights.catalog import DEFAULT, list_weights
from enlarge.weights.starting import starting_weights


class Upscaler(OpenModel):
    """A model, opened, that enlarges pictures. Engines are created on first use and kept, with the
    networks that they compiled last, so that a next picture of that size starts at once. Threads
    may share it.

    The options of its methods are the fields of `Settings`.
    """

    def upscale(
        self,
        image: Any,
        *,
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
        **options: Unpack[PictureOptions],
    ) -> Any:
        """Enlarge an array, a Pillow image or the picture at a path.

        Arrays are H×W, H×W×3 or H×W×4 (also H×W×1 and H×W×2), RGB order, straight alpha, uint8,
        uint16 or float32 in [0, 1]; an array of the same dtype and channels comes back. A Pillow
        image gives a Pillow image of the same mode where it is L, LA, RGB, RGBA or I;16 (others
        come back as RGB or RGBA; CMYK goes through its profile). A transparent colour becomes
        alpha, but stays a transparent colour in I;16, which has no alpha. A path gives an array.

        The options: `scale`, `width`, `height`, `crop`, `tile`, `memory`, `exact`, `ensemble`; and
        for a path `page` (one of several pictures in the file, from 1) and `salvage` (take what is
        left of a damaged picture).
        `progress` is called after each tile with a `Progress`; `cancel`, when set, ends the work
        with `Cancelled`. Raises `EnlargeError`s.
        """
        settings = Settings.from_keywords(options, PictureOptions.__optional_keys__, "upscale")
        return enlarge_image(image, settings, self, Hooks(progress, cancel))

    def upscale_file(
        self,
        source: str | Path | bytes | BinaryIO,
        target: str | Path | BinaryIO,
        *,
        overwrite: bool = False,
        digest: str | None = None,
        progress: ProgressCallback | None = None,
        cancel: threading.Event | None = None,
        seal: Callable[[BinaryIO], None] | None = None,
        **options: Unpack[FileOptions],
    ) -> Done:
        """Enlarge a picture file (or its bytes, or a stream) into a file (or a stream).

        The options are those of `upscale`, and `format` (default: the target's extension, or PNG),
        `quality`, `metadata`, `pyramid`, `provenance`, `resume`. All checks
        that need no pixels come first; the target appears only when it is complete.

        `resume`: of a result of 100 megapixels or more, the finished bands are kept in
        `TARGET.parts/` until it is complete; an interrupted or cancelled run leaves them, and the
        next one resumes there. (Not of a stream, unless `digest` identifies the source's content.)
        `seal` receives the complete file before it gets its name; what it raises prevents that.
        Raises `EnlargeError`s.
        """
        settings = Settings.from_keywords(options, FileOptions.__optional_keys__, "upscale_file")
        transfer = Transfer(
            Path(source) if isinstance(source, str) else source,
            Path(target) if isinstance(target, str) else target,
            digest,
            overwrite,
        )
        return enlarge_file(transfer, settings, self, hooks=Hooks(progress, cancel, seal))


def open_model(
    name_or_path: str | Path = DEFAULT,
    *,
    strength: float | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int = 0,
) -> Upscaler:
    """Open a model by its name (`models()` lists them) or by the path of its file. `auto`, the
    default, takes for each picture the model that suits its looks.

    `engine`: auto, openvino, onnxruntime or torch; `device`: auto, cpu, cuda:0, mps; `precision`:
    auto, f32, bf16, f16 or int8. auto picks what is fastest here and safe for the model. `threads`
    0: all cores. `strength`, 0 to 1, with the models `photo` and `photo-sharp`: a mixture of the
    two, where 0 is the first and 1 the second.

    A checkpoint of another project that was never used here runs in torch at first, and is prepared
    for OpenVINO in the background after its first picture, unless `engine` names one of them.

    Raises `WeightsError`, or `OptionError` for an invalid strength; the first picture may raise
    `EngineError` or `OptionError`.
    """
    weights = starting_weights(name_or_path, strength=strength, engine=engine, device=device)
    return Upscaler(weights, EngineOptions(engine, device, precision, threads))


def upscale(
    image: Any,
    *,
    output: str | Path | None = None,
    overwrite: bool = False,
    digest: str | None = None,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    seal: Callable[[BinaryIO], None] | None = None,
    **options: Unpack[AllOptions],
) -> Any:
    """Enlarge a picture: array → array, Pillow → Pillow, path → array, or the written path if
    `output` names one.

    >>> large = enlarge.upscale(pixels, scale=4)              # H×W×3 uint8 → 4H×4W×3 uint8
    >>> enlarge.upscale("photo.jpg", output="large.png")      # → PosixPath('large.png')

    The options: `model`, its name or file (default: `auto`), and the others of `open_model`; those
    of `Upscaler.upscale` and, with `output`, of `Upscaler.upscale_file`; `digest` and `seal` as
    there.
    """
    settings = Settings.from_keywords(options, AllOptions.__optional_keys__, "upscale")
    if output is None:
        _refuse_file_options(options, overwrite=overwrite, digest=digest, seal=seal)
    elif not isinstance(image, str | Path):
        raise OptionError(f"output= needs a path as input, got {type(image).__name__}")
    weights = starting_weights(
        settings.model or DEFAULT,
        settings.scale,
        strength=settings.strength,
        engine=settings.engine,
        device=settings.device,
    )
    upscaler = Upscaler(weights, engine_options(settings))
    hooks = Hooks(progress, cancel, seal)
    if output is None:
        return enlarge_image(image, settings, upscaler, hooks)
    transfer = Transfer(Path(image), Path(output), digest, overwrite)
    enlarge_file(transfer, settings, upscaler, hooks=hooks)
    return Path(output)


def _refuse_file_options(options: Mapping[str, object], **more: object) -> None:
    """Raise `TypeError` for options that only a file can honour; of `more`, those with a value."""
    names = FileOptions.__optional_keys__ - PictureOptions.__optional_keys__
    given = sorted(names & options.keys()) + [name for name, value in more.items() if value]
    if given:
        raise TypeError(f"upscale() takes {given[0]}= only with output=, which names a file")


def models() -> list[Card]:
    """The cards of the models that can be called by name."""
    return [weights.card for weights in list_weights()]
