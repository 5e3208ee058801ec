"""The families of networks that spandrel 0.4.2 knows, as small networks with random weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.checkpoints.rows import Case, Home
from benchmarks.others import spandrel_architecture
from enlarge.luma import LUMA
from enlarge.weights.runner import Picture
from enlarge.weights.spandrel_networks import import_spandrel

SIZES = ((45, 37), (56, 40), (131, 97))
"""Heights and widths of the pictures."""
_SHAKEN = 0.02
"""Standard deviation of what is added to the parameters: norms, gates and tables of positions are
neutral at first, and would hide what is computed wrongly.
"""
_SEEDS = {"FDAT": 1, "FDnCNN": 3}
"""Where seed 0 gives a black picture."""


def _architecture(module: str, name: str = "", **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        network: nn.Module = getattr(spandrel_architecture(module), name or module)(**options)
        return network

    return make


_LIGHT: dict[str, Any] = {"depths": [2], "num_heads": [2], "upscale": 2, "mlp_ratio": 2.0}
_RESIDUAL: dict[str, Any] = {"nc": [8, 8, 16, 16], "nb": 2}

FAMILIES: dict[str, Callable[[], nn.Module]] = {
    "ATD": _architecture(
        "ATD", embed_dim=12, depths=(2,), num_heads=(2,), window_size=8, num_tokens=8,
        reducted_dim=4, upscale=2, upsampler="pixelshuffledirect",
    ),
    "AuraSR": _architecture(
        "AuraSR", dim=8, image_size=None, input_image_size=None,
        style_network={"dim_in": 16, "dim_out": 64, "depth": 2}, up_dim_mults=(1, 2, 4, 8, 16),
        down_dim_mults=(4, 8, 16), skip_connect_scale=0.4,
    ),
    "Compact": _architecture("Compact", num_feat=8, num_conv=2, upscale=2),
    "CRAFT": _architecture("CRAFT", embed_dim=48, depths=[2], num_heads=[2], upscale=2),
    "DAT": _architecture(
        "DAT", embed_dim=32, split_size=[8, 8], depth=[2], num_heads=[2], expansion_factor=2.0,
        upscale=2, img_size=16,
    ),
    "DCTLSA": _architecture("DCTLSA", nf=20, upscale=2),
    "DITN": _architecture("DITN", dim=12, ITL_blocks=1, SAL_blocks=1, UFONE_blocks=1, upscale=2),
    "DnCNN": _architecture("DnCNN", in_nc=3, out_nc=3, nc=8, nb=9, act_mode="R"),
    "DnCNN, gray": _architecture("DnCNN", in_nc=1, out_nc=1, nc=8, nb=9, act_mode="R"),
    "DRCT": _architecture(
        "DRCT", embed_dim=12, depths=(6,), num_heads=(2,), window_size=8, upscale=2,
        upsampler="pixelshuffle", gc=4, img_size=16,
    ),
    "DRUNet": _architecture("DRUNet", in_nc=4, out_nc=3, **_RESIDUAL),
    "ESRGAN": _architecture("ESRGAN", num_filters=8, num_blocks=2, scale=2),
    "FBCNN": _architecture("FBCNN", nc=[8, 8, 8, 512], nb=2),
    "FDAT": _architecture(
        "FDAT", scale=2, embed_dim=16, num_groups=1, depth_per_group=1, num_heads=2, mid_dim=8
    ),
    "FDnCNN": _architecture(
        "DnCNN", in_nc=4, out_nc=3, nc=8, nb=9, act_mode="R", mode="FDnCNN"
    ),
    "FFTformer": _architecture(
        "FFTformer", dim=8, num_blocks=[1, 1, 1], num_refinement_blocks=1
    ),
    "GRL": _architecture(
        "GRL", embed_dim=12, upscale=2, upsampler="pixelshuffledirect", depths=[2],
        num_heads_window=[1], num_heads_stripe=[1], window_size=8, stripe_size=[8, 16],
        anchor_window_down_factor=2, mlp_ratio=2.0, img_size=32, stripe_shift=True,
    ),
    "HAT": _architecture(
        "HAT", embed_dim=12, window_size=8, compress_ratio=3, squeeze_factor=4, num_feat=8, **_LIGHT
    ),
    "HVI-CIDNet": _architecture("HVICIDNet", channels=[8, 8, 16, 16], heads=[1, 2, 2, 2]),
    "IPT": _architecture(
        "IPT", patch_size=12, patch_dim=3, n_feats=12, scale=[2], num_heads=12, num_layers=1
    ),
    "KBNet-l": _architecture(
        "KBNet", "KBNet_l", dim=48, num_blocks=[1, 1, 1, 1], num_refinement_blocks=1,
        heads=[1, 2, 4, 8],
    ),
    "KBNet-s": _architecture(
        "KBNet", "KBNet_s", width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]
    ),
    "MixDehazeNet": _architecture("MixDehazeNet", embed_dims=[8, 16, 32, 16, 8]),
    "MM-RealSR": _architecture(
        "MMRealSR", num_in_ch=3, num_out_ch=3, num_feat=8, num_block=1, num_grow_ch=4,
        num_feats=[8, 8, 8, 8], num_blocks=[1, 1, 1, 1],
    ),
    "MoESR": _architecture("MoESR", scale=2, dim=16, n_blocks=1, n_block=1),
    "MoSR": _architecture("MoSR", upscale=2, n_block=1, dim=16),
    "NAFNet": _architecture(
        "NAFNet", width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]
    ),
    "OmniSR": _architecture("OmniSR", num_feat=16, block_num=1, res_num=1, up_scale=2),
    "PLKSR": _architecture("PLKSR", dim=8, n_blocks=2, upscaling_factor=2),
    "RCAN": _architecture(
        "RCAN", scale=2, n_resgroups=1, n_resblocks=2, n_feats=16, reduction=4
    ),
    "RealCUGAN ×2": _architecture("RealCUGAN", "UpCunet2x"),
    "RealCUGAN ×3": _architecture("RealCUGAN", "UpCunet3x"),
    "RealCUGAN ×4": _architecture("RealCUGAN", "UpCunet4x"),
    "RealPLKSR": _architecture("PLKSR", "RealPLKSR", dim=8, n_blocks=2, upscaling_factor=2),
    "RealPLKSR, DySample": _architecture(
        "PLKSR", "RealPLKSR", dim=16, n_blocks=2, upscaling_factor=2, dysample=True
    ),
    "RestoreFormer": _architecture(
        "RestoreFormer", n_embed=16, embed_dim=32, ch=32, ch_mult=(1, 1, 2), num_res_blocks=1,
        z_channels=32,
    ),
    "RetinexFormer": _architecture("RetinexFormer", n_feat=8, stage=1, num_blocks=[1, 1, 1]),
    "RGT": _architecture(
        "RGT", embed_dim=32, depth=[2], num_heads=[2], mlp_ratio=2.0, upscale=2, split_size=[8, 8],
        c_ratio=0.5, img_size=32,
    ),
    "SAFMN": _architecture("SAFMN", dim=8, n_blocks=2, upscaling_factor=2),
    "SAFMN BCIE": _architecture("SAFMNBCIE", dim=8, n_blocks=1, num_layers=1),
    "SCUNet": _architecture("SCUNet", config=[1] * 7, dim=64),
    "SeemoRe": _architecture("SeemoRe", scale=2, num_experts=3, num_layers=2, embedding_dim=16),
    "SPAN": _architecture("SPAN", num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2),
    "Swift-SRGAN": _architecture("SwiftSRGAN", num_channels=8, num_blocks=2, upscale_factor=2),
    "Swin2SR": _architecture(
        "Swin2SR", embed_dim=12, window_size=8, upsampler="pixelshuffle", img_size=16, **_LIGHT
    ),
    "SwinIR": _architecture(
        "SwinIR", embed_dim=12, window_size=8, upsampler="pixelshuffledirect", img_size=16, **_LIGHT
    ),
    "Uformer": _architecture(
        "Uformer", img_size=128, embed_dim=8, depths=[1] * 9, num_heads=[1, 2, 2, 2, 2, 2, 2, 2, 1]
    ),
}  # fmt: skip
"""By name, what makes the network, with as little in it as spandrel still recognises.

