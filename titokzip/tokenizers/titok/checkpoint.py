"""Released TiTok checkpoints: the names of their tensors, and how a TiTok is built from them.

TiTok and TA-TiTok are bytedance/1d-tokenizer's. One-D-Piece is turingmotors/One-D-Piece's (Miwa et
al. 2025, arXiv:2501.10064): a two-stage TiTok trained with tail token drop, so that every prefix of
its tokens decodes; the dropped tokens and their positions are left out.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from titokzip.tokenizers.checkpoint import fill
from titokzip.tokenizers.titok.config import TiTokConfig, check_config
from titokzip.tokenizers.titok.network import TiTok
from titokzip.tokenizers.titok.vqgan import VQGANDecoder

__all__ = ["check_config", "codebook", "from_state_dict", "released_name"]

# Part of a name in our state dict: that part in the released ones. Applied in this order.
RELEASED_NAMES: Final = {
    "encoder.latents": "latent_tokens",
    "decoder.text.project.": "decoder.text_guidance_proj.",
    "decoder.text.positions": "decoder.text_guidance_positional_embedding",
    ".vit.": ".",
    ".cls": ".class_embedding",
    ".positions": ".positional_embedding",
    ".latent_positions": ".latent_token_positional_embedding",
    ".norm_pre.": ".ln_pre.",
    ".norm_post.": ".ln_post.",
    ".blocks.": ".transformer.",
    ".norm_1.": ".ln_1.",
    ".qkv.": ".attn.in_proj_",
    ".out.": ".attn.out_proj.",
    ".norm_2.": ".ln_2.",
    ".expand.": ".mlp.c_fc.",
    ".contract.": ".mlp.c_proj.",
    "encoder.embed.": "encoder.patch_embed.",
    "encoder.project.": "encoder.conv_out.",
    "quantizer.codebook": "quantize.embedding.weight",
    "decoder.embed.": "decoder.decoder_embed.",
    "decoder.head.ffn.": "decoder.ffn.",
    "decoder.head.conv.": "decoder.ffn.0.",
    "decoder.head.codebook": "pixel_quantize.embedding.weight",
    "pixel_decoder.weight": "decoder.conv_out.weight",
    "pixel_decoder.bias": "decoder.conv_out.bias",
    ".shortcut.": ".nin_shortcut.",
    ".upsample.conv.": ".upsample_conv.",
}
TRAINING_ONLY: Final = "quantize.embed_prob"  # how often each code was used; left in some weights


def released_name(name: str) -> str:
    """Return the name that a tensor of our state dict has in released weights."""
    for ours, theirs in RELEASED_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def codebook(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors that define what tokens mean."""
    return {name: state[name] for name in ("quantize.embedding.weight",)}


def from_state_dict(config: TiTokConfig, state: Mapping[str, Tensor]) -> TiTok:
    """Build a frozen TiTok around released weights, in float32 and without copying them.

    Raises:
        ModelError: a tensor is missing, unexpected, of another shape or no floating point.
    """
    with torch.device("meta"):
        model = TiTok(config)
    fill(model, state, released_name, ignored=[TRAINING_ONLY])
    if isinstance(model.pixel_decoder, VQGANDecoder):
        model.pixel_decoder.fold()
    return model
