"""MaskGIT (Chang et al. 2022, arXiv:2202.04200): all tokens are masked, and some more are kept in
every step, the most confident ones.

B images, N tokens, K values of a token.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from titokzip.generation.bert import Bert
from titokzip.generation.config import MaskGITConfig, MaskGITSampling
from titokzip.generation.randomness import uniform
from titokzip.generation.uvit import UViT

Noise = Callable[[Sequence[int]], Tensor]  # a shape to uniform numbers [B, *shape] in 0..1
_LEAST: Final = 1e-20


class MaskGIT(nn.Module):
    """Tokens, some of them masked, and a class, to logits of all tokens."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config = config
        self.network = Bert(config) if config.kind == "bert" else UViT(config)

    def forward(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Give logits [B, N, K] of tokens [B, N] in 0..K, K for masked ones.

        Labels [B] are numbers of classes, or negative for none.
        """
        config = self.config
        none = torch.full_like(labels, config.classes)
        condition = config.mask + 1 + torch.where(labels < 0, none, labels)
        logits: Tensor = self.network(torch.cat([condition[:, None], tokens], dim=1))
        return logits[:, 1:]


@torch.no_grad()
def sample(
    model: MaskGIT,
    labels: Tensor,
    how: MaskGITSampling,
    noise: Noise,
    known: Tensor | None = None,
) -> Tensor:
    """Sample tokens int64 [B, N] of classes [B]; the first tokens can be `known`, [B, k].

    In every step, `noise` is asked for numbers of shape (N, K), then of shape (N,).
    """
    config = model.config
    tokens = torch.full((len(labels), config.length), config.mask, device=labels.device)
    if known is not None:
        tokens[:, : known.shape[1]] = known
    free = config.length - (0 if known is None else known.shape[1])
    for step in range(how.steps if free else 0):
        ratio = (step + 1) / how.steps
        masked = tokens == config.mask
        logits = _guided(model, tokens, labels, scale(how, step), how.decay)
        if how.annealing:
            logits = logits / (0.5 + 0.8 * (1 - ratio))
        spread = how.temperature * (1 - ratio)
        chosen = _noisy(logits, noise, spread).argmax(-1)
        confidence = logits.gather(-1, chosen[..., None])[..., 0]
        chosen = torch.where(masked, chosen, tokens)
        if step == how.steps - 1:
            return chosen
        confidence = _noisy(torch.where(masked, confidence, torch.inf), noise, spread)
        tokens = torch.where(_least(confidence, masked, ratio, free), config.mask, chosen)
    return tokens


def scale(how: MaskGITSampling, step: int) -> float:
    """Give the strength of guidance at a step."""
    if how.decay == "constant":
        return how.guidance
    if how.decay == "linear":
        return how.guidance * step / how.steps
    share = (1 - math.cos(math.pi * (step / how.steps) ** how.power)) / 2
    return (how.guidance - 1) * share + 1


def seeded(seeds: Tensor) -> Noise:
    """Make a source of noise from seeds int64 [B]: every image has its own, whatever the batch."""
    calls = 0

    def draw(shape: Sequence[int]) -> Tensor:
        nonlocal calls
        calls += 1
        return uniform(seeds, calls, shape)

    return draw


def _guided(model: MaskGIT, tokens: Tensor, labels: Tensor, strength: float, decay: str) -> Tensor:
    conditional: Tensor = model(tokens, labels).float()
    if strength == 0:
        return conditional
    unconditional: Tensor = model(tokens, torch.full_like(labels, -1)).float()
    origin = unconditional if decay == "power-cosine" else conditional
    return origin + strength * (conditional - unconditional)


def _noisy(x: Tensor, noise: Noise, spread: float) -> Tensor:
    """Add Gumbel noise of a spread to x [B, ...]."""
    uniform_ = noise(x.shape[1:]).to(x.device)
    gumbel = -(-uniform_.clamp(min=_LEAST).log()).clamp(min=_LEAST).log()
    return x + spread * gumbel


def _least(confidence: Tensor, masked: Tensor, ratio: float, free: int) -> Tensor:
    """Find the tokens [B, N] that stay masked: the least confident ones."""
    share = math.acos(ratio) / (math.pi / 2)
    left = int(masked[0].sum()) - 1
    count = max(1, min(left, math.floor(free * share)))
    cut = confidence.sort(dim=-1).values[:, count - 1 : count]
    return confidence <= cut
