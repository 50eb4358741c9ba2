"""Checkpoints of generators: the names of their tensors, and how one is built from them."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from titokzip.generation.autoregressive import Autoregressive
from titokzip.generation.config import AutoregressiveConfig, MaskGITConfig, check_config
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


class MaskGITFamily:
    """MaskGITs to the zoo, as `tokenizers.registry.Family` says."""

    def check_config(
        self, wanted: MaskGITConfig, config: Mapping[str, Any] | None
    ) -> MaskGITConfig:
        """Confirm the architecture of a release with its config.json, if it has one."""
        return check_config(wanted, config)

    def from_state_dict(self, config: MaskGITConfig, state: Mapping[str, Tensor]) -> MaskGIT:
        """Build a MaskGIT around released weights."""
        return maskgit(config, state)

    def codebook(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Pick the tensors that tell one checkpoint from another."""
        names = ("lm_head.bias", "model.lm_head.bias")  # of a U-ViT, or of a BERT
        return {name: state[name] for name in names if name in state}


class AutoregressiveFamily:
    """Autoregressive generators to the zoo; none is released."""

    def check_config(
        self, wanted: AutoregressiveConfig, config: Mapping[str, Any] | None
    ) -> AutoregressiveConfig:
        """Return the architecture: its config.json described it whole."""
        return wanted

    def from_state_dict(
        self, config: AutoregressiveConfig, state: Mapping[str, Tensor]
    ) -> Autoregressive:
        """Build a generator around its weights."""
        return autoregressive(config, state)

    def codebook(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Pick a tensor that tells one checkpoint from another."""
        return {"head.weight": state["head.weight"]}


FAMILIES: Final = {
    MaskGITConfig.family: MaskGITFamily(),
    AutoregressiveConfig.family: AutoregressiveFamily(),
}
