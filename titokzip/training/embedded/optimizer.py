"""Muon for the convolutions inside the levels, AdamW for the rest, EMA weights for both.

The network computes in bfloat16 or float32; the optimizers step float32 masters of its parameters.
To Muon a convolution is a matrix [outputs, inputs x 9].
"""

import copy
import math
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from titokzip.training.muon import Muon

LEAST_RATE: Final = 1e-3  # of the peak
MOMENTA: Final = (0.9, 0.98)
WEIGHT_DECAY: Final = 0.01  # of Muon's matrices
EMA_DECAY: Final = 0.998  # a step
EMA_EVERY: Final = 8  # steps

Model = TypeVar("Model", bound=nn.Module)


class Optimizer:
    """Steps float32 masters of a working model, and keeps their EMA."""

    def __init__(self, model: nn.Module, muon: float, adam: float, warm_up: float) -> None:
        """Take the model's weights as they are; `muon` and `adam` are peak rates.

        `warm_up` is the share of all steps in which they are reached.
        """
        named = list(model.named_parameters())
        inner = [_is_inner(name, parameter) for name, parameter in named]
        self.working = [parameter for _, parameter in named]
        self.masters = [
            nn.Parameter(_as_matrix(p.detach().float().clone(), i))
            for p, i in zip(self.working, inner, strict=True)
        ]
        self.averages = [master.detach().clone() for master in self.masters]
        matrices = [m for m, i in zip(self.masters, inner, strict=True) if i]
        others = [m for m, i in zip(self.masters, inner, strict=True) if not i]
        self.rates, self.warm_up = (muon, adam), warm_up
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            Muon(matrices, lr=muon, weight_decay=WEIGHT_DECAY),
            torch.optim.AdamW(others, lr=adam, betas=MOMENTA, weight_decay=0.0, foreach=True),
        )
        self.steps = 0

    def step(self, progress: float) -> float:
        """Take one step at `progress` 0..1 through training; clears the gradients.

        Gives the norm of the gradient before it is clipped to 1. Where that is not finite, nothing
        is stepped.
        """
        rate = max(min(1.0, progress / self.warm_up) * (1 - progress), LEAST_RATE)
        for optimizer, peak in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * peak
        for master, working in zip(self.masters, self.working, strict=True):
            assert working.grad is not None
            master.grad = working.grad.float().reshape(master.shape)
            working.grad = None
        norm = float(nn.utils.clip_grad_norm_(self.masters, 1.0))
        if not math.isfinite(norm):
            return norm
        for optimizer in self.optimizers:
            optimizer.step()
        self.steps += 1
        with torch.no_grad():
            if self.steps % EMA_EVERY == 0:
                decay = min(EMA_DECAY, (1 + self.steps) / (10 + self.steps)) ** EMA_EVERY
                torch._foreach_lerp_(self.averages, list[Tensor](self.masters), 1 - decay)
            self._publish()
        return norm

    def _publish(self) -> None:
        """Copy the masters into the working model."""
        for working, master in zip(self.working, self.masters, strict=True):
            working.copy_(master.view(working.shape))

    @torch.no_grad()
    def adopt(self) -> None:
        """Take weights over that were changed in the working model, into its EMA too."""
        for working, master, average in zip(self.working, self.masters, self.averages, strict=True):
            found = working.reshape(master.shape)
            changed = found != master.to(found.dtype)
            master[changed] = average[changed] = found[changed].float()

    def averaged(self, model: Model) -> Model:
        """Copy the working model with the EMA weights, in its own precision."""
        model = copy.deepcopy(model)
        with torch.no_grad():
            for parameter, average in zip(model.parameters(), self.averages, strict=True):
                parameter.copy_(average.view(parameter.shape))
        return model.eval()

    def state(self) -> dict[str, Any]:
        """Gather everything that a resumed run needs."""
        return {
            "masters": [m.detach() for m in self.masters],
            "averages": self.averages,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered.

        Raises:
            LookupError, RuntimeError, ValueError: it is another model's.
        """
        with torch.no_grad():
            for kept, saved in ((self.masters, "masters"), (self.averages, "averages")):
                for tensor, other in zip(kept, state[saved], strict=True):
                    tensor.copy_(other)
            self._publish()
        for optimizer, saved_state in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved_state)
        self.steps = state["steps"]


def _is_inner(name: str, parameter: Tensor) -> bool:
    """Tell whether Muon steps a parameter: convolutions of the levels."""
    return name.startswith("levels.") and parameter.ndim == 4


def _as_matrix(parameter: Tensor, inner: bool) -> Tensor:
    return parameter.flatten(1).contiguous() if inner else parameter.contiguous()
