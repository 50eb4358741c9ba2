"""The running average of a module's weights, which is what is evaluated and shipped."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """An exponential moving average of a module's trained parameters; its buffers are not averaged.

    The decay grows with the number of updates n, (1 + n) / (10 + n), up to `decay`.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.averages = {n: p.detach().clone() for n, p in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of now into the average; the first time they are all of it."""
        self.updates += 1
        n = self.updates - 1
        decay = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        weights = list[Tensor](self.parameters.values())
        torch._foreach_lerp_(list(self.averages.values()), weights, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module have the averaged weights for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, object]:
        """Gather what a resumed run needs."""
        return {"updates": self.updates, "averages": self.averages}

    @torch.no_grad()
    def restore(self, updates: int, averages: dict[str, Tensor]) -> None:
        """Go on from what `state` gathered.

        Raises:
            KeyError, RuntimeError: it is another module's.
        """
        self.updates = updates
        for name, average in self.averages.items():
            average.copy_(averages[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.data, self.averages[name] = self.averages[name], parameter.data
