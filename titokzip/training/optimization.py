"""How weights are stepped: AdamW or Muon, warm-up and cosine, weight decay, clipping."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from titokzip.training.muon import Muon

# A parameter whose name has one of these is not decayed, nor is any vector; as TiTok's authors do.
UNDECAYED: Final = ("ln", "bias", "latent_tokens", "mask_token", "embedding", "norm", "gamma",
                    "embed")  # fmt: skip
_MUON_MARKS: Final = (".blocks.", "_blocks.", ".layers.")  # matrices inside transformers


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then a cosine down to a share of the peak."""

    steps: int
    warm_up: int = 0
    final: float = 0.1  # share of the peak at the last step

    def __call__(self, step: int) -> float:
        """Give the share of the peak learning rate at `step`, counted from 0."""
        if step < self.warm_up:
            return step / self.warm_up
        progress = min(1.0, (step - self.warm_up) / max(1, self.steps - self.warm_up))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Optimization:
    """An optimizer and its schedule."""

    optimizer: str = "adamw"  # or muon: it takes the matrices inside transformers, AdamW the rest
    rate: float = 1e-4  # peak learning rate of AdamW
    muon_rate: float = 3e-3
    final: float = 0.1  # share of the peak rate at the last step
    warm_up: int = 10_000  # steps
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 1e-4
    clip: float = 1.0  # largest norm of the gradient; 0 clips nothing
    ema: float = 0.999

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"optimizers are adamw and muon, not {self.optimizer!r}")


class Optimizer:
    """Steps the parameters of a module that want gradients."""

    def __init__(
        self,
        module: nn.Module,
        how: Optimization,
        schedule: Schedule,
        named: Callable[[str], str] = str,
    ) -> None:
        """Group the parameters; `named` gives the name that decides on weight decay."""
        self.schedule, self.clip, self.steps = schedule, how.clip, 0
        trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.parameters = list(trained.values())
        matrices = {n for n, p in trained.items() if how.optimizer == "muon" and _is_inner(n, p)}
        rest = {n: p for n, p in trained.items() if n not in matrices}
        plain = [p for n, p in rest.items() if _is_undecayed(named(n), p)]
        decayed = [p for n, p in rest.items() if not _is_undecayed(named(n), p)]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": plain, "weight_decay": 0.0},
                    {"params": decayed, "weight_decay": how.weight_decay},
                ],
                lr=how.rate,
                betas=how.betas,
            )
        ]
        if matrices:
            chosen = [trained[name] for name in sorted(matrices)]
            self.optimizers.append(Muon(chosen, lr=how.muon_rate, weight_decay=how.weight_decay))
        self.peaks = [o.param_groups[0]["lr"] for o in self.optimizers]

    @property
    def rate(self) -> float:
        """The learning rate of AdamW at the next step."""
        return float(self.peaks[0] * self.schedule(self.steps))

    def step(self) -> Tensor:
        """Take one step and clear the gradients; their norm before clipping, not waited for."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip, norm)
        share = self.schedule(self.steps)
        for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = peak * share
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
        self.steps += 1
        return norm

    def state(self) -> dict[str, Any]:
        """Gather what a resumed run needs."""
        return {"steps": self.steps, "optimizers": [o.state_dict() for o in self.optimizers]}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered; it lies on the CPU.

        torch moves the moments to the parameters' device and leaves the step counters where they
        are: counters on a GPU would be waited for at every step.
        """
        self.steps = state["steps"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def _is_undecayed(name: str, parameter: Tensor) -> bool:
    return parameter.ndim < 2 or any(mark in name for mark in UNDECAYED)


def _is_inner(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and any(mark in f".{name}" for mark in _MUON_MARKS)
