"""Metrics of pictures: arrays in, floats out. They need NumPy only; LPIPS and DISTS need torch.

>>> from enlarge.metrics import Protocol, psnr, ssim
>>> psnr(enlarged, original, data_range=255)
>>> Protocol(border=4).measure(enlarged, original)      # PSNR and SSIM as the field reports them
>>> open_perceptual(folder).measure(enlarged, original)  # {"lpips": …, "lpips_vgg": …, "dists": …}
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from enlarge.errors import EngineError
from enlarge.metrics.fidelity import psnr
from enlarge.metrics.naturalness import niqe
from enlarge.metrics.protocol import Protocol, Scores, luma
from enlarge.metrics.similarity import ms_ssim, ssim

if TYPE_CHECKING:
    from enlarge.metrics.perceptual import Perceptual

__all__ = ["Protocol", "Scores", "luma", "ms_ssim", "niqe", "open_perceptual", "psnr", "ssim"]


def open_perceptual(path: str | Path) -> Perceptual:
    """LPIPS and DISTS with torchvision's weights at `path`: see `Perceptual`.

    Raises `WeightsError` if there are none, `EngineError` if torch is not installed.
    """
    try:
        from enlarge.metrics.perceptual import Perceptual
    except ImportError as error:
        if (error.name or "enlarge").partition(".")[0] == "enlarge":
            raise
        raise EngineError(
            f'LPIPS and DISTS need {error.name}; install it: pip install "enlarge[metrics]"'
        ) from error
    return Perceptual(Path(path))
