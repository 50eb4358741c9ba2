"""An autoregressive generator: a causal transformer from a class over tokens, first to last.

For tokens in an order of importance, such as FlexTok's: any prefix of what it has sampled decodes.
Pre-norm blocks with RMS norms, gated maps and learned positions.

B images, N tokens, K values of a token, D width.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.generation.config import AutoregressiveConfig, AutoregressiveSampling
from titokzip.generation.layers import attend, heads
from titokzip.generation.maskgit import Noise


class Cache(NamedTuple):
    """Keys and values [B, heads, t, C] of what a layer has read."""

    keys: Tensor
    values: Tensor


class Autoregressive(nn.Module):
    """A class and tokens to the logits of the next token."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.classes = nn.Embedding(config.classes + 1, width)  # the last one stands for none
        self.tokens = nn.Embedding(config.codebook, width)
        self.positions = nn.Embedding(config.length, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, config.codebook, bias=False)

    def forward(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Give logits [B, k + 1, K] of every token after the class and tokens [B, k].

        Labels [B] are numbers of classes, or negative for none; k < N.
        """
        x = self._embedded(tokens, labels)
        for block in self.blocks:
            x, _ = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def begin(self, tokens: Tensor, labels: Tensor) -> tuple[Tensor, list[Cache]]:
        """Read a class and tokens [B, k]; logits [B, K] of the next, and what was read."""
        x, caches = self._embedded(tokens, labels), []
        for block in self.blocks:
            x, cache = block(x)
            caches.append(cache)
        return self.head(self.norm(x[:, -1])), caches

    def go_on(self, token: Tensor, at: int, caches: list[Cache]) -> tuple[Tensor, list[Cache]]:
        """Read token number `at` [B], counted from 0; logits of the next, and what was read."""
        x = (self.tokens(token) + self.positions.weight[at + 1])[:, None]
        longer = []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, grown = block(x, cache)
            longer.append(grown)
        return self.head(self.norm(x[:, -1])), longer

    def _embedded(self, tokens: Tensor, labels: Tensor) -> Tensor:
        none = torch.full_like(labels, self.config.classes)
        condition = self.classes(torch.where(labels < 0, none, labels))[:, None]
        x = torch.cat([condition, self.tokens(tokens)], dim=1)
        return x + self.positions.weight[: x.shape[1]]


class Block(nn.Module):
    """Causal attention and a gated map of every position (SwiGLU)."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        width, hidden = config.width, 8 * config.width // 3
        self.heads, self.rate = config.heads, config.dropout
        self.norm_1 = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_2 = nn.RMSNorm(width)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.value = nn.Linear(width, hidden, bias=False)
        self.contract = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Map x [B, t, D]; with a cache, x is the one position after it."""
        q, k, v = (heads(part, self.heads) for part in self.qkv(self.norm_1(x)).chunk(3, dim=-1))
        if cache is not None:
            k, v = torch.cat([cache.keys, k], dim=2), torch.cat([cache.values, v], dim=2)
        rate = self.rate if self.training else 0.0
        mixed = attend(q, k, v, dropout=rate, causal=cache is None)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        seen = self.norm_2(x)
        mapped = self.contract(F.silu(self.gate(seen)) * self.value(seen))
        return x + self.dropout(mapped), Cache(k, v)


@torch.no_grad()
def sample(
    model: Autoregressive,
    labels: Tensor,
    how: AutoregressiveSampling,
    noise: Noise,
    known: Tensor | None = None,
    length: int | None = None,
) -> Tensor:
    """Sample tokens int64 [B, N] of classes [B]; the first tokens can be `known`, [B, k].

    `noise` is asked for numbers of shape (K,) for every token that is sampled.
    """
    length = length or model.config.length
    tokens = labels.new_zeros(len(labels), 0) if known is None else known.long()
    if tokens.shape[1] >= length:
        return tokens[:, :length]
    none = torch.full_like(labels, -1)
    guided = how.guidance != 1
    conditions = [labels, none] if guided else [labels]
    branches = [model.begin(tokens, condition) for condition in conditions]
    while True:
        logits = branches[0][0].float()
        if guided:
            unconditional = branches[1][0].float()
            logits = unconditional + how.guidance * (logits - unconditional)
        token = draw(logits, how, noise(logits.shape[1:]))
        tokens = torch.cat([tokens, token[:, None]], dim=1)
        at = tokens.shape[1] - 1
        if at + 1 == length:
            return tokens
        branches = [model.go_on(token, at, caches) for _, caches in branches]


def draw(logits: Tensor, how: AutoregressiveSampling, uniform: Tensor) -> Tensor:
    """Draw tokens [B] from logits [B, K] with uniform numbers [B, K] (the Gumbel-max trick)."""
    if how.temperature == 0:
        return logits.argmax(-1)
    logits = logits / how.temperature
    if how.top_k:
        least = logits.topk(min(how.top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    if how.top_p < 1:
        ordered = logits.sort(descending=True)
        before = ordered.values.softmax(-1).cumsum(-1) - ordered.values.softmax(-1)
        dropped = torch.zeros_like(before, dtype=torch.bool)
        dropped.scatter_(1, ordered.indices, before >= how.top_p)
        logits = logits.masked_fill(dropped, -torch.inf)
    return (logits - (-uniform.to(logits.device).log()).log()).argmax(-1)
