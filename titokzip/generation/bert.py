"""TiTok's MaskGIT of the BERT kind (Devlin et al. 2018, arXiv:1810.04805): post-norm blocks.

Named so that the released weights, which are those of a BertModel, map to it by a table.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.generation.config import MaskGITConfig
from titokzip.generation.layers import attend, heads

_EPSILON = 1e-12


class Bert(nn.Module):
    """Numbers [B, T] to logits [B, T, K]."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        width = config.width
        self.symbols = nn.Embedding(config.symbols, width)
        self.positions = nn.Embedding(config.length + 1, width)
        self.kinds = nn.Embedding(2, width)  # of which the first is added to every position
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.head = nn.Linear(width, config.codebook)

    def forward(self, numbers: Tensor) -> Tensor:
        """Read a class and tokens, all positions at once."""
        at = torch.arange(numbers.shape[1], device=numbers.device)
        x = self.symbols(numbers) + self.kinds.weight[0] + self.positions(at)
        x = self.dropout(self.norm(x))
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.head(x)
        return logits


class Layer(nn.Module):
    """Attention and a map of every position, each normalized after its shortcut."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.rate = config.heads, config.dropout
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm_1 = nn.LayerNorm(width, eps=_EPSILON)
        self.expand = nn.Linear(width, config.hidden)
        self.contract = nn.Linear(config.hidden, width)
        self.norm_2 = nn.LayerNorm(width, eps=_EPSILON)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, T, D] to the same shape."""
        q, k, v = (heads(project(x), self.heads) for project in (self.q, self.k, self.v))
        mixed = attend(q, k, v, dropout=self.rate if self.training else 0.0)
        mixed = self.out(mixed.transpose(1, 2).flatten(2))
        x = self.norm_1(x + self.dropout(mixed))
        mapped = self.contract(F.gelu(self.expand(x)))
        out: Tensor = self.norm_2(x + self.dropout(mapped))
        return out
