"""Checkpoints of generators: the names of their tensors, and how one is built from them."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from titokzip.generation.autoregressive import Autoregressive
from titokzip.generation.config import AutoregressiveConfig, MaskGITConfig
from titokzip.generation.maskgit import MaskGIT
from titokzip.tokenizers.checkpoint import fill

# Part of a name in our state dict: that part in the released ones. Applied in this order.
BERT_NAMES: Final = {
    "network.symbols.": "model.embeddings.word_embeddings.",
    "network.positions.": "model.embeddings.position_embeddings.",
    "network.kinds.": "model.embeddings.token_type_embeddings.",
    "network.norm.": "model.embeddings.LayerNorm.",
    "network.head.": "model.lm_head.",
    "network.layers.": "model.encoder.layer.",
    ".q.": ".attention.self.query.",
    ".k.": ".attention.self.key.",
    ".v.": ".attention.self.value.",
    ".out.": ".attention.output.dense.",
    ".norm_1.": ".attention.output.LayerNorm.",
    ".expand.": ".intermediate.dense.",
    ".contract.": ".output.dense.",
    ".norm_2.": ".output.LayerNorm.",
}
UVIT_NAMES: Final = {
    "network.": "",
    ".qkv.": ".attn.qkv.",
    ".proj.": ".attn.proj.",
    ".fc1.": ".mlp.fc1.",
    ".fc2.": ".mlp.fc2.",
}
IGNORED: Final = ("model.embeddings.position_ids",)  # a buffer of older checkpoints
# The tensors that tell one checkpoint from another.
MASKGIT_TENSORS: Final = ("lm_head.bias", "model.lm_head.bias")  # of U-ViT, or of BERT
AUTOREGRESSIVE_TENSORS: Final = ("head.weight",)


def released_name(kind: str, name: str) -> str:
    """Give the name that a tensor of a `MaskGIT` of that kind has in released weights."""
    for ours, theirs in (BERT_NAMES if kind == "bert" else UVIT_NAMES).items():
        name = name.replace(ours, theirs)
    return name


def maskgit(config: MaskGITConfig, state: Mapping[str, Tensor]) -> MaskGIT:
    """Build a frozen MaskGIT around released weights.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        model = MaskGIT(config)
    fill(model, state, lambda name: released_name(config.kind, name), ignored=IGNORED)
    return model


def autoregressive(config: AutoregressiveConfig, state: Mapping[str, Tensor]) -> Autoregressive:
    """Build a frozen autoregressive generator around its weights.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        model = Autoregressive(config)
    fill(model, state, str)
    return model
