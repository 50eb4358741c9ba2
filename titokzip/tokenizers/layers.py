"""Layers that tokenizers share: TiTok's vision transformer, and parts of convolutional networks.

B images, P patches, k latent tokens, T = 1 + P + k positions, D width, C channels.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.config import ViTConfig

ALL: Final = slice(None)  # positions


class Block(nn.Module):
    """A pre-norm transformer block: every position attends to every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm_2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, rows: slice = ALL) -> Tensor:
        """Mix x [B, T, D] across positions, then each position across its width.

        Only the positions `rows` are computed; they still attend to all of x.
        """
        x = x[:, rows] + self.attend(self.norm_1(x), rows)
        mixed: Tensor = x + self.contract(F.gelu(self.expand(self.norm_2(x))))
        return mixed

    def attend(self, x: Tensor, rows: slice = ALL) -> Tensor:
        """Multi-head self-attention of the positions `rows` to all of x [B, T, D]; no mask."""
        b, t, d = x.shape
        weights = self.qkv.weight.split_with_sizes([d, 2 * d])
        biases = self.qkv.bias.split_with_sizes([d, 2 * d])
        q = F.linear(x[:, rows], weights[0], biases[0]).view(b, -1, self.heads, d // self.heads)
        kv = F.linear(x, weights[1], biases[1]).view(b, t, 2, self.heads, d // self.heads)
        k, v = kv.permute(2, 0, 3, 1, 4)  # each [B, heads, T, D / heads]
        mixed = _attention(q.transpose(1, 2), k, v)
        attended: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of queries [B, heads, R, C] to keys and values [B, heads, T, C]."""
    if not (q.requires_grad and q.device.type == "cpu"):
        return F.scaled_dot_product_attention(q, k, v)
    # In training on a CPU, plain matrix products are 2.5 times as fast as the fused kernel.
    flat = [x.reshape(-1, *x.shape[2:]) for x in (q * q.shape[-1] ** -0.5, k, v)]
    mixed = torch.bmm(torch.bmm(flat[0], flat[1].mT).softmax(-1), flat[2])
    return mixed.view_as(q)


class ViT(nn.Module):
    """A transformer over a class token, P patches and up to `latents` latent tokens, in order."""

    def __init__(self, config: ViTConfig, patches: int, latents: int) -> None:
        super().__init__()
        self.cls = embeddings(1, config.width)
        self.positions = embeddings(1 + patches, config.width)
        self.latent_positions = embeddings(latents, config.width)
        self.norm_pre = nn.LayerNorm(config.width)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.heads) for _ in range(config.depth))
        )
        self.norm_post = nn.LayerNorm(config.width)

    def forward(self, patches: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Let patches [B, P, D] and latent tokens [B, k, D] attend to each other; shapes stay."""
        x = self.attend(patches, latents)
        p = patches.shape[1]
        return x[:, 1 : 1 + p], x[:, 1 + p :]

    def attend(
        self, patches: Tensor, latents: Tensor, text: Tensor | None = None, rows: slice = ALL
    ) -> Tensor:
        """Let the class token, patches, latent tokens and text [B, m, D] attend to each other.

        The result [B, R, D] holds the positions `rows` of that order; the last block computes no
        others.
        """
        cls = self.cls.expand(len(patches), -1, -1)
        parts = [torch.cat([cls, patches], dim=1) + self.positions]
        parts.append(latents + self.latent_positions[: latents.shape[1]])
        if text is not None:
            parts.append(text)
        x = self.norm_pre(torch.cat(parts, dim=1))
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x, rows if i == last else ALL)
        attended: Tensor = self.norm_post(x)
        return attended


class GroupNorm(nn.GroupNorm):
    """Group norm that keeps the memory layout of its input.

    On CUDA, torch's own returns channels-first memory whatever comes in, so that every convolution
    after it would convert its input again.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x [B, C, h, w] by group."""
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return super().forward(x).contiguous(memory_format=layout)


def conv3x3(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    """Make a convolution that keeps the grid."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def embeddings(rows: int, width: int) -> nn.Parameter:
    """Make a learned table [rows, width], at random with rows of about unit length."""
    bound = (3 / width) ** 0.5
    # Not normal_: on the meta device it imports a compiler, for a second.
    return nn.Parameter(torch.empty(rows, width).uniform_(-bound, bound))
