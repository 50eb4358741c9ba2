"""The released TiToks: which there are, how their weights name things, and how to load them.

TiTok and TA-TiTok are bytedance/1d-tokenizer's, One-D-Piece is turingmotors/One-D-Piece's (Miwa
et al. 2025, arXiv:2501.10064): a two-stage TiTok trained to be painted from any prefix of its
tokens, by leaving the others and their positions out.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from titokzip.errors import ModelError
from titokzip.models import continuous
from titokzip.models.layers import BASE, LARGE, SMALL
from titokzip.models.titok import TextConfig, TiTok, TiTokConfig
from titokzip.models.vqgan import MASKGIT
from titokzip.models.weights import fill

T = TypeVar("T")

_BL64: Final = TiTokConfig(BASE, LARGE, 64, 8192, 64, normalized=False, scrambled=False, vqgan=None)
_TEXT: Final = TextConfig()
_SIZES: Final = {"small": SMALL, "base": BASE, "large": LARGE}

RELEASED: Final = {
    "titok_l32": TiTokConfig(LARGE, LARGE, 32),
    "titok_b64": TiTokConfig(BASE, BASE, 64),
    "titok_s128": TiTokConfig(SMALL, SMALL, 128),
    "titok_bl64_vq8k": _BL64,
    "titok_bl128_vq8k": replace(_BL64, length=128),
    "titok_sl256_vq8k": replace(_BL64, encoder=SMALL, length=256),
    "tatitok_bl32_vq": replace(_BL64, length=32, text=_TEXT),
    "tatitok_bl64_vq": replace(_BL64, text=_TEXT),
    "tatitok_bl128_vq": replace(_BL64, length=128, text=_TEXT),
    "one_d_piece_s256": TiTokConfig(SMALL, SMALL, 256, nested=True),
    "one_d_piece_b256": TiTokConfig(BASE, BASE, 256, nested=True),
    "one_d_piece_l256": TiTokConfig(LARGE, LARGE, 256, nested=True),
}

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
    "decoder.mask": "decoder.mask_token",
    "decoder.head.ffn.": "decoder.ffn.",
    "decoder.head.conv.": "decoder.ffn.0.",
    "decoder.head.codebook": "pixel_quantize.embedding.weight",
    "painter.weight": "decoder.conv_out.weight",
    "painter.bias": "decoder.conv_out.bias",
    "painter.": "pixel_decoder.",
    ".shortcut.": ".nin_shortcut.",
}
TRAINING_ONLY: Final = "quantize.embed_prob"  # how often each code was used; left in some weights


def released_name(name: str) -> str:
    """Give the name that a tensor of our state dict has in released weights."""
    for ours, theirs in RELEASED_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def from_state_dict(config: TiTokConfig, state: Mapping[str, Tensor]) -> TiTok:
    """Build a frozen TiTok around released weights, in float32 and without copying them.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        model = TiTok(config)
    fill(model, state, released_name, ignored=[TRAINING_ONLY])
    return model


def config_from(card: Mapping[str, Any], *, text: bool = False) -> TiTokConfig:
    """Read an architecture from the config.json beside released weights.

    What is absent is what the official code takes it for: the first configs say nothing of
    `is_legacy`, and are. `text` says that it is a TA-TiTok's, which its card does not tell.

    Raises:
        ModelError: it is of no model that turns pictures into tokens and back.
    """
    vq = _entry(_entry(card, "model", dict), "vq_model", dict, "model.")
    crop = _entry(_entry(card, "dataset", dict), "preprocessing", dict, "dataset.")

    def read(key: str, kind: type[T], default: T | None = None) -> T:
        return _entry(vq, key, kind, "model.vq_model.", default)

    if (mode := read("quantize_mode", str, "vq")) != "vq":
        raise ModelError(f"model.vq_model.quantize_mode is {mode!r}: {continuous.REASON}")
    legacy, painted = read("is_legacy", bool, True), read("finetune_decoder", bool, True)
    if legacy != painted:
        raise ModelError(
            f"model.vq_model.is_legacy {legacy} and finetune_decoder {painted}: it paints no pixels"
        )
    patch, other = read("vit_enc_patch_size", int), read("vit_dec_patch_size", int)
    if patch != other:
        raise ModelError(f"model.vq_model: encoder patches of {patch}, decoder patches of {other}")
    try:
        return TiTokConfig(
            _SIZES[read("vit_enc_model_size", str)],
            _SIZES[read("vit_dec_model_size", str)],
            length=read("num_latent_tokens", int),
            codebook=read("codebook_size", int),
            channels=read("token_size", int),
            size=_entry(crop, "crop_size", int, "dataset.preprocessing."),
            patch=patch,
            normalized=read("use_l2_norm", bool),
            scrambled=legacy,
            vqgan=MASKGIT if painted else None,
            nested=not read("strict_length_assertion", bool, True),
            text=TextConfig(read("text_context_length", int, 77), read("text_embed_dim", int, 768))
            if text
            else None,
        )
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"model.vq_model: there is no such model ({error})") from error


def _entry(
    table: Mapping[str, Any], key: str, kind: type[T], path: str = "", default: T | None = None
) -> T:
    value = table.get(key, default)
    if type(value) is not kind:
        found = "missing" if key not in table else f"{value!r}, not {kind.__name__}"
        raise ModelError(f"{path}{key} is {found}")
    return value
