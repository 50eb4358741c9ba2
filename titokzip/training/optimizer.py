"""Muon for the matrices inside the transformers, AdamW for the rest, averaged weights for both.

The network computes in bfloat16 where that pays; the optimizers step float32 masters of its
parameters. A working copy in bfloat16 was ten times faster on the CPU than autocast.
"""

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Muon  # torch 2.9 or newer; only training asks for it

from titokzip.training import parallel

WARM_UP = 0.02  # of the planned time
MOMENTA = (0.9, 0.98)

Model = TypeVar("Model", bound=nn.Module)


class Optimizer:
    """Steps float32 masters of a working model, and keeps their running average."""

    def __init__(
        self, model: nn.Module, muon: float, adam: float, warm_up: float = WARM_UP
    ) -> None:
        self.working = [p for p in model.parameters() if p.requires_grad]
        self.masters = [nn.Parameter(p.detach().float().clone()) for p in self.working]
        self.averages: list[Tensor] = [p.detach().clone() for p in self.masters]
        inner = _inner_matrices(model) if muon else set()  # a rate of 0: AdamW for all
        matrices = [m for m, w in zip(self.masters, self.working, strict=True) if id(w) in inner]
        others = [m for m, w in zip(self.masters, self.working, strict=True) if id(w) not in inner]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=adam, betas=MOMENTA, weight_decay=0.01)
        ]
        self.rates = [adam]
        if matrices:
            self.optimizers.append(
                Muon(matrices, lr=muon, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
            )
            self.rates.append(muon)
        self.warm_up, self.steps = warm_up, 0

    def step(self, progress: float) -> None:
        """Take one step at `progress` 0..1 through the planned time; clears the gradients."""
        rate = min(1.0, progress / self.warm_up) * (1 - progress) if progress < 1 else 0.0
        for optimizer, peak in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = max(rate, 1e-3) * peak
        for master, working in zip(self.masters, self.working, strict=True):
            master.grad = None if working.grad is None else working.grad.float()
            working.grad = None
        parallel.average(master.grad for master in self.masters if master.grad is not None)
        nn.utils.clip_grad_norm_(self.masters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.steps += 1
        decay = min(0.998, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(self.averages, list[Tensor](self.masters), 1 - decay)
            copy_into(self.working, self.masters)

    def averaged(self, model: Model) -> Model:
        """Copy the working model with the averaged weights in float32."""
        model = copy.deepcopy(model).float()
        chosen = [p for p in model.parameters() if p.requires_grad]
        for parameter, average in zip(chosen, self.averages, strict=True):
            parameter.data = average.clone()
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
        """Go on from what `state` gathered."""
        with torch.no_grad():
            copy_into(self.masters, state["masters"])
            copy_into(self.averages, state["averages"])
            copy_into(self.working, self.masters)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.steps = state["steps"]


def copy_into(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    """Copy each source over its target, whatever their types."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def _inner_matrices(model: nn.Module) -> set[int]:
    """Find the matrices inside transformer blocks, which Muon is made for."""
    return {id(p) for name, p in model.named_parameters() if ".blocks." in name and p.ndim == 2}
