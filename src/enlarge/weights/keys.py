"""What a checkpoint's keys tell when they belong to no network that enlarges pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple


class KeyPattern(NamedTuple):
    """Keys of a kind of checkpoint: `share` of all keys match `pattern`."""

    pattern: str
    share: float
    what: str


_DIFFUSION_PARTS = (
    r"(down_blocks|up_blocks|mid_block|time_embedding|transformer_blocks|double_blocks|"
    r"single_blocks|single_transformer_blocks)\."
)
_LANGUAGE = (
    r"(model\.|language_model\.|transformer\.)*(layers|h|blk)\.\d+\."
    r"(self_attn|mlp|attn_q|input_layernorm|ln_1)"
)
PATTERNS = (
    KeyPattern(r".*lora_(up|down|A|B|unet|te)|.*\.(hada|lokr)_w", 0.3, "a LoRA"),
    KeyPattern(r"(model\.diffusion_model|(first|cond)_stage_model)\.", 0.3, "a diffusion model"),
    KeyPattern(_DIFFUSION_PARTS, 0.3, "a part of a diffusion model"),
    KeyPattern(r"(encoder|decoder)\.(down|up|mid)(_blocks?)?\.", 0.5, "a diffusion model's VAE"),
    KeyPattern(_LANGUAGE, 0.5, "a language model"),
    KeyPattern(r"(vision_model|text_model|text_encoder)\.", 0.5, "a text or picture encoder"),
)
_RESTORER = {"quantize.embedding.weight", "encoder.conv_in.weight", "quant_conv.weight"}
"""Of RestoreFormer, which restores faces, and is built like a VAE."""
_QUANTISED = re.compile(r"_packed_params|\.(absmax|SCB|qweight|qzeros)$|\.quant_state\.")
_PARAMETER = re.compile(
    r"[\w.\-]+\.(weight|bias|alpha|beta|gamma|running_mean|\w*table)|[\w.\-]+\.\d+\.\w+"
)


def foreign_keys(keys: Iterable[str]) -> str:
    """What a checkpoint with these keys (and perhaps other texts) is, with its article, and what is
    expected; empty where they may belong to a network that enlarges pictures.
    """
    every = set(keys)
    named = [key for key in every if _PARAMETER.fullmatch(key)]
    if not named and "param_groups" in every and "state" in every:
        return "the state of an optimizer, without a network's weights; give the file with those"
    for pattern, share, what in () if every >= _RESTORER else PATTERNS:
        hits = sum(re.match(pattern, key) is not None for key in named)
        if named and hits > share * len(named):
            return f"{what}; expected a network that enlarges pictures, such as ESRGAN or SwinIR"
    if any(_QUANTISED.search(key) for key in every):
        return "a quantised checkpoint; give the original, in f32 or f16"
    return ""
