"""Finite scalar quantization (Mentzer et al. 2023, arXiv:2309.15505): rounding instead of a table.

A code is n numbers, number i one of `levels[i]` values between -1 and 1. A token is the index of a
code in mixed radix, first number least significant.

B images, L tokens, k of them kept.
"""

import math
from typing import Final

import torch
from torch import Tensor

_SLACK: Final = 1e-3  # how much further than the outermost values the bound is


class FSQ:
    """Register codes to tokens, and back. It has no weights."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        self.levels = levels
        self.vocabulary = math.prod(levels)

    def __call__(self, codes: Tensor) -> Tensor:
        """Round codes [B, L, n] to tokens int32 [B, L], computed in float32."""
        levels, basis = self._tables(codes.device)
        half = (levels - 1) * (1 + _SLACK) / 2
        offset = torch.where(levels % 2 == 0, 0.5, 0.0)
        shift = (offset / half).atanh()
        bounded = (codes.float() + shift).tanh() * half - offset
        digits = bounded.round().int() + levels // 2
        return (digits * basis).sum(-1).int()

    def look_up(self, tokens: Tensor) -> Tensor:
        """Return the codes float32 [B, k, n] of tokens [B, k]; inverts rounding."""
        levels, basis = self._tables(tokens.device)
        digits = tokens.int().unsqueeze(-1) // basis % levels
        return (digits - levels // 2) / (levels // 2)

    def _tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Levels, and what a step of each number adds to the token; both int32 [n]."""
        levels = torch.tensor(self.levels, dtype=torch.int32, device=device)
        return levels, levels.cumprod(0, dtype=torch.int32) // levels