Left out: GFPGAN, whose smallest network has 86 million parameters, and LaMa, which fills in what a
mask marks and is refused.
"""


def cases() -> list[Case]:
    """All families, each against spandrel in torch."""
    return [
        Case(family, ".pth", partial(write_checkpoint, family), in_spandrel, SIZES, 64)
        for family in FAMILIES
    ]


def write_checkpoint(family: str, folder: Path) -> Path:
    """A checkpoint of the family in that folder."""
    torch.manual_seed(_SEEDS.get(family, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = FAMILIES[family]()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=_SHAKEN)
    path = folder / f"{family.replace(' ', '_')}.pth"
    torch.save(network.state_dict(), path)
    return path


def in_spandrel(path: Path) -> Home:
    """A checkpoint, .pth or .safetensors, in spandrel and torch. Gray networks get luma, and chroma
    as it was.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = import_spandrel().ModelLoader(device="cpu").load_from_file(path)

    def run(image: Picture) -> Picture:
        # A copy: some networks change what they get. Random numbers follow its memory's order.
        given = torch.tensor(image).contiguous()
        torch.manual_seed(0)  # for those that draw random numbers
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if model.input_channels != 1:
                return np.asarray(model(given).numpy())
            assert model.scale == 1
            luma = (given * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, True)
            return np.asarray((given - luma + model(luma)).numpy())

    return Home("spandrel", run)
