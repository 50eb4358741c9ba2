"""TiTok's MaskGIT of the U-ViT kind (Bao et al. 2022, arXiv:2209.12152).

Pre-norm blocks; the second half reads what the first half made, the last of it first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.generation.config import MaskGITConfig
from titokzip.generation.layers import attend, heads


class UViT(nn.Module):
    """Numbers [B, T] to logits [B, T, K]."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        width, half = config.width, config.depth // 2
        self.embeddings = nn.Embedding(config.symbols, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.length + 1, width))
        self.in_blocks = nn.ModuleList(Block(config) for _ in range(half))
        self.mid_block = Block(config)
        self.out_blocks = nn.ModuleList(Block(config, skip=True) for _ in range(half))
        self.norm = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, config.codebook)

    def forward(self, numbers: Tensor) -> Tensor:
        """Read a class and tokens, all positions at once."""
        x = self.embeddings(numbers) + self.pos_embed[:, : numbers.shape[1]]
        kept = []
        for block in self.in_blocks:
            x = block(x)
            kept.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, kept.pop())
        logits: Tensor = self.lm_head(self.norm(x))
        return logits


class Block(nn.Module):
    """Attention and a map of every position, each normalized first."""

    def __init__(self, config: MaskGITConfig, *, skip: bool = False) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.hidden)
        self.fc2 = nn.Linear(config.hidden, width)
        self.skip_linear = nn.Linear(2 * width, width) if skip else None

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map x [B, T, D] to the same shape, with what an earlier block made."""
        if self.skip_linear is not None:
            assert skip is not None, "this block reads an earlier one"
            x = self.skip_linear(torch.cat([x, skip], dim=-1))
        q, k, v = (heads(part, self.heads) for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        x = x + self.proj(attend(q, k, v).transpose(1, 2).flatten(2))
        out: Tensor = x + self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return out
