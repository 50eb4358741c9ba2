"""Muon: momentum whose matrices are orthogonalized before every step (Jordan et al. 2024).

https://kellerjordan.github.io/posts/muon. torch has one since 2.9, which steps matrix by matrix;
a transformer has many matrices of few shapes, and here those of a shape are stepped together, which
on a GPU is a tenth of the kernels.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor, nn

COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, as published
ITERATIONS: Final = 5
RMS: Final = 0.2  # of an update's numbers, as AdamW's are (Liu et al. 2025, arXiv:2502.16982)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized, for matrices; weight decay is decoupled.

    Raises:
        ValueError: a parameter is no matrix.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    shape = list(parameter.shape)
                    raise ValueError(f"Muon steps matrices, not tensors of shape {shape}")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take one step along the gradients."""
        assert closure is None, "the trainer has computed the gradients"
        for group in self.param_groups:
            for matrices in _by_shape(group["params"]):
                self._step(matrices, group)

    def _step(self, matrices: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [m.grad for m in matrices if m.grad is not None]
        momenta = [self._momentum(m) for m in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        looked_ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        rows, columns = matrices[0].shape
        updates = orthogonalized(torch.stack(list(looked_ahead)))
        scale = group["lr"] * RMS * max(rows, columns) ** 0.5
        torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(matrices, list(updates.to(matrices[0].dtype)), alpha=-scale)

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalized(matrices: Tensor) -> Tensor:
    """Bring the singular values of matrices [M, r, c] near 1, in bfloat16 (Newton and Schulz)."""
    a, b, c = COEFFICIENTS
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / torch.linalg.matrix_norm(x.float(), keepdim=True).clamp(min=1e-7).to(x.dtype)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


def _by_shape(parameters: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    shapes: dict[tuple[torch.Size, torch.device], list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            shapes[parameter.shape, parameter.device].append(parameter)
    return shapes.values()
