"""Random numbers that are a function of a seed: no generator, no state, the same on every device.

What a training step draws for an image depends on the seed that came with the image. So a resumed
run draws what the uninterrupted one draws, and two processes draw together what one draws alone.
The function is SplitMix64 (Steele, Lea and Flood 2014), a counter through a mixing function.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_GOLDEN: Final = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_1: Final = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2: Final = -7723592293110705685  # 0x94D049BB133111EB
_BITS: Final = 24  # of a float32 in 0..1
_MASK: Final = 2**64 - 1


def combine(*parts: int) -> int:
    """Make one seed, a signed 64-bit number, of several numbers in their order."""
    state = 0
    for part in parts:
        state = _mix_one((state + part + _GOLDEN) & _MASK)
    return state - 2**64 if state >= 2**63 else state


def uniform(seeds: Tensor, purpose: int, shape: Sequence[int] = ()) -> Tensor:
    """Draw float32 [B, *shape] strictly between 0 and 1 from seeds int64 [B].

    Numbers drawn for different purposes are independent.
    """
    count = math.prod(shape)
    counter = torch.arange(1, count + 1, device=seeds.device) * _GOLDEN
    start = _mix(seeds + combine(purpose))
    bits = _shifted(_mix(start[:, None] + counter), 64 - _BITS)
    return ((bits + 0.5) / 2**_BITS).float().view(len(seeds), *shape)


def normal(seeds: Tensor, purpose: int, shape: Sequence[int]) -> Tensor:
    """Draw standard normal float32 [B, *shape] from seeds int64 [B] (Box and Muller 1958)."""
    pairs = uniform(seeds, purpose, (2, *shape))
    radius, angle = pairs.unbind(1)
    return (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _MIX_1
    x = (x ^ _shifted(x, 27)) * _MIX_2
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift right without copying the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix_one(x: int) -> int:
    x = ((x ^ (x >> 30)) * _MIX_1) & _MASK
    x = ((x ^ (x >> 27)) * _MIX_2) & _MASK
    return x ^ (x >> 31)
