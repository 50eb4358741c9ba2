"""Released FlexTok checkpoints: the names of their tensors, and how a FlexTok is built."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from titokzip.tokenizers.checkpoint import fill
from titokzip.tokenizers.flextok.config import FlexTokConfig, check_config
from titokzip.tokenizers.flextok.network import FlexTok

__all__ = ["check_config", "codebook", "from_state_dict", "released_name"]

# Part of a name in our state dict: that part in the released ones. Applied in this order.
AUTOENCODER_NAMES: Final = {
    "autoencoder.": "vae.vae.",
    ".down.": ".down_blocks.",
    ".up.": ".up_blocks.",
    ".mid.": ".mid_block.",
    ".downsample.": ".downsamplers.0.conv.",
    ".upsample.": ".upsamplers.0.conv.",
    ".shortcut.": ".conv_shortcut.",
    ".norm_out.": ".conv_norm_out.",
    ".quant.": ".quant_conv.",
    ".unquant.": ".post_quant_conv.",
    ".attention.norm.": ".attention.group_norm.",
    ".q.": ".to_q.",
    ".k.": ".to_k.",
    ".v.": ".to_v.",
    ".out.": ".to_out.0.",
    ".attention.": ".attentions.0.",
}
TRANSFORMER_NAMES: Final = {
    ".q.": ".attn.wq.",
    ".k.": ".attn.wk.",
    ".v.": ".attn.wv.",
    ".out.": ".attn.proj.",
    ".gate.": ".mlp.fc1.",
    ".contract.": ".mlp.fc2.",
    ".value.": ".mlp.fc3.",
    ".modulation.": ".adaLN_modulation.1.",
    ".blocks.": ".transformer.blocks.",
    "encoder.embed.": "encoder.patch_emb.patch_proj.",
    "encoder.positions": "encoder.posemb_module.posembs",
    "encoder.registers": "encoder.register_module.registers",
    "encoder.project.": "encoder.to_latents.proj.",
    "decoder.embed.": "decoder.from_latents.proj.",
    "decoder.positions": "decoder.registers_posemb_module.posembs",
    "decoder.mask_token": "decoder.nested_dropout.dropout_mask_token",
    "decoder.null_condition": "decoder.latent_dropout.nullcond",
    "decoder.patches.": "decoder.noise_patch_emb.patch_proj.",
    "decoder.patch_positions": "decoder.patches_posemb_module.posembs",
    "decoder.timestep.": "decoder.time_embedder.mlp.",
    "decoder.head.project.": "decoder.to_patches.proj.",
    "decoder.head.": "decoder.to_patches.",
    "encoder.": "encoder.module_dict.enc_",
    "decoder.": "decoder.module_dict.dec_",
}
# A scale of the autoencoder's loss, and the modules that compare the decoder's features with
# another network's (REPA). Decoding runs none of them.
TRAINING_ONLY: Final = ("vae.logvar", "decoder.module_dict.dec_repa_")
# FSQ has no parameters, so the projections to and from its codes stand for a codebook.
CODEBOOK_TENSORS: Final = (
    "encoder.module_dict.enc_to_latents.proj.weight",
    "encoder.module_dict.enc_to_latents.proj.bias",
    "decoder.module_dict.dec_from_latents.proj.weight",
    "decoder.module_dict.dec_from_latents.proj.bias",
)


def released_name(name: str) -> str:
    """Return the name that a tensor of our state dict has in released weights."""
    names = AUTOENCODER_NAMES if name.startswith("autoencoder.") else TRANSFORMER_NAMES
    for ours, theirs in names.items():
        name = name.replace(ours, theirs)
    return name


def codebook(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors that define what tokens mean."""
    return {name: state[name] for name in CODEBOOK_TENSORS}


def from_state_dict(
    config: FlexTokConfig, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> FlexTok:
    """Build a frozen FlexTok around released weights, without copying those of that type.

    Raises:
        ModelError: a tensor is missing, unexpected, of another shape or no floating point.
    """
    with torch.device("meta"):
        model = FlexTok(config)
    fill(model, state, released_name, ignored=TRAINING_ONLY, dtype=dtype)
    return model
