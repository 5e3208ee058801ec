"""How good a picture is: arrays in, floats out. numpy is all that these need.

>>> from enlarge.metrics import Protocol, psnr, ssim
>>> psnr(enlarged, original, data_range=255)
>>> Protocol(border=4).measure(enlarged, original)      # PSNR and SSIM as the field reports them
"""

from enlarge.metrics.fidelity import psnr
from enlarge.metrics.naturalness import niqe
from enlarge.metrics.protocol import Protocol, Scores, luma
from enlarge.metrics.similarity import ms_ssim, ssim

__all__ = ["Protocol", "Scores", "luma", "ms_ssim", "niqe", "psnr", "ssim"]
