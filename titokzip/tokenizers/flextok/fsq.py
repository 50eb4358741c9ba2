"""Finite scalar quantization (Mentzer et al. 2023, arXiv:2309.15505): rounding instead of a table.

A code is n digits, digit i one of `levels[i]` values between -1 and 1; a token is its number.
"""

import math
from typing import Final

import torch
from torch import Tensor

_SLACK: Final = 1e-3  # how much further than the outermost values the bound is


class FSQ:
    """Latents to tokens, and back to codes; in float32 even under autocast. It has no weights."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        self.levels = levels
        self.vocabulary = math.prod(levels)

    def __call__(self, latents: Tensor) -> Tensor:
        """Find the tokens int32 [B, L] of latents [B, L, n]."""
        with torch.autocast(device_type=latents.device.type, enabled=False):
            levels, basis = self._tables(latents.device)
            half = (levels - 1) * (1 + _SLACK) / 2
            offset = torch.where(levels % 2 == 0, 0.5, 0.0)
            shift = (offset / half).atanh()
            bounded = (latents.float() + shift).tanh() * half - offset
            digits = bounded.round().int() + levels // 2
            return (digits * basis).sum(-1).int()

    def lookup(self, tokens: Tensor) -> Tensor:
        """Give the codes float32 [B, k, n] of tokens [B, k]."""
        levels, basis = self._tables(tokens.device)
        digits = tokens.int().unsqueeze(-1) // basis % levels
        return (digits - levels // 2) / (levels // 2)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Levels, and what a step of each digit adds to the token; both int32 [n]."""
        levels = torch.tensor(self.levels, dtype=torch.int32, device=device)
        return levels, levels.cumprod(0, dtype=torch.int32) // levels
