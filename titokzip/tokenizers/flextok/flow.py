"""Rectified flow (Liu et al. 2022, arXiv:2209.03003): pictures from noise along a velocity field.

At time 1 there is noise, at time 0 the picture, and on the straight line between them a network
tells which way to go. How strongly it should follow what it was told to paint is guidance.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

_MOMENTUM = -0.5  # what guidance keeps of its last step: the opposite
_REACH = 2.5  # length that a picture's guidance is cut to, before it is scaled


def noise(tokens: Tensor, shape: Sequence[int]) -> Tensor:
    """Draw normal noise [B, *shape] on the CPU, each picture's from its own tokens [B, k] alone.

    So the same file is painted from the same noise, on whatever device and in whatever batch.
    """
    rows = tokens.cpu().numpy().astype("<i4")
    return torch.stack([_normal(row.tobytes(), shape) for row in rows])


def times(steps: int) -> Tensor:
    """List the times [steps] at which the velocity is asked for, from 1 down.

    Raises:
        ValueError: there are none.
    """
    if steps < 1:
        raise ValueError(f"sampling takes at least one step, not {steps}")
    return torch.arange(steps, 0, -1, dtype=torch.float64).div(steps).float()


def integrate(
    velocity: Callable[[Tensor, T], Tensor], start: Tensor, moments: Sequence[T]
) -> Tensor:
    """Go from noise to a picture in as many equal steps as there are moments (Euler's method)."""
    x = start
    for moment in moments:
        x = x - velocity(x, moment) / len(moments)
    return x


def classifier_free(told: Tensor, untold: Tensor, scale: float) -> Tensor:
    """Go `scale` times as far from `untold` as `told` does (Ho and Salimans 2022)."""
    return untold + scale * (told - untold)


class ProjectedGuidance:
    """Adaptive projected guidance (Sadat et al. 2024, arXiv:2410.02416) of one batch of pictures.

    What being told changes is cut in length, turned against its own past, and kept only where it
    does not merely go further the same way: that is what oversaturates. One object a sampling.
    """

    def __init__(self) -> None:
        self.past: Tensor | None = None

    def __call__(self, told: Tensor, untold: Tensor, scale: float) -> Tensor:
        """Guide velocities [B, C, h, w] by `scale`; at 1, `told` comes back."""
        change = told - untold
        if self.past is not None:
            change = change + _MOMENTUM * self.past
        self.past = change
        length = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
        change = change * (_REACH / length).clamp(max=1)
        return told + (scale - 1) * _across(change, told)


def _across(change: Tensor, direction: Tensor) -> Tensor:
    """Take away the part of `change` that goes along `direction`, per picture."""
    precise = torch.float32 if change.device.type == "mps" else torch.float64
    v, d = change.to(precise), direction.to(precise)
    unit = d / torch.linalg.vector_norm(d, dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    across: Tensor = v - (v * unit).sum(dim=(1, 2, 3), keepdim=True) * unit
    return across.to(change.dtype)


def _normal(content: bytes, shape: Sequence[int]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
