"""Rectified flow (Liu et al. 2022, arXiv:2209.03003): samples from noise along a velocity field.

At time 1 a sample is noise, at time 0 an image's latents, and a network predicts the velocity on
the straight line between them. Guidance sets how strongly the condition is followed.

B images.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

_MOMENTUM: Final = -0.5  # the share of the last guidance that is added to the next one
_LARGEST_NORM: Final = 2.5  # that guidance is cut to, per image, before it is scaled


def noise(tokens: Tensor, shape: Sequence[int]) -> Tensor:
    """Draw normal noise [B, *shape] on the CPU, each image's from its own tokens [B, k] alone.

    The same file is decoded from the same noise on every device and in every batch.
    """
    rows = tokens.cpu().numpy().astype("<i4")
    return torch.stack([_normal(row.tobytes(), shape) for row in rows])


def times(steps: int) -> Tensor:
    """List the times [steps] at which the velocity is evaluated, from 1 down.

    Raises:
        ValueError: there are none.
    """
    if steps < 1:
        raise ValueError(f"sampling takes at least one step, not {steps}")
    return torch.arange(steps, 0, -1, dtype=torch.float64).div(steps).float()


def integrate(velocity: Callable[[Tensor, T], Tensor], start: Tensor, steps: Sequence[T]) -> Tensor:
    """Go from noise at time 1 to time 0 in equal steps (Euler's method).

    `velocity` is called with the sample and each of `steps`: whatever it needs at that time.
    """
    x = start
    for step in steps:
        x = x - velocity(x, step) / len(steps)
    return x


def classifier_free(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Extrapolate from `unconditional` past `conditional` (Ho and Salimans 2022)."""
    return unconditional + scale * (conditional - unconditional)


class ProjectedGuidance:
    """Adaptive projected guidance (Sadat et al. 2024, arXiv:2410.02416) of one batch of images.

    The difference that the condition makes is cut in norm, reversed in momentum, and kept only
    orthogonally to the conditional velocity: the parallel part is what oversaturates. It has a
    state, so each sampling takes a new object.
    """

    def __init__(self) -> None:
        self.past: Tensor | None = None

    def __call__(self, conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
        """Guide velocities [B, C, h, w] by `scale`; a scale of 1 returns `conditional`."""
        change = conditional - unconditional
        if self.past is not None:
            change = change + _MOMENTUM * self.past
        self.past = change
        norm = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
        change = change * (_LARGEST_NORM / norm).clamp(max=1)
        return conditional + (scale - 1) * _orthogonal(change, conditional)


def _orthogonal(change: Tensor, direction: Tensor) -> Tensor:
    """Remove the part of `change` that is parallel to `direction`, per image."""
    precise = torch.float32 if change.device.type == "mps" else torch.float64
    v, d = change.to(precise), direction.to(precise)
    unit = d / torch.linalg.vector_norm(d, dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    orthogonal: Tensor = v - (v * unit).sum(dim=(1, 2, 3), keepdim=True) * unit
    return orthogonal.to(change.dtype)


def _normal(content: bytes, shape: Sequence[int]) -> Tensor:
    seed = int.from_bytes(hashlib.sha256(content).digest()[:8], "little")
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
